"""Random client behaviour breaks nothing and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time

import pytest

from netduet.wire.frames import MAGIC, Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.framed_client import (
    GREETING,
    HELLO,
    connect,
    exchange_greetings,
    opening,
    reset,
)

ECHO = serialize(Kind.ECHO, b"x" * 500)

WORDS = (
    HELLO,
    MAGIC,
    opening(),
    opening()[:30],
    opening(version=7),
    opening() + ECHO * 20,
    ECHO,
    ECHO * 400,
    ECHO[:100],
    serialize(Kind.REPORT, b"{}") * 3,
    serialize(Kind.LEDGER, b'{"conn_id":"%s"}' % (b"0" * 32)),
    serialize(Kind.END),
    serialize(99),
    b"\xff" * 2000,
    bytes(300_000),
)


def misbehave(port: int, chance: random.Random) -> None:
    """Connect, say a few things, perhaps read, and leave in some way."""
    sock = connect(port)
    sock.settimeout(chance.choice([0.001, 0.01, 0.2]))
    with contextlib.suppress(OSError):
        for _ in range(chance.randrange(5)):
            sock.sendall(chance.choice(WORDS))
            if chance.random() < 0.5:
                sock.recv(chance.choice([1, 100, 65536]))
            if chance.random() < 0.2:
                sock.shutdown(socket.SHUT_WR)
            if chance.random() < 0.1:
                time.sleep(chance.choice([0.01, 0.15]))  # some are slow
    if chance.random() < 0.5:
        reset(sock)
    else:
        sock.close()


@pytest.mark.parametrize("seed", range(3))
async def test_random_clients_leave_nothing_behind(
    start_server: StartServer, seed: int
) -> None:
    """Hundreds of clients of all kinds at once, with short and low limits."""
    running = await start_server(
        max_connections=20,
        first_byte_timeout=0.1,
        opening_timeout=0.1,
        frame_timeout=0.1,
        idle_timeout=0.1,
        write_timeout=0.1,
        linger=0.05,
        plain_linger=0.1,
        linger_bytes=100_000,
        write_buffer=4096,
        drain_timeout=5.0,
        ledger_size=10,
    )

    def run_clients(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        for _ in range(40):
            misbehave(running.port, chance)

    await asyncio.gather(
        *(asyncio.to_thread(run_clients, number) for number in range(6))
    )
    assert await asyncio.to_thread(exchange_greetings, running.port) == GREETING
    await running.stop()
    [stopped] = running.lines.of("server.stopped")
    assert stopped["netduet.accepted"] >= 200
    assert stopped["netduet.reset"] == 0
    assert running.server._connections == set()
    context = running.server._context
    assert (context.admission.open, context.admission._by_client) == (0, {})
    closed = len(running.lines.of("connection.closed"))
    refused = stopped["netduet.refused"] + stopped["netduet.turned_away"]
    assert closed + refused == stopped["netduet.accepted"]
    entries = context.ledger._entries.values()
    assert all(entry.record and entry.record.ended for entry in entries)


async def test_ending_to_a_peer_with_unread_reset_raises_nothing(
    start_server: StartServer,
) -> None:
    """Our FIN to a peer whose RST is still unread is no defect."""
    running = await start_server(first_byte_timeout=0.1)
    sock = connect(running.port)
    assert await asyncio.to_thread(exchange_greetings, running.port) == GREETING
    [greeted] = (
        connection for connection in running.server._connections if not connection.ended
    )
    # The loop does not run from here on: it has not heard of the reset.
    time.sleep(0.15)  # noqa: ASYNC251
    reset(sock)
    greeted._writer._check_deadline()
    line = await running.closed_line(2)
    assert line["netduet.ended"] == "limit.first_byte"
    assert line["error.type"] in ("ENOTCONN", "ECONNRESET")


async def test_resets_during_a_write_raise_nothing(
    start_server: StartServer,
) -> None:
    """Clients that reset while their answer is being written are only recorded."""
    running = await start_server(drain_timeout=5.0)

    def talk() -> None:
        for number in range(600):
            sock = connect(running.port)
            sock.sendall((HELLO, opening() + ECHO * 50, opening(version=2))[number % 3])
            for _ in range(number % 40):  # a moment that differs each time
                sock.getpeername()
            reset(sock)

    await asyncio.gather(asyncio.to_thread(talk), asyncio.to_thread(talk))
    await running.stop()
    assert len(running.lines.of("connection.closed")) == 1200
