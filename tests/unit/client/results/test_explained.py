"""Findings that follow from others."""

from __future__ import annotations

from netduet.client.results.explained import without_explained
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    conclude,
)

ROOT = Finding("flows.dead", "s", explains=("churn.syn_lost", "balance"))
LOST = Finding("churn.syn_lost", "s")
BACKEND = Finding("balance.unhealthy_backend", "s")
CHANGED = Finding("size.changed", "s")


def test_explained_classes_are_no_roots() -> None:
    """By their name, or by their check's."""
    found = [
        ("balance", BACKEND),
        ("flows", ROOT),
        ("size", CHANGED),
        ("churn", LOST),
    ]
    assert without_explained(found) == [("flows", ROOT), ("size", CHANGED)]


def test_findings_that_explain_each_other_stay() -> None:
    """One of them is the root."""
    other = Finding("balance.uneven", "s", explains=("flows.dead",))
    found = [("balance", other), ("flows", ROOT)]
    assert without_explained(found) == found


def test_root_of_a_verdict_is_what_explains_the_rest() -> None:
    """Even if checks were skipped because of the other one."""
    results = [
        CheckResult("balance", "?", Outcome.FAIL, "", findings=(BACKEND,), blocks=True),
        CheckResult("flows", "?", Outcome.FAIL, "", findings=(ROOT,)),
        CheckResult("size", "?", Outcome.SKIP, "", blocks=True, follows="balance"),
    ]
    verdict = conclude("server", results)
    assert verdict.root is ROOT
    assert verdict.root_check == "flows"
