"""Counts recently active clients: none means that nobody reaches the server."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

WINDOW_SECONDS: Final = 60.0
"""Seconds for which a client counts after its last activity."""

MAX_CLIENTS: Final = 1024
"""Clients that are remembered; the least recently active is forgotten first."""


class RecentClients:
    """The last activity of each client, by address. Pure."""

    def __init__(self, max_clients: int = MAX_CLIENTS) -> None:
        self._max_clients = max_clients
        self._last_active: OrderedDict[str, float] = OrderedDict()

    def add(self, address: str, now: float) -> None:
        """Record activity of a client, at a monotonic second."""
        self._last_active[address] = now
        self._last_active.move_to_end(address)
        if len(self._last_active) > self._max_clients:
            self._last_active.popitem(last=False)

    def count(self, now: float) -> int:
        """Return the number of clients active within the window; forget the others."""
        while self._last_active:
            address, last_active = next(iter(self._last_active.items()))
            if now - last_active <= WINDOW_SECONDS:
                break
            del self._last_active[address]
        return len(self._last_active)
