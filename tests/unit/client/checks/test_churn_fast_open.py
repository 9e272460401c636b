"""Judging SYNs that ask for TCP Fast Open: tables, no network."""

from __future__ import annotations

import dataclasses

import pytest

from netduet.client.checks.churn.results import FastOpenTrial
from netduet.client.results.verdict import Judgement
from tests.unit.client.checks.test_churn import found, judged, run, served

ALL_LOST = FastOpenTrial(5, 0, 5, 5, setting=1)
NOTE = "none of 5 SYNs that ask for a TCP Fast Open cookie is answered"


def tried(trial: FastOpenTrial | None) -> Judgement:
    """Judge connections that are all served, and this trial beside them."""
    served_all = tuple(served(number, 0, 0) for number in range(50))
    return judged(run(*served_all), fast_open=trial)


def test_drops_are_a_note_by_default() -> None:
    """No application uses it unless somebody has enabled it."""
    judgement = tried(ALL_LOST)
    assert found(judgement) == []
    assert any(NOTE in remark for remark in judgement.remarks)
    assert judgement.figures["fast_open"] is False


def test_drops_are_a_failure_where_it_is_enabled() -> None:
    """A host that is set up for Fast Open pays a second for each connection."""
    judgement = tried(dataclasses.replace(ALL_LOST, setting=3))
    [finding] = judgement.findings
    assert finding.failure == "churn.fast_open_dropped"
    assert NOTE in finding.seen
    assert judgement.remarks == ()


@pytest.mark.parametrize(
    ("trial", "passes"),
    [
        (None, None),
        (FastOpenTrial(1, 1, setting=3), True),
        (FastOpenTrial(5, 1, 5, 5, setting=3), True),
        (FastOpenTrial(5, 0, 5, 4, setting=3), None),
    ],
    ids=["untested", "passes", "one lost", "all lossy"],
)
def test_nothing_else_is_drops(
    trial: FastOpenTrial | None, *, passes: bool | None
) -> None:
    """One that passes, and losses of plain SYNs, excuse the path."""
    judgement = tried(trial)
    assert (found(judgement), judgement.remarks) == ([], ())
    assert judgement.figures["fast_open"] is passes
