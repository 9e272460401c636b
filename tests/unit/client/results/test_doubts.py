"""What a check saw and could not judge counts if no other check has a finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.client.results.doubts import settle_doubts
from netduet.client.results.location import Side
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    conclude,
)

DOUBT = Finding("path.broken", "a later connection failed", ((Side.CLIENT, "reset"),))
SKIPPED = CheckResult("load", "?", Outcome.SKIP, "not measured", doubt=DOUBT)
PASSED = CheckResult("reach", "?", Outcome.PASS, "accepted")


def found(outcome: Outcome) -> CheckResult:
    """Return the result of a check that has a finding."""
    finding = Finding("size.cut", "cut", outcome=outcome)
    return CheckResult("size", "?", outcome, "cut", findings=(finding,))


def test_doubt_without_a_finding_is_the_finding() -> None:
    """A skipped check hides nothing."""
    passed, settled = settle_doubts((PASSED, SKIPPED))
    assert passed == PASSED
    assert (settled.outcome, settled.findings) == (Outcome.FAIL, (DOUBT,))
    verdict = conclude("target", (passed, settled))
    assert (verdict.outcome, verdict.root, verdict.root_check) == (
        Outcome.FAIL,
        DOUBT,
        "load",
    )


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE])
def test_finding_of_another_check_decides(outcome: Outcome) -> None:
    """The doubt is then what follows from it."""
    results = (PASSED, found(outcome), SKIPPED)
    assert settle_doubts(results) == results


def test_starved_doubt_is_inconclusive() -> None:
    """As any other finding."""
    doubt = replace(DOUBT, outcome=Outcome.INCONCLUSIVE)
    [settled] = settle_doubts((replace(SKIPPED, doubt=doubt),))
    assert settled.outcome is Outcome.INCONCLUSIVE
