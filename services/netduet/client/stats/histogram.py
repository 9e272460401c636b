"""Times of connecting: percentiles, and a histogram whose buckets grow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netduet.client.results.verdict import Figures
from netduet.client.stats.percentiles import percentile

_BUCKET_STEPS: Final = (1, 2, 5)
_SMALLEST_BUCKET_MS: Final = 0.1


def connect_time_figures(seconds: Sequence[float]) -> Figures:
    """Return p50, p90, p99 and the longest in ms, and how many fell into each bucket.

    A bucket is named by its upper end, 0.1, 0.2, 0.5, 1 ms and so on; the lower end
    is that of the one before it. Empty ones are left out.
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
    """Return the upper end of a value's bucket."""
    decade = _SMALLEST_BUCKET_MS
    while True:
        for step in _BUCKET_STEPS:
            if milliseconds <= step * decade:
                return step * decade
        decade *= 10
