"""Percentiles by nearest rank, so each is a measured value. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the sorted values that this share does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
