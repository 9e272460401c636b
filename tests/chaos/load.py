"""Good clients, as a process of its own: what each request came to, and how long it took.

Long-lived framed connections ask at a pace; short plain connections come and go. After
a failure they turn to the other host, if there is one. Each request ends in one of these outcomes:

- ``answered``;
- ``drained``: the server said, by ERROR or END, that it serves no more on this connection;
- ``refused``: the connection was refused, by the kernel or by an ERROR with a reason;
- ``lost``: a reset or an end of stream without a word, though something was asked;
- ``late``: nothing within the timeout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

import uvloop

from netduet.wire.frames import HEADER, HEADER_SIZE, MAGIC, Kind, serialize
from tests.chaos.server import scheduled

_PORT: Final = 12345
_STOP_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was sent, its latency (None without an answer), its outcome."""

    at: float
    latency: float | None
    outcome: str


class Load:
    """The process, seen from a trial."""

    def __init__(self, host: str, words: tuple[str, ...]) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.load", host, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._samples: list[Sample] | None = None

    def wait_started(self) -> None:
        """Return when its first request was answered."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "started\n", "no load"

    def cpu_wait_seconds(self) -> float:
        """Return how long it has waited for a CPU."""
        return scheduled(self._process.pid)[1]

    def stop(self) -> list[Sample]:
        """Stop it; return all samples."""
        if self._samples is None:
            out, _ = self._process.communicate(timeout=_STOP_SECONDS)
            self._samples = [Sample(*fields) for fields in json.loads(out)]
        return self._samples

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


class _UnansweredError(Exception):
    """The request was not answered; the text is its outcome."""


class _Clients:
    def __init__(
        self, hosts: list[str], source: str, size: int, timeout: float
    ) -> None:
        self._timeout = timeout
        self._hosts = hosts
        self._source = source
        self._frame = serialize(Kind.ECHO, bytes(size), id=1)
        self._samples: list[tuple[float, float | None, str]] = []
        self._started = False

    async def run(self, connections: int, pace: float, new_pace: float) -> None:
        """Run until standard input ends."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.run_in_executor(None, _wait_for_end, loop, stop)
        tasks = [loop.create_task(self._ask(pace)) for _ in range(connections)]
        if new_pace:
            tasks.append(loop.create_task(self._greet(new_pace)))
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print(json.dumps(self._samples))

    async def _ask(self, pace: float) -> None:
        """Ask on a connection, at a pace; open another one when it is over."""
        for host in itertools.cycle(self._hosts):
            start = time.monotonic()
            try:
                async with asyncio.timeout(self._timeout):
                    reader, writer = await self._open(host)
                self._note(start)
                with contextlib.closing(writer):
                    while True:
                        start = time.monotonic()
                        async with asyncio.timeout(self._timeout):
                            await self._exchange(reader, writer)
                        self._note(start)
                        await asyncio.sleep(max(0.0, start + pace - time.monotonic()))
            except (OSError, EOFError, _UnansweredError) as error:
                self._note(start, _outcome(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _open(
        self, host: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self._connect(host)
        opening = b'{"version":1,"nonce":"%s"}' % secrets.token_hex(16).encode()
        writer.write(MAGIC + serialize(Kind.OPEN, opening))
        try:
            await reader.readexactly(len(MAGIC))
            await _receive(reader)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(self._frame)
        if await _receive(reader) != Kind.ECHO:
            raise _UnansweredError("drained")

    async def _greet(self, pace: float) -> None:
        """Exchange greetings on new connections, at a pace."""
        hosts = itertools.cycle(self._hosts)
        host = next(hosts)
        while True:
            start = time.monotonic()
            try:
                async with asyncio.timeout(self._timeout):
                    reader, writer = await self._connect(host)
                    with contextlib.closing(writer):
                        writer.write(b"Hello, server!")
                        writer.write_eof()
                        greeting = await reader.read()
                self._note(start, "answered" if greeting else "lost")
            except (OSError, EOFError, _UnansweredError) as error:
                self._note(start, _outcome(error))
                host = next(hosts)
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(max(0.0, start + pace - time.monotonic()))

    async def _connect(
        self, host: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, _PORT, local_addr=(self._source, 0))

    def _note(self, start: float, outcome: str = "answered") -> None:
        answered = outcome == "answered"
        latency = time.monotonic() - start if answered else None
        self._samples.append((start, latency, outcome))
        if answered and not self._started:
            self._started = True
            print("started", flush=True)


async def _receive(reader: asyncio.StreamReader) -> int:
    """Return the kind of the next frame; an ERROR is an outcome."""
    head = await reader.readexactly(HEADER_SIZE)
    length, kind, _, _, _ = HEADER.unpack(head)
    payload = await reader.readexactly(length)
    if kind == Kind.ERROR:
        raise _UnansweredError("drained" if b'"draining"' in payload else "refused")
    return int(kind)


def _outcome(error: Exception) -> str:
    match error:
        case _UnansweredError():
            return str(error)
        case ConnectionRefusedError():
            return "refused"
        case TimeoutError():
            return "late"
        case _:
            return "lost"


def _wait_for_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(stop.set)


def main(words: list[str]) -> None:
    """Run until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", nargs="+")
    parser.add_argument("--source", default="198.19.0.1")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--pace", type=float, default=0.02)
    parser.add_argument("--new-pace", type=float, default=0.1)
    parser.add_argument("--timeout", type=float, default=10.0)
    options = parser.parse_args(words)
    hosts, source = options.hosts, options.source
    clients = _Clients(hosts, source, options.size, options.timeout)
    uvloop.run(clients.run(options.connections, options.pace, options.new_pace))


if __name__ == "__main__":
    main(sys.argv[1:])
