"""Finding out whether a path is slow, against a real server."""

from __future__ import annotations

import math
import socket

import pytest

from netduet.client.net import path_rate
from netduet.client.net.dial import Address
from netduet.client.net.path_rate import measure_rate, sustained_rate
from netduet.client.net.timeouts import Timeouts
from tests.integration.conftest import StartServer

TIMEOUTS = Timeouts(5.0, 5.0, 5.0)


async def test_loopback_is_not_slow(start_server: StartServer) -> None:
    """The checks run at their full rate."""
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    assert await measure_rate(address, TIMEOUTS) == math.inf
    assert await sustained_rate(address, TIMEOUTS) == math.inf


async def test_unreachable_server_is_not_slow() -> None:
    """Other checks say what is wrong."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = Address(socket.AF_INET, *unused.getsockname())
        assert await measure_rate(address, TIMEOUTS) == math.inf
        assert await sustained_rate(address, TIMEOUTS) == math.inf


async def test_time_of_a_large_echo_is_the_rate(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes go both ways; the faster try counts."""
    seconds = iter([0.6, 1.8, 0.6, 1.7])

    async def echo(*_: object) -> float:
        return next(seconds)

    monkeypatch.setattr(path_rate, "_echo_seconds", echo)
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    rate = await measure_rate(address, TIMEOUTS)
    assert rate == pytest.approx(2 * 8 * (4096 - 8) / 1.1)


async def test_large_echo_without_an_answer_says_nothing(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An MTU black hole is no slow path: the checks that find it must run."""
    seconds = iter([0.001, None])

    async def echo(*_: object) -> float | None:
        return next(seconds)

    monkeypatch.setattr(path_rate, "_echo_seconds", echo)
    running = await start_server()
    address = Address(socket.AF_INET, "127.0.0.1", running.port)
    assert await measure_rate(address, TIMEOUTS) == math.inf
