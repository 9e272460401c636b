"""Connecting from several source ports: the first answer wins."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from netduet.client.net import connect_race
from netduet.client.net.connect_race import ConnectRace
from netduet.client.net.dial import Address, Cause, ConnectResult, connect


@contextmanager
def listening() -> Iterator[tuple[socket.socket, Address]]:
    """Yield a listening socket and its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, Address(socket.AF_INET, "127.0.0.1", server.getsockname()[1])


async def test_first_port_wins() -> None:
    """Without loss one port is enough, and it is known."""
    race = ConnectRace()
    with listening() as (server, address):
        result = await race.connect(address, 5.0)
        assert result.sock is not None
        with closing(result.sock), closing(server.accept()[0]) as accepted:
            assert accepted.getpeername()[1] == result.port
    assert race.silent == []


async def test_refusal_is_an_answer() -> None:
    """A refusal ends the race."""
    with listening() as (_, address):
        pass
    race = ConnectRace()
    result = await race.connect(address, 5.0)
    assert result.cause is Cause.REFUSED
    assert race.silent == []


async def test_silent_port_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port without an answer is no end: another one gets it."""
    attempts: dict[asyncio.Task[object] | None, int] = {}

    async def first_is_dead(
        address: Address, timeout: float, port: int = 0
    ) -> ConnectResult:
        # An attempt whose port is in use calls again, with any port.
        attempts.setdefault(asyncio.current_task(), port)
        is_first = next(iter(attempts)) is asyncio.current_task()
        # The accept queue of the silent address is full: its SYNs get no answer.
        return await connect(silent if is_first else address, timeout, port)

    monkeypatch.setattr(connect_race, "connect", first_is_dead)
    with (
        listening() as (_, address),
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
    ):
        silent = Address(socket.AF_INET, *full.getsockname())
        race = ConnectRace()
        result = await race.connect(address, 30.0)
        assert result.sock is not None
        result.sock.close()
    assert [each.port for each in race.silent] == list(attempts.values())[:1]
    assert race.silent[0].cause is Cause.TIMEOUT


async def test_no_answer_at_all_is_the_first_attempts_result() -> None:
    """It had all the time; the others are no evidence against single ports."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
    ):
        address = Address(socket.AF_INET, *full.getsockname())
        race = ConnectRace()
        result = await race.connect(address, 1.0)
    assert result.cause is Cause.TIMEOUT
    assert race.silent == []


async def test_connect_uses_the_given_port() -> None:
    """The server sees it; a port in use is an error of this host."""
    with listening() as (server, address):
        first = await connect(address, 5.0)
        assert first.sock is not None
        with closing(first.sock), closing(server.accept()[0]) as accepted:
            assert accepted.getpeername()[1] == first.port
            again = await connect(address, 5.0, first.port)
    assert again.sock is None
    assert again.cause is Cause.OTHER
