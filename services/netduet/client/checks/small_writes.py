"""Are small writes held back until more data follows?

A proxy that waits for a full buffer, or Nagle's algorithm together with delayed
acknowledgements (RFC 896, RFC 1122 §4.2.3.2-4), delays a small write although nothing is
lost. More data behind it sets it free, which a long path does not do.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Finding
from netduet.net.time_span import TimeSpan
from netduet.wire.frames import HEADER_SIZE, Kind

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.timeouts import Timeouts
    from netduet.wire.messages import Welcome

HELD_BACK: Final = "path.held_back"

MIN_HELD_SECONDS: Final = 0.25
"""Seconds by which a small write must be late to be a failure."""

MIN_LATE_SECONDS: Final = 0.1
"""Seconds by which it must be late to be noted."""

MIN_NAGLE_SECONDS: Final = 0.03
"""Seconds by which a second write must be late to be noted: acknowledgements are
delayed by 40 ms and more (tcp(7), TCP_QUICKACK)."""

MIN_RTT_FACTOR: Final = 5.0
"""Factor by which an answer must exceed both kernels' RTTs together."""

MAX_FREED_SHARE: Final = 0.5
"""Share of its time that a small write takes at most when more data follows."""

_SMALL: Final = bytes(8)
_FOLLOWING: Final = bytes(32 * 1024)
_REPEATS: Final = 3
"""Writes of each kind that are tried: the fastest one counts."""

_SPLIT_REPEATS: Final = 8
"""Writes in two pieces: receivers acknowledge the first packets at once."""

_MAX_ALONE_SECONDS: Final = 1.5
"""Seconds in which single writes begin; the first one always does."""

_MAX_SPLIT_SECONDS: Final = 1.8
"""Seconds in which writes in two pieces begin: on a longer path they are left out."""

_SPLIT_PAUSE_SECONDS: Final = 0.002
_SMALL_FRAME_BYTES: Final = HEADER_SIZE + len(_SMALL)


@dataclass(frozen=True, slots=True)
class SmallWrites:
    """How long answers to small writes took, in seconds; empty if none came.

    ``alone``: nothing followed; ``followed`` by 32 KiB of data, tried if the first were
    slow, and ``alone`` again after them; ``split``: in two writes. ``rtt`` is this kernel's; ``resent`` counts the
    packets of the first ones that it sent again, which explains their time. ``welcome``
    is that of the instance that answered.
    """

    alone: tuple[float, ...] = ()
    followed: tuple[float, ...] = ()
    split: tuple[float, ...] = ()
    rtt: float = 0.0
    window: TimeSpan | None = None
    resent: int = 0
    welcome: Welcome | None = None


async def measure_small_writes(address: Address, timeouts: Timeouts) -> SmallWrites:
    """Send small writes on a connection of their own; stop when nothing is late."""
    start = time.monotonic()
    async with open_connection(address, timeouts) as (handshake, connection):
        if connection is None:
            return SmallWrites()
        with contextlib.suppress(OSError):  # it has ended, and answers nothing
            connection.set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        alone: list[float | None] = []
        while len(alone) < _REPEATS and time.monotonic() - start < _MAX_ALONE_SECONDS:
            alone.append(await _echo(connection, timeouts.answer))
        info = connection.info()
        rtt = 0.0 if info is None else info.rtt / 1e6
        resent = 0 if info is None else info.total_retrans
        followed: list[float | None] = []
        split: list[float | None] = []
        times = _known(alone)
        if times and min(times) >= MIN_LATE_SECONDS + MIN_RTT_FACTOR * rtt:
            followed = [
                await _echo(connection, timeouts.answer, followed=True)
                for _ in range(_REPEATS)
            ]
            # Again: a proxy that was busy at first is slow with or without more data.
            alone += [await _echo(connection, timeouts.answer) for _ in range(_REPEATS)]
            times = _known(alone)
        elif times:
            while (
                len(split) < _SPLIT_REPEATS
                and time.monotonic() - start < _MAX_SPLIT_SECONDS
            ):
                split.append(await _echo_split(connection, timeouts.answer))
        await connection.end(timeouts.answer)
    window = TimeSpan(start, time.monotonic())
    return SmallWrites(
        times,
        _known(followed),
        _known(split),
        rtt,
        window,
        resent,
        handshake.welcome,
    )


async def _echo(
    connection: FramedConnection, timeout: float, *, followed: bool = False
) -> float | None:
    """Return how long the answer to a small write took; None if there is none."""
    start = time.monotonic()
    number = connection.send(Kind.SINK, _SMALL, more=followed)
    last = connection.send(Kind.ECHO, _FOLLOWING) if followed else number
    answer = await connection.answer(number, timeout)
    seconds = time.monotonic() - start
    if followed and last != number:
        await connection.answers(timeout)
    return None if answer is None else seconds


