"""When a socket dropped datagrams, from occasional readings of its counter. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

_MAX_READINGS: Final = 64


class SocketDrops:
    """The drops of one socket."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self._spans: deque[tuple[float, float, int]] = deque(maxlen=_MAX_READINGS)

    def record(self, total: int | None, now: float) -> None:
        """Add a reading; None if the kernel does not report it."""
        if total is None:
            return
        last, self._last = self._last, (total, now)
        if last is not None and total > last[0]:
            self._spans.append((last[1], now, total - last[0]))

    def reset(self) -> None:
        """Continue with another counter; earlier drops are kept."""
        self._last = None

    def between(self, start: float, end: float) -> int:
        """Return the largest possible number of drops between two times."""
        return sum(
            count
            for since, until, count in self._spans
            if until > start and since < end
        )
