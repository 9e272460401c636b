"""The drain: how open connections end when the server shuts down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netduet.server.counters import Counters
    from netduet.server.tcp_connection import TcpConnection

DRAIN_POLL_SECONDS: Final = 0.05
"""Seconds between two checks of the connections that a drain waits for."""

BUSY_SECONDS: Final = 2.0
"""Seconds of a drain in which a peer that keeps asking is answered (P-80)."""

_MAX_LAST_TURNS: Final = 100


async def drain(
    connections: set[TcpConnection],
    counters: Counters,
    closing: asyncio.Task[None],
    leave: asyncio.Event,
    timeout: float,
) -> None:
    """Let open connections finish within ``timeout`` seconds; reset and count the rest.

    Quiet peers are sent the reason at once, busy ones after ``BUSY_SECONDS`` or half the
    timeout, behind the answers to what they have asked. ``closing`` is the task that
    closes the listener and adds what it still accepts. ``leave`` ends all waiting.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    patience = start + min(BUSY_SECONDS, timeout / 2)
    until = start + timeout
    while not leave.is_set():
        now = loop.time()
        if closing.done() and (not connections or now >= until):
            break
        for connection in list(connections) if now < until else ():
            if connection.quiet:
                counters.drained += connection.ended is None
                connection.drain()
            elif now >= patience:
                counters.drained += connection.drain_busy()
        await wait_for_event(leave, DRAIN_POLL_SECONDS)
    closing.cancel()
    await asyncio.wait([closing])
    await _reset_all(connections, counters)


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until an event is set, but no longer than this."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def _reset_all(connections: set[TcpConnection], counters: Counters) -> None:
    for connection in list(connections):
        connection.reset()
        counters.reset += 1
    # The loop reports each lost connection in its next turns.
    for _ in range(_MAX_LAST_TURNS):
        if not connections:
            break
        await asyncio.sleep(0)
