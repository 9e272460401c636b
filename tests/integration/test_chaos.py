"""The trials of tests/chaos that have a short form, and how they are judged."""

from __future__ import annotations

import json
from datetime import date

import pytest

from tests.chaos import page, sandbox, soak
from tests.chaos.row import Measurement, Result, Row, measurement, percentile
from tests.chaos.rows import ALL
from tests.chaos.trial import Trial

FAST = [row.name for row in ALL.values() if row.fast]


@pytest.mark.parametrize("name", FAST)
def test_trial_holds(name: str) -> None:
    """The short form of a trial stays within its bounds."""
    result = sandbox.run(ALL[name], fast=True)
    assert result.complaints == []
    assert result.measurements


def test_trial_that_breaks_off_is_no_success() -> None:
    """A trial whose code raises has a problem, and says which."""
    row = Row("absent", "a row that nobody declared", "fails", lambda _: None)
    result = sandbox.run(row)
    assert not result.ok
    assert "invalid choice" in result.problem


def test_each_row_says_why_it_does_not_run() -> None:
    """A row has code, or a reason why not."""
    assert all(bool(row.run) != bool(row.absent) for row in ALL.values())


def test_page_marks_what_missed_its_bound(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what is beyond a bound is marked, and its row with it."""
    trial = Trial(tmp_path_factory.mktemp("trial"), fast=False)
    trial.at_most("memory", 3.0, 2.0, "MiB")
    trial.at_most("time", 1.0, 2.0, "s")
    missed, held = [
        measurement(json.loads(line)) for line in capsys.readouterr().out.splitlines()
    ]
    assert (missed.ok, held.ok) == (False, True)
    row = Row("name", "a trial", "holds", lambda _: None)
    text = page.page([Result(row, (missed, held), 1.0)], 1.0, date(2026, 1, 2), "6.1")
    assert "**✗** memory: 3 MiB (bound: ≤ 2 MiB)<br>time: 1 s (bound: ≤ 2 s)" in text
    assert "0 of 1 trials" in text
    assert Result(row, (Measurement("a", "1"),), 1.0).ok


def test_percentile() -> None:
    """The smallest value that a share of all do not exceed."""
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.99) == 99.0
    assert percentile([5.0], 0.99) == 5.0


def test_fit_gives_the_slope_and_its_error() -> None:
    """Growth is told from noise around a constant."""
    grown = [soak.Moment(60.0 * turn, 50 + turn / 60, 20) for turn in range(60)]
    slope = soak.fit(grown)
    assert slope.per_hour == pytest.approx(1.0)
    assert slope.error == pytest.approx(0.0, abs=1e-9)
    noise = [soak.Moment(60.0 * turn, 50 + turn % 2, 20) for turn in range(60)]
    flat = soak.fit(noise)
    assert abs(flat.per_hour) < 2 * flat.error
