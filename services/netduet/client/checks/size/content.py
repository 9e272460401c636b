"""Does a transfer stop because of its bytes? Same ones again, and new ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from netduet.client.checks.size.black_hole import smallest_failure
from netduet.client.checks.size.results import SizeTrial, TrialOutcome, TrialPlan
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding

CONTENT_DROPPED: Final = "size.content_dropped"

REPLAY_COUNT: Final = 4
"""Trials with the same bytes, and as many with new ones."""

_SAME_PLACE_BYTES: Final = 3000
"""Bytes by which places differ at most that are the same: two packets."""

_MAX_BY_CHANCE: Final = 1
"""Trials with new bytes that may stop at the same place: these have two such bytes, too."""

_STOPPED: Final = frozenset({TrialOutcome.STALLED, TrialOutcome.ENDED})


def plan_replays(trials: Sequence[SizeTrial]) -> list[TrialPlan]:
    """Return what to try again if a transfer of several packets stopped each time."""
    failed = _failed_transfer(trials)
    if failed is None:
        return []
    plan = replace(failed.plan, brief=True)
    same = replace(plan, seed=failed.seed)
    return [each for _ in range(REPLAY_COUNT) for each in (same, plan)]


def _failed_transfer(trials: Sequence[SizeTrial]) -> SizeTrial | None:
    """Return the first of the smallest transfers that stopped, and not at a packet."""
    failed = smallest_failure(tuple(trials))
    if not failed or failed[0].is_full_packet:
        return None
    return failed[0] if failed[0].outcome in _STOPPED else None


def add_content(
    finding: Finding, trials: Sequence[SizeTrial], replays: Sequence[SizeTrial]
) -> Finding:
    """Return the finding that certain bytes do not pass, if the replays prove that.

    All replays with the same bytes stop at the same place, and those with new bytes do
    not stop there, except by chance: neither a limit of bytes nor random loss does that.
    """
    failed = _failed_transfer(trials)
    if failed is None or finding.failure not in {"size.stalled", "size.cut"}:
        return finding
    mine = [each for each in replays if each.plan.direction is failed.plan.direction]
    same = [each for each in mine if each.plan.seed is not None]
    others = [each for each in mine if each.plan.seed is None]
    if len(same) < REPLAY_COUNT or len(others) < REPLAY_COUNT:
        return finding
    place = same[0].stopped_at
    if not all(_stops_at(each, place) for each in same):
        return finding
    if sum(_stops_at(each, place) for each in others) > _MAX_BY_CHANCE:
        return finding
    passed = sum(each.delivered for each in others)
    seen = (
        f"{finding.seen}; with the same bytes, each of {len(same)} new connections stops "
        f"at byte {place:,}; with other bytes, {passed} of {len(others)} pass"
    )
    if passed < len(others):
        seen += ", the others stop elsewhere"
    places = ", ".join(
        "all passed" if each.delivered else f"{each.stopped_at:,}" for each in others
    )
    text = f"the bytes at which it stopped with other bytes: {places}"
    return replace(
        finding,
        failure=CONTENT_DROPPED,
        seen=seen,
        evidence=(*finding.evidence, (Side.CLIENT, text)),
        where=failed.plan.direction.path,
        missed_deadline=None,
        causes=(),
    )


def _stops_at(trial: SizeTrial, place: int) -> bool:
    return (
        trial.outcome in _STOPPED and abs(trial.stopped_at - place) <= _SAME_PLACE_BYTES
    )
