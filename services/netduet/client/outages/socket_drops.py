"""When a socket had no room for datagrams, by its counter read now and then. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

_MAX_READINGS: Final = 64


class SocketDrops:
    """Follows the counter of one socket."""

    def __init__(self) -> None:
        """Start before the first reading."""
        self._last: tuple[int, float] | None = None
        self._spans: deque[tuple[float, float, int]] = deque(maxlen=_MAX_READINGS)

    def record(self, total: int | None, now: float) -> None:
        """Take a reading; None: the kernel does not say."""
        if total is None:
            return
        last, self._last = self._last, (total, now)
        if last is not None and total > last[0]:
            self._spans.append((last[1], now, total - last[0]))

    def reset(self) -> None:
        """Begin with another counter; what the one before told stays."""
        self._last = None

    def between(self, start: float, end: float) -> int:
        """Return how many there may have been in a time: in all readings that touch it."""
        return sum(
            count
            for since, until, count in self._spans
            if until > start and since < end
        )
