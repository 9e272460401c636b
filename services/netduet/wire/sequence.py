"""What of a sequence has not arrived: the gaps, sorted, within a bound.

Both ends of a stream keep one: the server of what the client sends, the client of
what the server sends. A gap is a pair, its first missing number and the first one
behind it that is not missing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

MOST: Final = 128
"""Gaps that are remembered; the oldest is forgotten first."""

Gap = tuple[int, int]


class SequenceGaps:
    """Numbers that arrive in any order, from ``first`` on or from whichever comes first.

    ``first`` is the lowest number that has arrived, ``next`` follows the highest;
    ``late`` counts those that came behind a higher one. Below ``floor`` nothing is
    remembered: what arrives there counts as late, and not as received.
    """

    __slots__ = (
        "_begins",
        "_ends",
        "_given",
        "_most",
        "duplicated",
        "first",
        "floor",
        "late",
        "next",
        "received",
    )

    def __init__(self, most: int = MOST, first: int | None = None) -> None:
        """Start with nothing arrived; say which number is the first, where it is known."""
        self._given = first is not None
        self.first = self.floor = self.next = first or 0
        self.received = 0
        self.duplicated = 0
        self.late = 0
        self._most = most
        self._begins: list[int] = []
        self._ends: list[int] = []

    def take(self, number: int) -> bool:
        """Count one; tell whether it is the highest so far."""
        if not (self.received or self._given):
            self.first = self.floor = number
        elif number < self.next:
            self._behind(number)
            return False
        elif number > self.next:
            self._insert(len(self._begins), self.next, number)
        self.next = number + 1
        self.received += 1
        return True

    def newest(self, count: int) -> tuple[Gap, ...]:
        """Return the newest gaps, so many at most, in their order."""
        begins, ends = self._begins[-count:], self._ends[-count:]
        return tuple(zip(begins, ends, strict=True))

    def since(self, count: int) -> int:
        """Return from which number on the ``newest`` so many are all the gaps there are."""
        held = len(self._begins)
        return self.floor if held <= count else self._begins[held - count]

    def forget(self, below: int) -> tuple[Gap, ...]:
        """Forget what is below a number; return the gaps that were, cut there."""
        gone = []
        while self._begins and self._begins[0] < below:
            start, end = self._begins[0], self._ends[0]
            gone.append((start, min(end, below)))
            if end > below:
                self._begins[0] = below
                break
            del self._begins[0], self._ends[0]
        self.floor = max(self.floor, min(below, self.next))
        return tuple(gone)

    def _behind(self, number: int) -> None:
        """Count one that comes behind a higher one: late, or a second time."""
        if self.floor <= self.first and number < self.first and not self._given:
            self._insert(0, number + 1, self.first)
            self.first = self.floor = number
            self.late += 1
            self.received += 1
            return
        if number < self.floor:
            self.late += 1  # or a second time: that is forgotten
            return
        at = bisect_right(self._begins, number) - 1
        if at < 0 or number >= self._ends[at]:
            self.duplicated += 1
            return
        self.late += 1
        self.received += 1
        start, end = self._begins[at], self._ends[at]
        del self._begins[at], self._ends[at]
        self._insert(at, number + 1, end)
        self._insert(at, start, number)

    def _insert(self, at: int, start: int, end: int) -> None:
        if start >= end:
            return
        self._begins.insert(at, start)
        self._ends.insert(at, end)
        if len(self._begins) > self._most:
            self.floor = self._ends[0]
            del self._begins[0], self._ends[0]
