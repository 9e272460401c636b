"""Which clients came lately: an end that nobody reaches is seen by their number."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

WINDOW: Final = 60.0
"""Seconds for which a client counts after it was last heard."""

MOST: Final = 1024
"""Clients that are remembered; the one that was silent for longest goes first."""


class RecentClients:
    """When each client was heard last, by its address. Pure."""

    def __init__(self, most: int = MOST) -> None:
        """Start with nobody."""
        self._most = most
        self._heard: OrderedDict[str, float] = OrderedDict()

    def heard(self, address: str, now: float) -> None:
        """Note that a client was heard, at a monotonic second."""
        self._heard[address] = now
        self._heard.move_to_end(address)
        if len(self._heard) > self._most:
            self._heard.popitem(last=False)

    def count(self, now: float) -> int:
        """Return how many were heard within the window; forget the others."""
        while self._heard:
            address, at = next(iter(self._heard.items()))
            if now - at <= WINDOW:
                break
            del self._heard[address]
        return len(self._heard)
