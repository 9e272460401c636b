"""The watchdog, with real listening sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest_asyncio

from netduet.net.bind import bind
from netduet.server.counters import Counters
from netduet.server.listener import Listener
from netduet.server.watchdog import _MAX_IDLE_CHECKS, Watchdog
from tests.integration.servers import LogLines, wait_until


@dataclass
class Guarded:
    """A listener with its watchdog, and the reasons for which that wanted to end."""

    listener: Listener
    port: int
    counters: Counters
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the watchdog."""
        self.watchdog = Watchdog(
            LogLines().logger(), self.listener, self.counters, self.reasons.append
        )

    def has_accepted_more_than(self, count: int) -> bool:
        """Return whether more connections than that were accepted."""
        return self.counters.accepted > count

    def check(self, count: int = _MAX_IDLE_CHECKS) -> None:
        """Check several times in a row, in which the loop does not run."""
        for _ in range(count):
            self.watchdog.check()


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[Guarded]:
    """Listen, and accept what the loop has time for."""
    sockets = bind("127.0.0.1", 0, udp=False)
    counters = Counters()

    def accept(_: int | None) -> asyncio.Protocol:
        counters.accepted += 1
        return asyncio.Protocol()

    listener = Listener(sockets.tcp, accept)
    await listener.start(8)
    yield Guarded(listener, sockets.port, counters)
    await listener.stop(0.0)


async def test_listener_that_accepts_nothing_is_noticed(guarded: Guarded) -> None:
    """Connections wait, as after a loop has lost its listener."""
    guarded.check()
    assert guarded.reasons == []
    with socket.create_connection(("127.0.0.1", guarded.port)):
        guarded.check(_MAX_IDLE_CHECKS - 1)
        assert guarded.reasons == []
        guarded.check(1)
    assert guarded.reasons == ["the listener accepts nothing"]


async def test_listener_that_accepts_is_left_alone(guarded: Guarded) -> None:
    """It may be slower than connections come."""
    socks = []
    for _ in range(2 * _MAX_IDLE_CHECKS):
        socks += [
            socket.create_connection(("127.0.0.1", guarded.port)) for _ in range(3)
        ]
        guarded.check(1)
        accepted = guarded.counters.accepted
        await wait_until(partial(guarded.has_accepted_more_than, accepted))
    assert guarded.reasons == []
    for sock in socks:
        sock.close()
