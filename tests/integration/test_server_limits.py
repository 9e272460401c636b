"""Timeouts of each connection, and limits on their number."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from netduet.server.admission import LOBBY
from netduet.wire.frames import HEADER_SIZE, MAGIC, Kind, serialize
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.framed_client import (
    GREETING,
    HELLO,
    FramedClient,
    connect,
    exchange_greetings,
    opening,
    read_to_end,
    reset,
)
from tests.integration.servers import TIMEOUT_SECONDS, wait_until


def failure_of(answer: bytes) -> dict[str, Any]:
    """Return the ERROR frame that is the whole answer to an opening."""
    assert answer.startswith(MAGIC)
    assert answer[len(MAGIC) + 4] == Kind.ERROR
    return dict(json.loads(answer[len(MAGIC) + HEADER_SIZE :]))


def dribble(sock: socket.socket, data: bytes) -> None:
    """Send single bytes until the server answers or the data ends."""
    for byte in data:
        readable, _, _ = select.select([sock], [], [], 0.02)
        if readable:
            return
        sock.sendall(bytes([byte]))
    pytest.fail("nothing was said to a client that dribbles")


def crowd_of(port: int, count: int) -> list[socket.socket | None]:
    """Open this number of connections; None stands for each that was reset."""
    crowd: list[socket.socket | None] = []
    for _ in range(count):
        try:
            crowd.append(connect(port))
        except ConnectionResetError:
            crowd.append(None)
    return crowd


def outcome(sock: socket.socket | None) -> str:
    """Send a greeting on a connection, close it, and return the outcome."""
    if sock is None:
        return "reset"
    with sock:
        try:
            sock.sendall(HELLO)
            return "greeted" if read_to_end(sock) == GREETING else "closed"
        except ConnectionError:
            return "reset"


async def test_silent_client_is_closed(start_server: StartServer) -> None:
    """A client that sends nothing gets a FIN, then is closed."""
    running = await start_server(first_byte_timeout=0.3, linger=0.2)
    with await asyncio.to_thread(connect, running.port) as sock:
        assert await asyncio.to_thread(read_to_end, sock) == b""
        line = await running.closed_line()
    assert (line["netduet.ended"], line["netduet.ended_by"]) == (
        "limit.first_byte",
        "server",
    )
    assert 0.3 <= line["netduet.duration_s"] < 3


async def test_dribbled_opening_is_too_slow(start_server: StartServer) -> None:
    """The time for the opening counts from its first byte."""
    running = await start_server(opening_timeout=0.3)

    def talk() -> tuple[dict[str, Any], float]:
        with connect(running.port) as sock:
            start = time.monotonic()
            dribble(sock, opening(padding="x" * 500))
            return failure_of(read_to_end(sock)), time.monotonic() - start

    failure, seconds = await asyncio.to_thread(talk)
    assert failure["code"] == "too_slow"
    assert failure["facts"]["received"] > 0
    assert 0.3 <= seconds < 3
    assert (await running.closed_line())["netduet.ended"] == "limit.opening"


async def test_dribbled_frame_is_too_slow(start_server: StartServer) -> None:
    """The time for a frame counts from its start; single bytes do not extend it."""
    running = await start_server(frame_timeout=0.3)

    def talk() -> tuple[dict[str, Any], float]:
        with FramedClient(running.port) as peer:
            start = time.monotonic()
            dribble(peer.sock, serialize(Kind.ECHO, bytes(1000)))
            return peer.error(), time.monotonic() - start

    failure, seconds = await asyncio.to_thread(talk)
    assert failure["code"] == "too_slow"
    assert 0.3 <= seconds < 3
    assert (await running.closed_line())["netduet.ended"] == "limit.frame"


async def test_idle_peer_gets_an_error(start_server: StartServer) -> None:
    """An open connection without traffic ends with an ERROR that says so."""
    running = await start_server(idle_timeout=0.3)

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            return peer.error()

    assert (await asyncio.to_thread(talk))["code"] == "idle"
    assert (await running.closed_line())["netduet.ended"] == "limit.idle"


async def test_busy_peer_is_not_idle(start_server: StartServer) -> None:
    """Each frame restarts the idle time."""
    running = await start_server(idle_timeout=0.4)

    def talk() -> None:
        with FramedClient(running.port) as peer:
            for _ in range(10):
                select.select([peer.sock], [], [], 0.1)  # a pause of this client
                assert peer.echo(b"x") == b"x"
            peer.end()

    await asyncio.to_thread(talk)


async def test_lingering_peer_is_closed(start_server: StartServer) -> None:
    """A peer that ended and does not close is closed after the linger time."""
    running = await start_server(linger=0.2)
    peer = FramedClient(running.port)
    await asyncio.to_thread(peer.open)
    peer.send(Kind.END)
    line = await running.closed_line()
    assert (line["netduet.ended"], line["netduet.ended_by"]) == ("end", "client")
    assert 0.2 <= line["netduet.duration_s"] < 3
    assert (await asyncio.to_thread(peer.receive)).kind == Kind.END
    assert await asyncio.to_thread(read_to_end, peer.sock) == b""
    peer.sock.close()


async def test_lingering_peer_is_closed_at_the_byte_limit(
    start_server: StartServer,
) -> None:
    """A peer that keeps sending after its error is closed at the limit."""
    running = await start_server(linger_bytes=100_000, linger=30.0)

    def talk() -> None:
        with FramedClient(running.port) as peer, contextlib.suppress(ConnectionError):
            peer.send(99)
            for _ in range(1000):
                peer.sock.sendall(bytes(100_000))
            pytest.fail("100 MB were taken")

    await asyncio.to_thread(talk)
    assert (await running.closed_line())["error.type"] == "unknown_kind"


async def test_total_limit_refuses_and_is_logged_once(
    start_server: StartServer,
) -> None:
    """Beyond it a framed peer gets the reason and a plain one its greeting."""
    running = await start_server(max_connections=3)

    def talk() -> list[dict[str, Any]]:
        with contextlib.ExitStack() as stack:
            served = [stack.enter_context(FramedClient(running.port)) for _ in range(3)]
            failures = []
            for _ in range(5):
                with connect(running.port) as sock:
                    sock.sendall(opening())
                    failures.append(failure_of(read_to_end(sock)))
            assert exchange_greetings(running.port) == GREETING
            assert all(peer.echo(b"still here") == b"still here" for peer in served)
            for peer in served:
                peer.end()
        return failures

    failures = await asyncio.to_thread(talk)
    assert {failure["code"] for failure in failures} == {"too_many_connections"}
    assert failures[0]["facts"] == {"limit": 3}
    await running.closed_line(3)
    [line] = running.lines.of("server.limit_reached")
    assert (line["netduet.limit"], line["netduet.open"]) == (3, 4)
    assert len(running.lines.of("connection.closed")) == 3


async def test_closed_connections_free_their_places(start_server: StartServer) -> None:
    """However a client leaves, its place is free for the next."""
    running = await start_server(max_connections=2, linger=0.2)

    leave: list[Callable[[FramedClient], None]] = [
        FramedClient.end,
        lambda peer: peer.sock.close(),
        lambda peer: reset(peer.sock),
    ]

    def served(turn: int) -> bool:
        peer = FramedClient(running.port)
        with peer.sock:
            peer.sock.sendall(opening())
            assert peer._exactly(len(MAGIC)) == MAGIC
            if peer.receive().kind != Kind.OPEN:
                return False
            leave[turn % len(leave)](peer)
            return True

    def talk() -> bool:
        # A place is free once the server has heard that its peer is gone.
        until = time.monotonic() + TIMEOUT_SECONDS
        turn = 0
        while turn < 60 and time.monotonic() < until:
            turn += served(turn)
        return turn == 60

    assert await asyncio.to_thread(talk)


async def test_client_limit_is_per_address(start_server: StartServer) -> None:
    """One address cannot use up the places of the others."""
    running = await start_server(max_connections=100, max_connections_per_client=2)

    def open_from(source: str) -> tuple[socket.socket, bytes]:
        sock = socket.create_connection(("127.0.0.1", running.port), 10, (source, 0))
        sock.sendall(opening())
        return sock, sock.recv(len(MAGIC) + HEADER_SIZE)

    def talk() -> list[int]:
        sources = ["127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"]
        opened = [open_from(source) for source in sources]
        for sock, _ in opened:
            sock.close()
        return [answer[len(MAGIC) + 4] for _, answer in opened]

    kinds = await asyncio.to_thread(talk)
    assert kinds == [Kind.OPEN, Kind.OPEN, Kind.ERROR, Kind.OPEN]
    [line] = running.lines.of("server.limit_reached")
    assert line["client.address"] == "127.0.0.2"
    assert line["netduet.limit_per_client"] == 2


async def test_beyond_the_lobby_connections_are_reset(
    start_server: StartServer,
) -> None:
    """If too many connections wait for their refusal, further ones are reset."""
    running = await start_server(max_connections=1)

    def fates_of(crowd: list[socket.socket | None]) -> list[str]:
        return [outcome(sock) for sock in crowd]

    with contextlib.ExitStack() as stack:
        open_peer = partial(stack.enter_context, FramedClient(running.port))
        await asyncio.to_thread(open_peer)
        crowd = await asyncio.to_thread(crowd_of, running.port, LOBBY + 10)
        counters = running.server._counters
        await wait_until(lambda: counters.accepted == 1 + LOBBY + 10)
        fates = await asyncio.to_thread(fates_of, crowd)
    assert fates == ["greeted"] * LOBBY + ["reset"] * 10
    assert len(running.lines.of("server.limit_reached")) == 1


async def test_refused_peers_are_closed_soon(start_server: StartServer) -> None:
    """A refused peer that sends nothing leaves the lobby soon."""
    running = await start_server(max_connections=1)
    sock, other = connect(running.port), connect(running.port)
    start = time.monotonic()
    assert await asyncio.to_thread(read_to_end, other) == b""
    assert time.monotonic() - start < 3
    sock.close()
    other.close()


def test_few_descriptors_are_never_exhausted(serve_command: ServeCommand) -> None:
    """With 256 descriptors and 400 connections the server refuses some and works."""
    server = serve_command(descriptors=256)
    ready = server.of("server.ready")[0]
    assert ready["netduet.max_connections"] == 112

    for _ in range(3):
        # All of them at once, before the server can turn a single one away.
        server.process.send_signal(signal.SIGSTOP)
        crowd = crowd_of(server.port, 400)
        server.process.send_signal(signal.SIGCONT)
        fates = [outcome(sock) for sock in crowd]
        assert fates.count("greeted") >= 112
        assert exchange_greetings(server.port) == GREETING
        with FramedClient(server.port) as peer:
            assert peer.echo(b"x") == b"x"
            peer.end()
    assert len(server.of("server.limit_reached")) == 1
    assert server.stop() == 0
    assert server.of("runtime.exception") == []
