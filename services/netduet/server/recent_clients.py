"""Counts recent clients: a server that nobody reaches shows by their number."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

WINDOW_SECONDS: Final = 60.0
"""Seconds for which a client counts after it was last active."""

MAX_CLIENTS: Final = 1024
"""Clients that are remembered; the least recently active is forgotten first."""


class RecentClients:
    """When each client was last active, by its address. Pure."""

    def __init__(self, max_clients: int = MAX_CLIENTS) -> None:
        """Start empty."""
        self._max_clients = max_clients
        self._last_active: OrderedDict[str, float] = OrderedDict()

    def add(self, address: str, now: float) -> None:
        """Note that a client is active, at a monotonic second."""
        self._last_active[address] = now
        self._last_active.move_to_end(address)
        if len(self._last_active) > self._max_clients:
            self._last_active.popitem(last=False)

    def count(self, now: float) -> int:
        """Return how many were active within the window; forget the others."""
        while self._last_active:
            address, last_active = next(iter(self._last_active.items()))
            if now - last_active <= WINDOW_SECONDS:
                break
            del self._last_active[address]
        return len(self._last_active)
