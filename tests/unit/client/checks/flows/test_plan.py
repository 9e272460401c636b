"""Which source ports are tried again, and when no more are tried."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from netduet.client.checks.flows.plan import (
    MAX_LOSSY,
    MAX_SUSPICIOUS,
    MIN_CONTROLS,
    MIN_TRIED,
    PLANS,
    STOPPED_RUN,
    chosen_again,
    chosen_for_packets,
    has_stopped,
    patience,
    still_open,
)
from netduet.client.checks.flows.results import PortTrial, SourcePort
from tests.unit.client.checks.flows.samples import FAILED, HOLE, PASSED, PORTS, good

GENERATOR = random.Random(1)


def ports_with(count: int, trial: PortTrial) -> list[SourcePort]:
    """Return ports of which the first ``count`` are like this."""
    return [
        SourcePort(index, trial if index < count else PASSED) for index in range(PORTS)
    ]


def test_healthy_ports_need_no_second_stage() -> None:
    """Without a suspicious port there are no controls either."""
    assert chosen_again([good(index) for index in range(PORTS)], GENERATOR) == ([], [])


@pytest.mark.parametrize("trial", [FAILED, HOLE, replace(PASSED, lost_down=1)])
def test_suspicious_ports_get_controls(trial: PortTrial) -> None:
    """All suspicious ports are tried again, and controls besides."""
    suspicious, controls = chosen_again(ports_with(3, trial), GENERATOR)
    assert suspicious == [0, 1, 2]
    assert len(controls) == MIN_CONTROLS
    assert not {0, 1, 2} & set(controls)


def test_second_stage_is_bounded() -> None:
    """However many ports are suspicious, not all are tried again."""
    ports = ports_with(PORTS - 1, FAILED)
    suspicious, controls = chosen_again(ports, GENERATOR)
    assert len(suspicious) == MAX_SUSPICIOUS
    assert controls == [PORTS - 1]
    lossy = ports_with(100, replace(PASSED, lost_up=1))
    assert len(chosen_for_packets(lossy, range(100), GENERATOR)) == MAX_LOSSY


def test_hole_of_all_ports_is_not_tried_again() -> None:
    """It says nothing about ports."""
    assert chosen_again(ports_with(PORTS, HOLE), GENERATOR) == ([], [])


def test_ports_stay_open_until_they_pass() -> None:
    """A port that has passed once is not dead, and one with a hole may be."""
    ports = [
        SourcePort(1, FAILED),
        SourcePort(2, FAILED, (PASSED,)),
        SourcePort(3, HOLE, (HOLE,)),
        SourcePort(4, HOLE, (PASSED,)),
    ]
    assert still_open(ports, range(4)) == [0, 2]


def test_nothing_passes_from_the_start() -> None:
    """Then no single flow is at fault, and the other ports are left out."""
    assert not has_stopped(dict.fromkeys(range(1, MIN_TRIED), False))
    assert has_stopped(dict.fromkeys(range(1, MIN_TRIED + 1), False))


def test_nothing_passes_any_more() -> None:
    """A long run without an answer stops it; one that may be chance does not."""
    passed = dict.fromkeys(range(1, 41), True)
    dead = dict.fromkeys(range(41, 41 + STOPPED_RUN), False)
    assert has_stopped(passed | dead)
    assert not has_stopped(passed | dead | {60: True})
    assert not has_stopped(passed)


def test_ports_that_are_not_done_stop_nothing() -> None:
    """Failures are done last: those behind an open one may be a burst of them."""
    passed = dict.fromkeys(range(1, 41), True)
    dead = dict.fromkeys(range(42, 42 + STOPPED_RUN), False)
    assert not has_stopped(passed | dead)


def test_patience_grows_with_the_round_trip() -> None:
    """On long paths, answers have longer, up to a limit."""
    plan = PLANS["quick"]
    seconds = [patience(round_trip, plan) for round_trip in (0.0, 0.1, 5.0, 50.0)]
    assert seconds[0] < seconds[1] < seconds[2] == seconds[3]


def test_patience_grows_on_slow_paths() -> None:
    """Packets of other ports may be ahead."""
    plan = PLANS["quick"]
    slow = replace(plan, rate=128e3)
    assert patience(0.01, slow) - patience(0.01, plan) == pytest.approx(0.5625)
