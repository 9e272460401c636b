"""Rates that no client exceeds for long: connections, datagrams, bytes, lifetimes."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
from typing import Any

from netduet.server.rate_limit import BURST_SECONDS
from netduet.wire.frames import HEADER_SIZE, MAGIC, Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.framed_client import (
    GREETING,
    FramedClient,
    connect,
    exchange_greetings,
    opening,
    read_to_end,
)
from tests.integration.servers import wait_until

KIB = 1024
MIB = 1024 * KIB
SLOWEST = 0.01
"""A rate per second at which nothing is refilled while a test runs."""


async def test_connections_beyond_the_rate_are_refused(
    start_server: StartServer,
) -> None:
    """The first few are sent the reason; another address is served."""
    rate = 5 / BURST_SECONDS
    running = await start_server(connection_rate_per_client=rate)

    def failure() -> dict[str, Any] | None:
        with connect(running.port, source="127.0.0.2") as sock:
            sock.sendall(opening())
            answer = read_to_end(sock)
        return dict(json.loads(answer[len(MAGIC) + HEADER_SIZE :]))

    def talk() -> dict[str, Any] | None:
        for _ in range(5):
            with FramedClient(running.port, source="127.0.0.2") as peer:
                peer.end()
        found = failure()
        assert exchange_greetings(running.port) == GREETING
        return found

    refusal = await asyncio.to_thread(talk)
    assert refusal is not None
    assert refusal["code"] == "too_many_connections"
    assert "new connections a second from this address" in refusal["message"]
    assert len(running.lines.of("server.limit_reached")) == 1
    assert running.server._counters.refused == 1


async def test_datagrams_beyond_the_rate_are_dropped(
    start_server: StartServer,
) -> None:
    """Those of another address are answered."""
    running = await start_server(datagram_rate_per_client=10 / BURST_SECONDS)
    counters = running.server._counters
    question = MAGIC + serialize(Kind.ECHO, b"x" * 100)

    def ask(source: str, count: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(10)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", running.port))
        for _ in range(count):
            sock.send(question)
        return sock

    with ask("127.0.0.2", 50) as sock:
        await wait_until(lambda: counters.limits.get("datagrams_per_client", 0) >= 38)
        assert 10 <= counters.datagrams_answered <= 12
        with ask("127.0.0.3", 1) as other:
            assert await asyncio.to_thread(other.recv, 200)
        assert await asyncio.to_thread(sock.recv, 200)
    [line] = running.lines.of("limit.reached")
    assert line["netduet.limit_name"] == "datagrams_per_client"


async def test_who_fills_the_link_is_ended(start_server: StartServer) -> None:
    """A transfer ends once its address has used its burst; others go on."""
    running = await start_server(
        traffic_rate_per_client=SLOWEST, traffic_burst_per_client=4 * MIB
    )
    source = serialize(Kind.SOURCE, b'{"size":1048576,"seed":5}')

    def transfer() -> tuple[int, dict[str, Any]]:
        with FramedClient(running.port, source="127.0.0.2") as peer:
            received = 0
            while True:
                peer.sock.sendall(source)
                frame = peer.receive()
                if frame.kind == Kind.ERROR:
                    return received, json.loads(frame.payload)
                received += len(frame.payload)
                select.select([], [], [], 0.01)  # the pace of this client

    def talk() -> tuple[int, dict[str, Any]]:
        with FramedClient(running.port) as other:
            found: list[tuple[int, dict[str, Any]]] = []
            thread = threading.Thread(target=lambda: found.append(transfer()))
            thread.start()
            while thread.is_alive():
                assert other.echo(b"still here") == b"still here"
                thread.join(0.05)
            other.end()
        return found[0]

    received, failure = await asyncio.to_thread(talk)
    assert failure["code"] == "overloaded"
    assert received >= 4 * MIB
    assert running.server._counters.limits == {"traffic_per_client": 1}
    [line] = running.lines.of("limit.reached")
    assert line["client.address"] == "127.0.0.2"


async def test_connection_ends_at_its_lifetime(start_server: StartServer) -> None:
    """However much it is used, and with the reason."""
    running = await start_server(connection_lifetime=0.5)

    def talk() -> str:
        with FramedClient(running.port) as peer:
            while True:
                peer.send(Kind.ECHO, b"x")
                frame = peer.receive()
                if frame.kind == Kind.ERROR:
                    return str(json.loads(frame.payload)["code"])

    assert await asyncio.to_thread(talk) == "expired"
    assert (await running.closed_line())["netduet.ended"] == "limit.lifetime"
