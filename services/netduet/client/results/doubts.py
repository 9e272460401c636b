"""Doubts: what a check saw that it could not judge. Pure.

Usually another check finds the cause, and its finding decides. If none does, the doubt
is the finding: a check that skips itself must not hide what it met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netduet.client.results.verdict import CheckResult, Outcome, worst_outcome


def settle_doubts(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Return the results; without any finding, doubts are the findings."""
    undecided = {Outcome.FAIL, Outcome.INCONCLUSIVE}
    if any(each.outcome in undecided for each in results):
        return tuple(results)
    return tuple(
        each
        if each.doubt is None
        else replace(
            each,
            findings=(each.doubt,),
            outcome=worst_outcome((each.doubt,), each.outcome),
        )
        for each in results
    )
