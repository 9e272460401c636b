"""How many further connections all peers of a watch may make: a token bucket. Pure."""

from __future__ import annotations

from typing import Final

CONNECTIONS_PER_SECOND: Final = 20.0
"""Further connections of all peers together; four peers with all of theirs."""

MAX_SAVED: Final = 20.0
"""Connections that may follow each other at once, after a time without any."""


class ConnectionBudget:
    """Bounds the connections beside the regular ones, however many peers fail."""

    def __init__(self) -> None:
        self._left = MAX_SAVED
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Whether another connection may be made at a monotonic second."""
        gained = (now - self._at) * CONNECTIONS_PER_SECOND
        self._left = min(MAX_SAVED, self._left + gained)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
