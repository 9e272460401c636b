"""Is it the bytes that stop a transfer? Tables of trials, no network."""

from __future__ import annotations

import pytest

from netduet.client.checks.size.content import add_content, plan_replays
from netduet.client.checks.size.results import SizeTrial, TrialOutcome, TrialPlan
from netduet.client.results.location import Direction
from netduet.client.results.verdict import Finding
from netduet.net.time_span import TimeSpan

SIZE = 1024 * 1024
SEED = 7
FINDING = Finding("size.stalled", "it stops")


def trial(
    stopped_at: int | None, seed: int | None = None, size: int | None = SIZE
) -> SizeTrial:
    """Return a download that stopped at a byte, or passed (None)."""
    outcome = TrialOutcome.PASSED if stopped_at is None else TrialOutcome.STALLED
    plan = TrialPlan(Direction.DOWN, size, brief=True, seed=seed)
    arrived = SIZE if stopped_at is None else stopped_at
    return SizeTrial(
        plan, SIZE, outcome, TimeSpan(0.0, 2.0), arrived=arrived, seed=SEED
    )


STOPPED = (trial(300_000), trial(500_000))


def test_same_and_new_bytes_are_tried_by_turns() -> None:
    """A transfer that stopped twice is repeated with its own seed, and with none."""
    assert [plan.seed for plan in plan_replays(STOPPED)] == [SEED, None] * 4


@pytest.mark.parametrize(
    "trials",
    [(trial(None), trial(None)), (trial(100, size=None), trial(100, size=None))],
    ids=["passed", "full packet"],
)
def test_nothing_is_repeated_otherwise(trials: tuple[SizeTrial, ...]) -> None:
    """Healthy runs and MTU holes cost nothing more."""
    assert plan_replays(trials) == []


@pytest.mark.parametrize(
    ("same", "new", "depends"),
    [
        ([300_000, 300_100, 299_000, 300_000], [None, None, None, None], True),
        ([300_000] * 4, [500_000, None, 100_000, 900_000], True),
        ([300_000] * 4, [300_000] * 4, False),
        ([300_000] * 4, [None, None, None, 300_000], True),
        ([300_000] * 4, [None, None, 300_000, 300_000], False),
        ([300_000, 800_000, None, 300_000], [None] * 4, False),
        ([300_000] * 3, [None] * 3, False),
    ],
    ids=["passes", "elsewhere", "quota", "once by chance", "twice", "chance", "few"],
)
def test_replays_decide(
    same: list[int | None], new: list[int | None], *, depends: bool
) -> None:
    """Only the same bytes stop at one place, and each time."""
    replays = [trial(place, SEED) for place in same] + [trial(place) for place in new]
    finding = add_content(FINDING, STOPPED, replays)
    assert (finding.failure == "size.content_dropped") is depends
    assert ("with other bytes" in finding.seen) is depends
