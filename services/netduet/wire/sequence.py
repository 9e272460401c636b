"""The gaps of a sequence, sorted and bounded in number.

Each end of a stream keeps them for the other end's datagrams. A gap is a pair: the
first missing number, and the first one after it that arrived.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

MAX_GAPS: Final = 128
"""Gaps that are remembered; the oldest is forgotten first."""

Gap = tuple[int, int]


class SequenceGaps:
    """Numbers that arrive in any order, starting with ``first`` if it is given.

    ``first`` is the lowest number that has arrived, ``next`` follows the highest;
    ``late`` counts those that arrived after a higher one. Nothing is remembered below
    ``floor``: a number there counts as late, and not as received.
    """

    __slots__ = (
        "_ends",
        "_given",
        "_most",
        "_starts",
        "duplicated",
        "first",
        "floor",
        "late",
        "next",
        "received",
    )

    def __init__(self, max_gaps: int = MAX_GAPS, first: int | None = None) -> None:
        """Start with nothing received; ``first`` is the first number sent, if known."""
        self._given = first is not None
        self.first = self.floor = self.next = first or 0
        self.received = 0
        self.duplicated = 0
        self.late = 0
        self._most = max_gaps
        self._starts: list[int] = []
        self._ends: list[int] = []

    def take(self, number: int) -> bool:
        """Count a number; return whether it is the highest so far."""
        if not (self.received or self._given):
            self.first = self.floor = number
        elif number < self.next:
            self._behind(number)
            return False
        elif number > self.next:
            self._insert(len(self._starts), self.next, number)
        self.next = number + 1
        self.received += 1
        return True

    def newest(self, count: int) -> tuple[Gap, ...]:
        """Return at most ``count`` of the newest gaps, in order."""
        begins, ends = self._starts[-count:], self._ends[-count:]
        return tuple(zip(begins, ends, strict=True))

    def since(self, count: int) -> int:
        """Return the number from which the ``count`` newest gaps are complete."""
        held = len(self._starts)
        return self.floor if held <= count else self._starts[held - count]

    def forget(self, below: int) -> tuple[Gap, ...]:
        """Forget the gaps below a number and return them, cut off there."""
        forgotten = []
        while self._starts and self._starts[0] < below:
            start, end = self._starts[0], self._ends[0]
            forgotten.append((start, min(end, below)))
            if end > below:
                self._starts[0] = below
                break
            del self._starts[0], self._ends[0]
        self.floor = max(self.floor, min(below, self.next))
        return tuple(forgotten)

    def _behind(self, number: int) -> None:
        """Count a number that arrives after a higher one: late or duplicate."""
        if self.floor <= self.first and number < self.first and not self._given:
            self._insert(0, number + 1, self.first)
            self.first = self.floor = number
            self.late += 1
            self.received += 1
            return
        if number < self.floor:
            self.late += 1  # or a duplicate: no longer known
            return
        at = bisect_right(self._starts, number) - 1
        if at < 0 or number >= self._ends[at]:
            self.duplicated += 1
            return
        self.late += 1
        self.received += 1
        start, end = self._starts[at], self._ends[at]
        del self._starts[at], self._ends[at]
        self._insert(at, number + 1, end)
        self._insert(at, start, number)

    def _insert(self, at: int, start: int, end: int) -> None:
        if start >= end:
            return
        self._starts.insert(at, start)
        self._ends.insert(at, end)
        if len(self._starts) > self._most:
            self.floor = self._ends[0]
            del self._starts[0], self._ends[0]
