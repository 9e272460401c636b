"""Asks departed addresses, quietly, whether an instance answers there again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.watch.discovery import Departure
    from netduet.client.watch.peer_dialer import PeerDialer

MIN_INTERVAL_SECONDS: Final = 2.0
MAX_INTERVAL_SECONDS: Final = 30.0
"""Seconds between two attempts at one address: at first, and after some minutes."""

MAX_CONCURRENT: Final = 8
"""Addresses that are tried at the same time."""

_INTERVAL_SHARE: Final = 0.1
"""The interval, as a share of the time since the departure."""


class ReturnProbe:
    """Tries each departed address less and less often."""

    def __init__(self, timeouts: Timeouts) -> None:
        """Prepare; ``timeouts`` are those of a connection."""
        self._timeouts = timeouts
        self._due: dict[Address, float] = {}

    async def find(
        self,
        departed: Iterable[tuple[Address, Departure]],
        dialer: Callable[[Address], PeerDialer],
        now: float,
    ) -> list[Address]:
        """Return those of the addresses that are due at which an instance answers."""
        departures = dict(departed)
        self._due = {
            address: due for address, due in self._due.items() if address in departures
        }
        due = []
        for address, departure in departures.items():
            interval = _INTERVAL_SHARE * (now - departure.since)
            interval = min(MAX_INTERVAL_SECONDS, max(MIN_INTERVAL_SECONDS, interval))
            if now >= self._due.setdefault(address, departure.since + interval):
                self._due[address] = now + interval
                due.append(address)
        batch = due[:MAX_CONCURRENT]
        for address in due[MAX_CONCURRENT:]:
            self._due[address] = now
        found = await asyncio.gather(*(self._answers(dialer(item)) for item in batch))
        return [
            address for address, answers in zip(batch, found, strict=True) if answers
        ]

    async def _answers(self, dialer: PeerDialer) -> bool:
        await dialer.identify_once()
        async with dialer.open(self._timeouts) as (_, connection):
            if connection is None:
                return False
            await connection.end(self._timeouts.answer)
            return True
