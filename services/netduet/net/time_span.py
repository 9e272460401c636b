"""Spans of monotonic time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


class Timed:
    """Anything that lasts from ``start`` to ``end``, in monotonic seconds."""

    __slots__ = ()
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.start

    @property
    def span(self) -> TimeSpan:
        """Its time span."""
        return TimeSpan(self.start, self.end)

    def is_near(self, other: Timed, seconds: float = 0.0) -> bool:
        """Whether they overlap, or less than ``seconds`` lie between them."""
        return self.start < other.end + seconds and self.end > other.start - seconds

    def covered_seconds(self, spans: Iterable[Timed]) -> float:
        """Return how many seconds of it these spans cover; they must not overlap."""
        return sum(
            max(0.0, min(self.end, span.end) - max(self.start, span.start))
            for span in spans
        )


@dataclass(frozen=True, slots=True)
class TimeSpan(Timed):
    """A span of time."""

    start: float
    end: float

    @classmethod
    def covering(cls, spans: Sequence[Timed]) -> Self | None:
        """Return the span from the first start to the last end; None without spans."""
        if not spans:
            return None
        return cls(min(span.start for span in spans), max(span.end for span in spans))
