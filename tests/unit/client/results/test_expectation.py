"""What was expected of a target, compared with what was found."""

from __future__ import annotations

import pytest

from netduet.client.results.expectation import ExpectationResult, compare_expectation
from netduet.client.results.target import Expect
from netduet.client.results.verdict import (
    CheckResult,
    Figures,
    Finding,
    Judgement,
    Outcome,
    conclude,
    result,
    skipped_because_of,
)


def done(check: str, *findings: Finding, figures: Figures | None = None) -> CheckResult:
    """Return the result of a check."""
    judgement = Judgement("s", findings, figures=figures or {})
    return result(check, "?", judgement, 0.1, lambda *_: 0.0)


def isolation(found: str, how: str, *findings: Finding) -> CheckResult:
    """Return the result of isolation with these figures."""
    return done("isolation", *findings, figures={"found": found, "how": how})


REACHED = done("reach", figures={"accepted": 1})
UNREACHED = done("reach", Finding("reach.refused", "s"), figures={"accepted": 0})
OPEN = Finding("isolation.open", "s")
UNPROVEN = Finding("isolation.unproven", "s", outcome=Outcome.INCONCLUSIVE)
LOSS = Finding("udp.loss", "s")


@pytest.mark.parametrize(
    ("expect", "results", "found", "how", "holds"),
    [
        (Expect.OPEN, [REACHED], "open", "", True),
        (Expect.OPEN, [REACHED, done("udp", LOSS)], "open", "udp.loss", False),
        (Expect.OPEN, [UNREACHED], "not reached", "reach.refused", False),
        (
            Expect.OPEN,
            [
                done("name", Finding("name.not_found", "s")),
                skipped_because_of("reach", "?", "name"),
            ],
            "unknown",
            "name.not_found",
            False,
        ),
        (Expect.OPEN, [], "unknown", "", None),
        (Expect.BLOCKED, [isolation("blocked", "dropped")], "blocked", "dropped", True),
        (
            Expect.BLOCKED,
            [isolation("open", "open", OPEN)],
            "open",
            "isolation.open",
            False,
        ),
        (
            Expect.BLOCKED,
            [isolation("open", "TCP dropped, UDP open", OPEN)],
            "open",
            "TCP dropped, UDP open",
            False,
        ),
        (
            Expect.BLOCKED,
            [isolation("blocked", "dropped", UNPROVEN)],
            "unknown",
            "dropped",
            None,
        ),
    ],
)
def test_row_shows_what_was_found_and_whether_it_matches(
    expect: Expect, results: list[CheckResult], found: str, how: str, holds: bool | None
) -> None:
    """A pass matches; otherwise a word says how it fell short."""
    row = compare_expectation(conclude("db:1", results, expected=expect))
    assert (row.found, row.how, row.holds) == (found, how, holds)


def test_interrupted_target_is_marked() -> None:
    """Nothing is claimed about a target with missing checks."""
    verdict = conclude("db:1", [], interrupted=True, missing=["name"])
    assert compare_expectation(verdict) == ExpectationResult(
        "db:1", Expect.OPEN, "unknown", "interrupted", None
    )
