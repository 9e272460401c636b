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
from tests.integration.running import PATIENCE, Command, Lines, Netduet, Running


class StartServer(Protocol):
    """Starts a server in this loop, with settings by their field names."""

    def __call__(self, **overrides: object) -> Awaitable[Running]:
        """Return it once it listens."""


class ServeCommand(Protocol):
    """Runs ``netduet serve`` on a free port, with settings by their field names."""

    def __call__(self, descriptors: int | None = None, **settings: object) -> Command:
        """Return it once it listens, or has left."""


@pytest_asyncio.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Start servers in the test's own loop; they have drained when the test is over.

    They listen on 127.0.0.1 (and on a free port) unless ``host`` says otherwise.
    """
    started: list[Running] = []

    async def start(**overrides: object) -> Running:
        chosen = {"host": "127.0.0.1", "port": 0, "drain_timeout": 0.0} | overrides
        settings = ServerSettings.model_validate(chosen)
        lines = Lines()
        server = Server(settings, settings.instance or "here", lines.logger())
        sockets = bind(settings.host, settings.port, udp=settings.udp)
        task = asyncio.create_task(server.run(sockets))
        running = Running(sockets.port, server, lines, task)
        started.append(running)
        ready = asyncio.create_task(lines.wait("server.ready"))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            await task
        return running

    yield start
    async with asyncio.timeout(PATIENCE):
        for running in started:
            await running.stop()


@pytest.fixture
def serve_command() -> Iterator[ServeCommand]:
    """Run the real command; it is ended when the test is over.

    ``descriptors`` is how many files it may open at most.
    """
    started: list[Command] = []

    def serve(descriptors: int | None = None, **settings: object) -> Command:
        chosen = {"host": "127.0.0.1", "port": 0} | settings
        environment = {
            f"NETDUET_SERVER_{name.upper()}": str(value)
            for name, value in chosen.items()
        }
        command = Command(environment, descriptors)
        started.append(command)
        return command

    yield serve
    for command in started:
        command.close()


@pytest.fixture
def netduet(tmp_path: Path) -> Iterator[Netduet]:
    """Run the command where no settings are but those that the test gives."""
    with Netduet(tmp_path) as command:
        yield command
