"""Real servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from netduet.net.bind import bind
from netduet.server.app import Server
from netduet.server.settings import ServerSettings
from tests.integration.servers import (
    TIMEOUT_SECONDS,
    LogLines,
    NetduetCommand,
    RunningServer,
    ServerProcess,
)


class StartServer(Protocol):
    """Starts a server in this loop, with settings by their field names."""

    def __call__(self, **overrides: object) -> Awaitable[RunningServer]:
        """Return it once it listens."""


class ServeCommand(Protocol):
    """Runs ``netduet serve`` on a free port, with settings by their field names."""

    def __call__(
        self, descriptors: int | None = None, **settings: object
    ) -> ServerProcess:
        """Return it once it listens, or has left."""


@pytest_asyncio.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Start servers in the test's own loop; they have drained when the test is over.

    They listen on 127.0.0.1 (and on a free port) unless ``host`` says otherwise.
    """
    started: list[RunningServer] = []

    async def start(**overrides: object) -> RunningServer:
        chosen = {"host": "127.0.0.1", "port": 0, "drain_timeout": 0.0} | overrides
        settings = ServerSettings.model_validate(chosen)
        lines = LogLines()
        instance = settings.instance or "here"
        server = Server(settings, instance, lines.logger(), pytest.fail)
        sockets = bind(settings.host, settings.port, udp=settings.udp)
        task = asyncio.create_task(server.run(sockets))
        running = RunningServer(sockets.port, server, lines, task)
        started.append(running)
        ready = asyncio.create_task(lines.wait("server.ready"))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            await task
        return running

    yield start
    async with asyncio.timeout(TIMEOUT_SECONDS):
        for running in started:
            await running.stop()


@pytest.fixture
def serve_command() -> Iterator[ServeCommand]:
    """Run the real command; it is ended when the test is over.

    ``descriptors`` is how many files it may open at most.
    """
    started: list[ServerProcess] = []

    def serve(descriptors: int | None = None, **settings: object) -> ServerProcess:
        chosen = {"host": "127.0.0.1", "port": 0} | settings
        environment = {
            f"NETDUET_SERVER_{name.upper()}": str(value)
            for name, value in chosen.items()
        }
        command = ServerProcess(environment, descriptors)
        started.append(command)
        return command

    yield serve
    for command in started:
        command.close()


@pytest.fixture
def netduet(tmp_path: Path) -> Iterator[NetduetCommand]:
    """Run the command where no settings are but those that the test gives."""
    with NetduetCommand(tmp_path) as command:
        yield command
