"""Is it a limit on new connections, or chance? Pure.

A limit by rate is a token bucket: a burst passes, and from then on one connection
each time that a token has come. Loss by chance has neither a beginning nor regular
distances, and a balancer that leads each third connection nowhere has no beginning.
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
"""Connections that must have passed at first."""

_MIN_INITIAL_FACTOR: Final = 2
"""By how many times that beginning is longer than the rows of passes behind it."""

_MAX_P_INITIAL_RUN: Final = 1e-3
"""How often chance may put the passes at such a beginning."""

_MAX_P_INTERVALS: Final = 1e-2
"""How often chance may make such distances; both together, about once in 100,000 times."""

_TOLERANCE_SHARE: Final = 0.5
"""A distance is regular that is off their median by no more than this share of it."""

_REGULAR_SHARE_BY_CHANCE: Final = 1 / math.sqrt(3) - 1 / math.sqrt(3) ** 3
"""Share of exponential distances that are so near to a value, whichever it is.

Of mean 1, it is exp(-c / 2) - exp(-3 c / 2): at most this, at c = ln 3.
"""

_CLOCK_SLACK_SLOTS: Final = 0.25
"""Places of a row by which a distance may be off for the clocks' sake."""

_MIN_INTERVALS: Final = 5
"""Distances of which it can be said that they are regular."""

_MIN_BLOCKED: Final = 10
"""Failures that must follow where hardly any passes any more."""

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
    """Return the limit by rate that explains a run's failures, or None.

    ``path_works``: an old connection worked all the while, so that what stops to
    pass is new connections alone.
    """
    clean_passes = [attempt.passed_cleanly for attempt in run.attempts]
    if all(clean_passes) or not clean_passes:
        return None
    initial_run = clean_passes.index(False)
    remaining = clean_passes[initial_run:]
    if initial_run < max(
        MIN_INITIAL_PASSES, _MIN_INITIAL_FACTOR * _usual_run_length(remaining)
    ):
        return None
    if (
        p_initial_run(initial_run, len(clean_passes), sum(clean_passes))
        > _MAX_P_INITIAL_RUN
    ):
        return None
    start = run.attempts[initial_run].offset
    passed = sorted(
        attempt.offset + attempt.connect_seconds
        for attempt in run.attempts[initial_run:]
        if attempt.passed and attempt.connect_seconds is not None
    )
    queries_worked = tuple(
        attempt
        for attempt in run.attempts[initial_run:]
        if attempt.offset < start + SYN_RETRANSMIT_SECONDS
    )
    early = [instant for instant in passed if instant < start + SYN_RETRANSMIT_SECONDS]
    regular = _is_regular(run.attempts[initial_run:], passed, run.gap)
    # At first no SYN that is sent again comes in between.
    if not (regular or _is_regular(queries_worked, early, run.gap)):
        few_passed = (
            sum(remaining) <= _MAX_PASSED_SHARE * len(remaining)
            and len(remaining) >= _MIN_BLOCKED
        )
        if not (few_passed and path_works):
            return None
    rate = _pass_rate(run, start, passed)
    return TokenBucket(max(1, round(initial_run - rate * start)), rate, start)


def _usual_run_length(clean_passes: Sequence[bool]) -> float:
    """Return how many pass in a row, as a rule: a stall of ours lets tokens gather."""
    runs = [len(list(run)) for passes, run in groupby(clean_passes) if passes]
    return median(runs) if runs else 0.0


def _is_regular(remaining: Sequence[Attempt], passed: list[float], gap: float) -> bool:
    """Tell whether passes (or failures, where these are fewer) are too regular.

    Under pure loss each place in a row has the same chance: distances are geometric, or
    exponential where SYNs that were sent again come in between.
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
    """Return how likely a geometric distance is near this one (in places of the row)."""
    first = max(1, math.ceil((1 - _TOLERANCE_SHARE) * distance - _CLOCK_SLACK_SLOTS))
    last = math.floor((1 + _TOLERANCE_SHARE) * distance + _CLOCK_SLACK_SLOTS)
    return (1.0 - share) ** (first - 1) - (1.0 - share) ** last


def _pass_rate(run: PacedRun, start: float, passed: list[float]) -> float:
    """Return how many a second passed while there were more than could."""
    end = run.planned * run.gap
    during = [instant for instant in passed if start <= instant <= end]
    if len(during) > _MIN_INTERVALS or not passed:
        return len(during) / (end - start)
    return len(passed) / (passed[-1] - start) if passed[-1] > start else 0.0


def detect_count_limit(hold: HoldResult) -> int | None:
    """Return how many connections may be held at once, where there is a limit.

    It is one when none came about beside those that were held and still answered, and
    all did when these were released. A server that says itself that it is busy is none.
    """
    if not hold.while_held or not hold.after_release:
        return None
    made_while_held = any(attempt.boot_id for attempt in hold.while_held)
    made_after = all(attempt.boot_id for attempt in hold.after_release)
    busy = any(attempt.outcome is AttemptOutcome.BUSY for attempt in hold.while_held)
    none_sent = any(not attempt.sent_syns for attempt in hold.while_held)
    if made_while_held or not made_after or busy or none_sent or not hold.answered:
        return None
    return hold.held_count
