"""Echo requests a second: 64 bytes, closed loop, on one connection and on 64.

The real ``netduet serve`` beside two bare servers that parse nothing and bound
nothing: a callback protocol on the same event loop, and a blocking thread for
each connection. Each round asks all of them, so that a noisy machine is noisy to
all; the client is a process of its own that says the same bytes to each.

    python benchmarks/echo.py [--rounds 5] [--seconds 1]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import platform
import secrets
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, cast

import uvloop

from netduet.wire.frames import ANSWER, HEADER_SIZE, MAGIC, Kind, serialize

PAYLOAD: Final = bytes(range(64))
CONNECTIONS: Final = (1, 64)
WARM_UP: Final = 0.2
"""Seconds that every measurement runs before it counts."""

REQUEST: Final = serialize(Kind.ECHO, PAYLOAD)
ANSWERED: Final = serialize(Kind.ECHO, PAYLOAD, flags=ANSWER)


# The servers


class Bare(asyncio.Protocol):
    """Sends back what it gets: what the loop and Python cost by themselves."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Mirror."""
        self._transport.write(data)


def serve_bare(port_known: Callable[[int], None]) -> None:
    """Serve on uvloop until the process is ended."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", 0)
        port_known(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def serve_threads(port_known: Callable[[int], None]) -> None:
    """Serve with a blocking thread for each connection until the process is ended."""

    def echo(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, contextlib.suppress(ConnectionError):
            while data := sock.recv(65536):
                sock.sendall(data)

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port_known(listener.getsockname()[1])
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=echo, args=(sock,), daemon=True).start()


BARE: Final = {"bare uvloop": serve_bare, "bare threads": serve_threads}


@contextlib.contextmanager
def running(name: str) -> Iterator[int]:
    """Run a server as a process of its own; give its port."""
    command = [sys.executable, __file__, "--serve", name]
    if name not in BARE:
        command = [sys.executable, "-m", "netduet", "serve"]
        command += ["--host", "127.0.0.1", "--port", "0", "--log-format", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["server.port"]
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield port
    finally:
        process.terminate()
        process.wait(20)


# The client


def connect(port: int, *, framed: bool) -> socket.socket:
    """Connect, and open when the server expects it."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.settimeout(None)  # so that MSG_WAITALL waits
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if framed:
        opening = json.dumps({"version": 1, "nonce": secrets.token_hex(16)})
        sock.sendall(MAGIC + serialize(Kind.OPEN, opening.encode()))
        head = sock.recv(len(MAGIC) + HEADER_SIZE, socket.MSG_WAITALL)
        length = int.from_bytes(head[len(MAGIC) : len(MAGIC) + 4], "big")
        sock.recv(length, socket.MSG_WAITALL)
    return sock


def measure(port: int, count: int, seconds: float, *, framed: bool) -> float:
    """Ask on so many connections, one request each at a time; return answers a second."""
    socks = {}
    poller = select.epoll()
    for _ in range(count):
        sock = connect(port, framed=framed)
        socks[sock.fileno()] = sock
        poller.register(sock, select.EPOLLIN)
        sock.sendall(REQUEST)
    size, expected = len(REQUEST), ANSWERED if framed else REQUEST
    answers, start, end = 0, 0.0, time.perf_counter() + WARM_UP
    while True:
        for descriptor, _ in poller.poll(5):
            sock = socks[descriptor]
            if sock.recv(size, socket.MSG_WAITALL) != expected:
                raise SystemExit("a wrong answer")
            sock.send(REQUEST)
            answers += 1
        now = time.perf_counter()
        if now < end:
            continue
        if start:
            break
        answers, start, end = 0, now, now + seconds
    for sock in socks.values():
        sock.close()
    return answers / (now - start)


def asked(port: int, count: int, seconds: float, *, framed: bool) -> float:
    """Measure from a process of its own."""
    words = [str(port), str(count), str(seconds), str(int(framed))]
    command = [sys.executable, __file__, "--ask", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True)
    return float(done.stdout)


# The whole


def compare(rounds: int, seconds: float) -> None:
    """Ask all servers in turn, round by round, and print medians and ratios."""
    names = ["netduet", *BARE]
    rates: dict[tuple[str, int], list[float]] = {
        key: [] for key in itertools.product(names, CONNECTIONS)
    }
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(running(name)) for name in names}
        for turn in range(rounds):
            for count in CONNECTIONS:
                for name in names[turn % 3 :] + names[: turn % 3]:
                    framed = name not in BARE
                    rate = asked(ports[name], count, seconds, framed=framed)
                    rates[name, count].append(rate)
    print(
        f"echo of {len(PAYLOAD)} B, closed loop, {rounds} rounds of {seconds:g} s; "
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs"
    )
    print(
        f"{'':14}{'connections':>12}{'median /s':>12}{'least':>10}{'most':>10}{'×':>8}"
    )
    for count in CONNECTIONS:
        netduet = statistics.median(rates["netduet", count])
        for name in names:
            found = rates[name, count]
            median = statistics.median(found)
            print(
                f"{name:14}{count:12}{median:12,.0f}{min(found):10,.0f}"
                f"{max(found):10,.0f}{netduet / median:8.2f}"
            )


def main() -> None:
    """Compare, or play the part that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--serve", choices=BARE, help=argparse.SUPPRESS)
    parser.add_argument("--ask", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:

        def tell(port: int) -> None:
            print(json.dumps({"server.port": port}), flush=True)

        BARE[chosen.serve](tell)
    elif chosen.ask:
        port, count, seconds, framed = chosen.ask
        rate = measure(int(port), int(count), float(seconds), framed=framed == "1")
        print(rate)
    else:
        compare(chosen.rounds, chosen.seconds)


if __name__ == "__main__":
    main()
