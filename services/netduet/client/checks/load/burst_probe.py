"""Sends packets singly and several at once, to see which of them are lost.

Run after a transfer that lost many packets. Each trial follows a pause, so queues and
buckets are empty and full again. The sender's kernel counts what it sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Final

from netduet.client.checks.load.results import BurstCount
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.results.location import Direction
from netduet.wire import payload_pattern
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import SourceQuestion

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.timeouts import Timeouts
    from netduet.wire.messages import TcpInfo

SINGLES: Final = 60
"""Single packets: at 6 % loss, all of them pass in 2.4 % of trials."""

BURST_SIZES: Final = (2, 4, 10)
"""Packets of a burst: a new connection sends up to 10 at once (RFC 6928)."""

_TRIALS_PER_SIZE: Final = 5
"""Bursts of each size."""

_SINGLE_GAP_SECONDS: Final = (0.005, 0.05)
"""Least and greatest time between two single packets."""

_BURST_GAP_SECONDS: Final = 0.05
_MAX_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 0.5
"""Seconds for the last packets to be sent again."""

_TRIAL_SECONDS: Final = 1.0
_SPARE_RATE_FACTOR: Final = 2.0
"""Factor by which single packets stay below the rate that the transfer reached."""


async def count_bursts(
    address: Address, timeouts: Timeouts, direction: Direction, rate: float | None
) -> tuple[BurstCount, ...]:
    """Return what was lost of single packets and of each size of burst.

    ``rate`` is what the transfer reached, in bit/s. What could not be tried in time is
    left out.
    """
    probe = _BurstProbe(address, timeouts, direction)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_MAX_SECONDS):
            await probe.try_singles(rate or 0.0)
            for _ in range(_TRIALS_PER_SIZE):
                for size in BURST_SIZES:
                    await asyncio.sleep(_BURST_GAP_SECONDS)
                    await probe.try_burst(size)
    return probe.counts()


class _BurstProbe:
    """Counts the lost packets of each size of burst, in one direction."""

    def __init__(
        self, address: Address, timeouts: Timeouts, direction: Direction
    ) -> None:
        self._address = address
        self._timeouts = timeouts
        self._direction = direction
        self._sent: dict[int, int] = {}
        self._lost: dict[int, int] = {}

    def counts(self) -> tuple[BurstCount, ...]:
        """Return the counts, the smallest burst first."""
        return tuple(
            BurstCount(self._direction, size, sent, min(sent, self._lost[size]))
            for size, sent in sorted(self._sent.items())
        )

    async def try_singles(self, rate: float) -> None:
        """Send single packets, with time between them, on one connection."""
        async with open_connection(self._address, self._timeouts) as (_, connection):
            before = await self._sender_info(connection)
            if connection is None or before is None:
                return
            low, high = _SINGLE_GAP_SECONDS
            packet_seconds = 8 * before.snd_mss / rate if rate else high
            gap = min(high, max(low, _SPARE_RATE_FACTOR * packet_seconds))
            for _ in range(SINGLES):
                self._send(connection, before.snd_mss)
                await asyncio.sleep(gap)
            await self._settle(connection)
            self._record(1, SINGLES, before, await self._sender_info(connection))

    async def try_burst(self, size: int) -> None:
        """Send that many packets at once on a new connection."""
        async with open_connection(self._address, self._timeouts) as (_, connection):
            before = await self._sender_info(connection)
            if connection is None or before is None:
                return
            number = self._send(connection, size * before.snd_mss)
            await connection.answer(number, _TRIAL_SECONDS)
            after = await self._sender_info(connection)
            self._record(size, size, before, after)

    def _send(self, connection: FramedConnection, size: int) -> int:
        """Have the sender send a frame of this size, its header included."""
        payload = max(1, size - HEADER_SIZE)
        seed = secrets.randbits(8 * payload_pattern.SEED_SIZE)
        if self._direction is Direction.UP:
            return connection.send(Kind.SINK, payload_pattern.make(payload, seed))
        question = SourceQuestion(size=payload, seed=seed)
        return connection.send(Kind.SOURCE, question)

    async def _settle(self, connection: FramedConnection) -> None:
        """Wait until our packets are acknowledged, for a limited time."""
        until = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < until:
            info = connection.info()
            if self._direction is Direction.UP and info and not info.unacked:
                return
            await asyncio.sleep(_BURST_GAP_SECONDS)

    async def _sender_info(self, connection: FramedConnection | None) -> TcpInfo | None:
        if connection is None:
            return None
        if self._direction is Direction.UP:
            return connection.info()
        report = await connection.report(_TRIAL_SECONDS)
        return None if report is None else report.connection

    def _record(
        self, size: int, sent: int, before: TcpInfo, after: TcpInfo | None
    ) -> None:
        if after is None:
            return
        lost = after.total_retrans - before.total_retrans
        lost -= (after.dsack_dups or 0) - (before.dsack_dups or 0)
        self._sent[size] = self._sent.get(size, 0) + sent
        self._lost[size] = self._lost.get(size, 0) + max(0, lost)