async def _echo_split(connection: FramedConnection, timeout: float) -> float | None:
    start = time.monotonic()
    number = await connection.send_in_two(Kind.SINK, _SMALL, _SPLIT_PAUSE_SECONDS)
    answer = await connection.answer(number, timeout)
    return None if answer is None else time.monotonic() - start - _SPLIT_PAUSE_SECONDS


def _known(times: list[float | None]) -> tuple[float, ...]:
    return tuple(seconds for seconds in times if seconds is not None)


def held_back_finding(
    address: Address, writes: SmallWrites, server_rtt: float
) -> Finding | None:
    """Return the finding that small writes wait for more data; times are in seconds."""
    if not writes.alone or not writes.followed or writes.resent:
        return None
    alone, followed = min(writes.alone), min(writes.followed)
    rtt = writes.rtt + server_rtt
    if alone < MIN_HELD_SECONDS + MIN_RTT_FACTOR * rtt:
        return None
    if followed > MAX_FREED_SHARE * alone:
        return None
    seen = (
        f"{address}: small writes are held back: an answer to {_SMALL_FRAME_BYTES} bytes "
        f"takes {1000 * alone:.0f} ms, and {1000 * followed:.0f} ms if more data follows; "
        f"the RTT is {1000 * writes.rtt:.3g} ms"
    )
    evidence = (
        (
            Side.CLIENT,
            (
                f"alone: {_milliseconds(writes.alone)}; followed by "
                f"{len(_FOLLOWING)} bytes: {_milliseconds(writes.followed)}"
            ),
        ),
        (Side.SERVER, f"its kernel's RTT is {1000 * server_rtt:.3g} ms"),
    )
    figures = {"alone_ms": round(1000 * alone, 1), "rtt_ms": round(1000 * rtt, 3)}
    return Finding(
        HELD_BACK, seen, evidence, {**figures}, missed_deadline=writes.window
    )


def _freed_notes(
    address: Address, alone: float, followed: float, rtt: float
) -> list[str]:
    """Note small writes that are held back for less than what is a failure."""
    if alone >= MIN_HELD_SECONDS + MIN_RTT_FACTOR * rtt:
        return []
    return [
        (
            f"{address}: small writes are held back: an answer to {_SMALL_FRAME_BYTES} "
            f"bytes takes {1000 * alone:.0f} ms, and {1000 * followed:.0f} ms if more "
            "data follows"
        )
    ]


def small_write_notes(
    address: Address, writes: SmallWrites, server_rtt: float
) -> list[str]:
    """Return notes on delays that nothing proves to be a fault; times in seconds."""
    if not writes.alone or writes.resent:
        return []
    alone, rtt = min(writes.alone), writes.rtt + server_rtt
    late = alone >= MIN_LATE_SECONDS + MIN_RTT_FACTOR * rtt
    if late and writes.followed:
        followed = min(writes.followed)
        if followed <= MAX_FREED_SHARE * alone:
            return _freed_notes(address, alone, followed, rtt)
        return [
            (
                f"{address}: an answer takes {1000 * alone:.0f} ms, although both kernels' "
                f"RTTs add up to {1000 * rtt:.3g} ms: something in between holds data back, "
                "or there is a long way between two proxies"
            )
        ]
    if len(writes.split) < _SPLIT_REPEATS:
        return []
    waits = median(writes.split[_SPLIT_REPEATS // 2 :]) - alone
    if waits < MIN_NAGLE_SECONDS + MIN_RTT_FACTOR * rtt:
        return []
    return [
        (
            f"{address}: the second of two small writes is held back for "
            f"{1000 * waits:.0f} ms (RTT {1000 * rtt:.3g} ms): Nagle's algorithm at a "
            "proxy in between waits for a delayed acknowledgement; enable TCP_NODELAY "
            "there"
        )
    ]


def _milliseconds(times: tuple[float, ...]) -> str:
    return ", ".join(f"{1000 * seconds:.0f}" for seconds in times) + " ms"


FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        HELD_BACK,
        "small writes are held back until more data follows",
        (
            "The answer to a small request takes many times the RTT, and comes at once "
            "if more data follows the request. Something in between collects data "
            "before it passes it on."
        ),
        Location.INTERMEDIARY,
        (
            "a proxy buffers what it forwards until a buffer is full or a timer expires",
            "a TLS, compression or inspection device waits for whole records or blocks",
        ),
        (
            (
                "disable buffering at the proxy (nginx: proxy_buffering off, "
                "proxy_request_buffering off; HAProxy: option http-no-delay)"
            ),
            "enable TCP_NODELAY on both sides of the proxy",
            "connect directly to the server's address, bypassing any proxy or load balancer",
        ),
        severity=Severity.PERFORMANCE,
    ),
)
