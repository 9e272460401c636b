"""The budget of log lines: how many a client, and all clients, may cause."""

from __future__ import annotations

from typing import Final

INTERVAL_SECONDS: Final = 60.0
"""Seconds for which a budget lasts; then it is renewed."""

MAX_LINES_PER_CLIENT: Final = 20
"""Lines per client address and interval: 29,000 a day, some 15 MB; 45 MB with the longest texts."""

MAX_LINES: Final = 300
"""Lines of all clients per interval: 432,000 a day, some 220 MB; 660 MB with the longest texts."""


class LineBudget:
    """Counts the lines of the current interval, by client address. Pure."""

    def __init__(
        self, per_client: int = MAX_LINES_PER_CLIENT, total: int = MAX_LINES
    ) -> None:
        self.per_client = per_client
        self.total = total
        self._lines = 0
        # At most ``total`` addresses: only those that have had a line.
        self._by_client: dict[str, int] = {}
        self._renewal = float("-inf")

    def take(self, address: str, now: float) -> bool:
        """Return whether a client may have a line at a monotonic second; count it."""
        if now >= self._renewal:
            self._renewal = now + INTERVAL_SECONDS
            self._lines = 0
            self._by_client.clear()
        count = self._by_client.get(address, 0)
        if count >= self.per_client or self._lines >= self.total:
            return False
        self._by_client[address] = count + 1
        self._lines += 1
        return True
