"""Whether a target's verdict meets its expectation. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast

from netduet.client.results.target import Expect
from netduet.client.results.verdict import CheckResult, Outcome, Verdict

Found = Literal["open", "blocked", "not reached", "unknown"]

_HOLDS: Final = {Outcome.PASS: True, Outcome.FAIL: False}


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """A row of the table of expectations; ``target`` is its label.

    ``found`` is ``open``, ``blocked``, ``not reached`` or ``unknown``; ``how`` adds a
    few words, or is ""; ``holds`` is None if undecided.
    """

    target: str
    expected: Expect
    found: Found
    how: str
    holds: bool | None


def compare_expectation(verdict: Verdict) -> ExpectationResult:
    """Compare a verdict with the target's expectation.

    It holds if the verdict is PASS: a target that is open as expected, but over a
    broken path, does not meet its expectation.
    """
    by_name = {result.check: result for result in verdict.results}
    found, how = (
        _blocked(by_name.get("isolation"))
        if verdict.expected is Expect.BLOCKED
        else (_reached(by_name.get("reach")), "")
    )
    root = verdict.root
    if root is not None and found != "blocked" and not how:
        how = root.failure
    elif verdict.interrupted and not how:
        how = "interrupted"
    return ExpectationResult(
        verdict.label, verdict.expected, found, how, _HOLDS.get(verdict.outcome)
    )


def _blocked(isolation: CheckResult | None) -> tuple[Found, str]:
    if isolation is None or "found" not in isolation.figures:
        return "unknown", ""
    found = cast("Found", isolation.figures["found"])
    how = str(isolation.figures["how"])
    if isolation.outcome is Outcome.INCONCLUSIVE:
        return "unknown", how
    return found, "" if how == found else how


def _reached(reach: CheckResult | None) -> Found:
    if reach is None or reach.follows is not None:
        return "unknown"
    if reach.figures.get("accepted"):
        return "open"
    return "not reached" if "accepted" in reach.figures else "unknown"
