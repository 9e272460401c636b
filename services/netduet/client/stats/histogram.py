"""Histograms of round-trip and connect times. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Final

from netduet.client.results.verdict import Figures
from netduet.client.stats.percentiles import percentile

BUCKET_SECONDS: Final = (
    *(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
"""Upper ends of the buckets of round trips."""

_BUCKET_STEPS: Final = (1, 2, 5)
_SMALLEST_BUCKET_MS: Final = 0.1


class RoundTrips:
    """A histogram of round trips: ``counts`` by bucket, the last one has no bound."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKET_SECONDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count a round trip."""
        self.counts[bisect.bisect_left(BUCKET_SECONDS, seconds)] += 1
        self.sum += seconds


def connect_time_figures(seconds: Sequence[float]) -> Figures:
    """Return p50, p90, p99 and maximum in ms, and a count per bucket.

    A bucket is named by its upper end: 0.1, 0.2, 0.5, 1 ms and so on. Empty ones are
    omitted.
    """
    if not seconds:
        return {}
    ordered = sorted(1000 * duration for duration in seconds)
    figures: Figures = {
        f"connect_p{percent}_ms": round(percentile(ordered, percent / 100), 3)
        for percent in (50, 90, 99)
    }
    figures["connect_max_ms"] = round(ordered[-1], 3)
    buckets: dict[float, int] = {}
    for milliseconds in ordered:
        end = _bucket_end(milliseconds)
        buckets[end] = buckets.get(end, 0) + 1
    figures |= {f"connect_to_{end:g}_ms": count for end, count in buckets.items()}
    return figures


def _bucket_end(milliseconds: float) -> float:
    decade = _SMALLEST_BUCKET_MS
    while True:
        for step in _BUCKET_STEPS:
            if milliseconds <= step * decade:
                return step * decade
        decade *= 10
