"""Is it a limit on new connections, or chance? Pure.

A rate limit is a token bucket: a burst passes, and then one connection per token.
Random loss has neither an initial burst nor regular intervals, and a load balancer that
fails every third connection has no initial burst.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import Final

from netduet.client.checks.churn.results import (
    SYN_RETRANSMIT_SECONDS,
    Attempt,
    AttemptOutcome,
    HoldResult,
    PacedRun,
)
from netduet.client.stats.proportions import lower_bound, p_initial_run

MIN_INITIAL_PASSES: Final = 4
"""Connections that must pass first."""

_MIN_INITIAL_FACTOR: Final = 2
"""Factor by which the initial run is longer than the later runs of passes."""

_MAX_P_INITIAL_RUN: Final = 1e-3
"""Maximum probability that chance produces such an initial run."""

_MAX_P_INTERVALS: Final = 1e-2
"""Maximum probability of such intervals by chance; of both, about 1 in 100,000."""

_TOLERANCE_SHARE: Final = 0.5
"""Maximum deviation of a regular interval from the median, as a share of it."""

_REGULAR_SHARE_BY_CHANCE: Final = 1 / math.sqrt(3) - 1 / math.sqrt(3) ** 3
"""Share of exponential intervals that are so close to any one value.

With mean 1, it is exp(-c / 2) - exp(-3 c / 2): at most this, at c = ln 3."""

_CLOCK_SLACK_SLOTS: Final = 0.25
"""Attempts by which an interval may be off because of clocks."""

_MIN_INTERVALS: Final = 5
"""Intervals that are needed to call them regular."""

_MIN_BLOCKED: Final = 10
"""Failures that are needed when almost none passes any more."""

_MAX_PASSED_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A rate limit: a burst passes, then ``rate`` per second, from ``start`` on.

    ``rate`` is 0 if none passed any more.
    """

    burst: int
    rate: float
    start: float


def detect_token_bucket(run: PacedRun, *, path_works: bool) -> TokenBucket | None:
    """Return the rate limit that explains a run's failures, or None.

    ``path_works``: a long-lived connection worked throughout, so only new connections
    fail.
    """
    passes = [attempt.passed_cleanly for attempt in run.attempts]
    if all(passes) or not passes:
        return None
    initial_run = passes.index(False)
    rest, attempts = passes[initial_run:], run.attempts[initial_run:]
    min_run = max(MIN_INITIAL_PASSES, _MIN_INITIAL_FACTOR * _usual_run_length(rest))
    p_value = p_initial_run(initial_run, len(passes), sum(passes))
    if initial_run < min_run or p_value > _MAX_P_INITIAL_RUN:
        return None
    start = attempts[0].offset
    passed = sorted(
        attempt.offset + attempt.connect_seconds
        for attempt in attempts
        if attempt.passed and attempt.connect_seconds is not None
    )
    # Before the first retransmission of a SYN.
    early_end = start + SYN_RETRANSMIT_SECONDS
    early = [attempt for attempt in attempts if attempt.offset < early_end]
    early_passed = [instant for instant in passed if instant < early_end]
    regular = _is_regular(attempts, passed, run.gap)
    if not (regular or _is_regular(early, early_passed, run.gap)):
        few = sum(rest) <= _MAX_PASSED_SHARE * len(rest) and len(rest) >= _MIN_BLOCKED
        if not (few and path_works):
            return None
    rate = _pass_rate(run, start, passed)
    return TokenBucket(max(1, round(initial_run - rate * start)), rate, start)


def _usual_run_length(passes: Sequence[bool]) -> float:
    """Return the median run of passes: tokens gather during stalls of ours."""
    runs = [len(list(run)) for passed, run in groupby(passes) if passed]
    return median(runs) if runs else 0.0


def _is_regular(remaining: Sequence[Attempt], passed: list[float], gap: float) -> bool:
    """Whether passes (or failures, if these are fewer) are too regular for chance.

    Under random loss each attempt has the same chance: intervals are geometric, or
    exponential where retransmitted SYNs come in between.
    """
    failed = [attempt.offset for attempt in remaining if not attempt.passed_cleanly]
    share = len(failed) / len(remaining)
    events = failed
    if share >= 0.5:  # noqa: PLR2004 - the half
        events, share = passed, 1 - share
    distances = [after - before for before, after in pairwise(events)]
    if len(distances) < _MIN_INTERVALS:
        return False
    median_distance = median(distances)
    nearby = sum(
        abs(distance - median_distance) <= _TOLERANCE_SHARE * median_distance
        for distance in distances
    )
    density = min(1.0, gap * len(distances) / sum(distances))
    expected_shares = [
        _p_geometric_near(p, median_distance / gap) for p in (share, density)
    ]
    expected = max(_REGULAR_SHARE_BY_CHANCE, *expected_shares)
    return lower_bound(nearby, len(distances), _MAX_P_INTERVALS) > expected


def _p_geometric_near(share: float, distance: float) -> float:
    """Return the probability of a geometric interval close to this one, in attempts."""
    first = max(1, math.ceil((1 - _TOLERANCE_SHARE) * distance - _CLOCK_SLACK_SLOTS))
    last = math.floor((1 + _TOLERANCE_SHARE) * distance + _CLOCK_SLACK_SLOTS)
    return (1.0 - share) ** (first - 1) - (1.0 - share) ** last


def _pass_rate(run: PacedRun, start: float, passed: list[float]) -> float:
    """Return how many per second passed while more were attempted."""
    end = run.planned * run.gap
    during = [instant for instant in passed if start <= instant <= end]
    if len(during) > _MIN_INTERVALS or not passed:
        return len(during) / (end - start)
    return len(passed) / (passed[-1] - start) if passed[-1] > start else 0.0


def detect_count_limit(hold: HoldResult) -> int | None:
    """Return how many connections may be open at once, if there is a limit.

    There is one if none could be made while others were open and still answered, and
    all could once these were closed. A server that reports itself as busy is not such a
    limit.
    """
    if not hold.while_held or not hold.after_release:
        return None
    made_while_held = any(map(_is_served, hold.while_held))
    made_after = all(map(_is_served, hold.after_release))
    busy = any(attempt.outcome is AttemptOutcome.BUSY for attempt in hold.while_held)
    none_sent = any(not attempt.sent_syns for attempt in hold.while_held)
    if made_while_held or not made_after or busy or none_sent or not hold.answered:
        return None
    return hold.held_count


def _is_served(attempt: Attempt) -> bool:
    return attempt.outcome is AttemptOutcome.SERVED
