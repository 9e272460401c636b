"""Finds out whether a path is so slow that the checks' own traffic would fill it.

A large echo takes longer than a small one by the time that its bytes need in both
directions. On a fast path the difference is below the noise, and nothing is limited.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from netduet.client.net.framed_connection import open_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netduet.client.net.dial import Address
    from netduet.client.net.framed_connection import FramedConnection
    from netduet.client.net.timeouts import Timeouts

SLOW_BITS_PER_SECOND: Final = 2e6
"""Rate from which on a path is fast enough for every check."""

SMALL_BYTES: Final = 8
LARGE_BYTES: Final = 4096
"""Size of the large echo: it fits the first flight of segments (RFC 6928)."""

MAX_TRIES: Final = 2
"""A lost segment makes a fast path look slow, but hardly twice."""

FULL_PACKET_BYTES: Final = 1500
"""Bytes of a full-size packet on most paths, headers included."""
SUSTAINED_ECHOES: Final = 12
"""Large echoes that empty a shaper's bucket: 48 KiB."""
_MAX_SUSTAINED_SECONDS: Final = 4.0
_MIN_SECONDS: Final = 1e-6

MIN_GROWTH_SECONDS: Final = 0.025
"""Growth of the RTT that shows a queue."""

CONNECTION_BYTES: Final = 1300
"""Bytes that a short connection takes in its larger direction, headers included."""
DATAGRAM_BYTES: Final = 230
"""Bytes of a small datagram, headers included."""
ECHO_BYTES: Final = 200
"""Bytes that a small question on a connection takes in one direction, with the ACK."""


def spacing(packet_bytes: int, rate: float, share: float) -> float:
    """Return the seconds between two of these that take a share of a rate in bit/s."""
    return 8 * packet_bytes / (rate * share)


def transit_seconds(size: int, rate: float) -> float:
    """Return the seconds that a path with this rate in bit/s needs for these bytes."""
    return spacing(size, rate, 1.0)


async def measure_rate(address: Address, timeouts: Timeouts) -> float:
    """Return the rate of a slow path in bit/s, infinity for any other; never raises."""
    shortest = math.inf
    async with open_connection(address, timeouts) as (_, connection):
        if connection is None:
            return math.inf
        for _ in range(MAX_TRIES):
            small = await _echo_seconds(connection, SMALL_BYTES, timeouts.answer)
            large = await _echo_seconds(connection, LARGE_BYTES, timeouts.answer)
            if small is None or large is None:
                break
            shortest = min(shortest, large - small)
            if _rate(shortest) >= SLOW_BITS_PER_SECOND:
                break
        await connection.end(timeouts.answer)
    rate = _rate(shortest)
    return rate if rate < SLOW_BITS_PER_SECOND else math.inf


async def sustained_rate(address: Address, timeouts: Timeouts) -> float:
    """Return the rate of a path in bit/s if it is slow once more is sent; never raises.

    Infinity for any other. A shaper with a token bucket (tc-tbf(8)) lets its first bytes
    pass at the speed of the link, and only then delays them.
    """
    arrivals: list[float] = []
    round_trips: list[float] = []
    async with open_connection(address, timeouts) as (_, connection):
        if connection is None:
            return math.inf
        for _ in range(SUSTAINED_ECHOES):
            connection.ask(LARGE_BYTES)
        deadline = time.monotonic() + _MAX_SUSTAINED_SECONDS
        while len(arrivals) < SUSTAINED_ECHOES:
            count = await connection.answers(deadline - time.monotonic())
            if count is None:
                break
            arrivals += [time.monotonic()] * count
            info = connection.info()
            round_trips += [] if info is None else [info.rtt / 1e6]
        connection.reset()
    return drain_rate(arrivals, round_trips)


def drain_rate(arrivals: Sequence[float], round_trips: Sequence[float]) -> float:
    """Return the rate in bit/s at which a queue drains, infinity without a queue. Pure.

    ``arrivals`` are those of large echoes. Only if this kernel's smoothed
    ``round_trips`` grow meanwhile there is a queue: a program that is late, or a long
    path, does not let them grow.
    """
    later = arrivals[len(arrivals) // 2 :]
    if len(later) < 2 or max(round_trips) - min(round_trips) < MIN_GROWTH_SECONDS:  # noqa: PLR2004 - a rate has a begin and an end
        return math.inf
    seconds = max(later[-1] - later[0], _MIN_SECONDS)
    rate = 8 * LARGE_BYTES * (len(later) - 1) / seconds
    return rate if rate < SLOW_BITS_PER_SECOND else math.inf


def _rate(seconds: float) -> float:
    bits = 2 * 8 * (LARGE_BYTES - SMALL_BYTES)
    # Infinity: no large echo came back, so nothing is known (an MTU black hole).
    return bits / seconds if 0 < seconds < math.inf else math.inf


async def _echo_seconds(
    connection: FramedConnection, size: int, timeout: float
) -> float | None:
    start = time.monotonic()
    connection.ask(size)
    if not await connection.answers(timeout):
        return None
    return time.monotonic() - start
