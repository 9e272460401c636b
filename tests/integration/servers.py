"""Servers and commands under test: in the test's own loop, or as processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from netduet.runtime import logs
from netduet.server.app import Server

TIMEOUT_SECONDS = 10.0
"""Seconds after which something awaited is taken for lost."""

Line = dict[str, Any]


async def wait_until(condition: Callable[[], bool]) -> None:
    """Run the loop until a condition holds."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is asked knows of no event
            await asyncio.sleep(0.001)


class LogLines:
    """The log of a server in this process, as the fields of each line."""

    def __init__(self) -> None:
        """Start empty."""
        self.all: list[Line] = []
        self._waiting: list[tuple[str, int, asyncio.Future[None]]] = []

    def logger(self) -> FilteringBoundLogger:
        """Return a logger that writes here; an event must be a documented one."""
        logger: FilteringBoundLogger = structlog.wrap_logger(
            None,
            processors=[self._take],
            wrapper_class=structlog.make_filtering_bound_logger(10),
        )
        return logger

    def of(self, event: str) -> list[Line]:
        """Return the lines of an event."""
        return [line for line in self.all if line["event"] == event]

    async def wait(self, event: str, count: int = 1) -> Line:
        """Return the ``count``-th line of an event once it is there."""
        if len(self.of(event)) < count:
            arrived = asyncio.get_running_loop().create_future()
            self._waiting.append((event, count, arrived))
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await arrived
        return self.of(event)[count - 1]

    def _take(self, _: WrappedLogger, level: str, fields: EventDict) -> EventDict:
        assert fields["event"] in logs.EVENTS
        self.all.append({"level": level, **fields})
        for waiter in list(self._waiting):
            event, count, arrived = waiter
            if len(self.of(event)) >= count:
                self._waiting.remove(waiter)
                if not arrived.done():
                    arrived.set_result(None)
        raise structlog.DropEvent


@dataclass
class RunningServer:
    """A server in the test's loop."""

    port: int
    server: Server
    lines: LogLines
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Do what SIGTERM does, and wait until the server has left."""
        if not self.task.done():
            self.server.stop()
        await self.task

    async def closed_line(self, count: int = 1) -> Line:
        """Return what was logged of the ``count``-th connection that ended."""
        return await self.lines.wait("connection.closed", count)


class ServerProcess:
    """``netduet serve`` as a process of its own; its log is read by a thread."""

    def __init__(
        self,
        environment: dict[str, str],
        descriptors: int | None = None,
    ) -> None:
        """Start it; returns once it is ready, or has left.

        ``descriptors`` is how many files it may open at most.
        """
        command = [sys.executable, "-m", "netduet", "serve"]
        if descriptors is not None:
            limited = f'ulimit -n {descriptors}; exec "$@"'
            command = ["/bin/sh", "-c", limited, "sh", *command]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_clean(os.environ) | environment,
        )
        self.raw: list[bytes] = []
        self.lines: list[Line] = []
        self._changed = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        ready = self.wait("server.ready")
        listening = self.wait("server.listening") if ready else None
        self.port: int = listening["server.port"] if listening else 0

    def of(self, event: str) -> list[Line]:
        """Return the lines of an event so far."""
        with self._changed:
            return [line for line in self.lines if line["event"] == event]

    def wait(self, event: str, count: int = 1) -> Line | None:
        """Return the ``count``-th line of an event; None when the server left first."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: self._over or len(self._matching(event)) >= count,
                TIMEOUT_SECONDS,
            )
            matching = self._matching(event)
        assert found, f"{len(matching)} of {count} lines {event}"
        return matching[count - 1] if len(matching) >= count else None

    def closed_line(self, count: int = 1) -> Line:
        """Return what was logged of the ``count``-th connection that ended."""
        line = self.wait("connection.closed", count)
        assert line is not None
        return line

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait until the process has left; return its status."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> int:
        """Wait until a command exits; return its status and output."""
        status = self.process.wait(TIMEOUT_SECONDS * 2)
        self._reader.join(TIMEOUT_SECONDS)
        return status

    def stderr_text(self) -> str:
        """Return what the process wrote to standard error; call it when it has left."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        """End the process, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT_SECONDS)
        self._reader.join(TIMEOUT_SECONDS)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()

    def _matching(self, event: str) -> list[Line]:
        return [line for line in self.lines if line["event"] == event]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            with self._changed:
                self.raw.append(raw)
                self.lines.append(json.loads(raw))
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


def _clean(environment: os._Environ[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("NETDUET_")
    }


class NetduetCommand:
    """Any command of ``netduet`` as a process of its own.

    It runs in a folder of the test's own and with the variables that are given,
    and no others: neither a .env nor the environment of a person matters.
    """

    def __init__(self, folder: Path) -> None:
        """Say in which folder; a test may put a .env there."""
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what is still running."""
        for process in self._started:
            process.kill()
            process.communicate()

    def start(
        self,
        *words: str,
        env: dict[str, str] | None = None,
        stdout: int | IO[Any] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a command line."""
        process = subprocess.Popen(
            [sys.executable, "-m", "netduet", *words],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=self.folder,
            env=env or {},
        )
        self._started.append(process)
        return process

    def run(
        self,
        *words: str,
        env: dict[str, str] | None = None,
        stdout: int | IO[Any] = subprocess.PIPE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line to its end."""
        return self.finish(self.start(*words, env=env, stdout=stdout))

    def finish(
        self, process: subprocess.Popen[str]
    ) -> subprocess.CompletedProcess[str]:
        """Wait for the end of a command; return what it said."""
        out, err = process.communicate(timeout=TIMEOUT_SECONDS * 3)
        return subprocess.CompletedProcess(
            process.args, process.returncode, out or "", err
        )


def unwrapped(done: subprocess.CompletedProcess[str]) -> str:
    """Return standard output with each run of blanks and line breaks as one blank."""
    return " ".join(done.stdout.split())
