"""Judging outages that come again and again: tables of events, no network."""

from __future__ import annotations

import dataclasses

import pytest

from netduet.client.outages.events import LossRun
from netduet.client.results.location import Location
from tests.unit.client.checks.test_stream import BACK, FORTH, GOOD, judged, lost, out


def outages(*starts: float, seconds: float = 0.3) -> tuple[LossRun, ...]:
    """Return short outages in both directions."""
    return tuple(
        out(where, seconds, start) for start in starts for where in (FORTH, BACK)
    )


def failures(*starts: float, seconds: float = 0.3) -> list[str]:
    """Return the classes that outages at these times are."""
    runs = outages(*starts, seconds=seconds)
    judgement = judged(datagrams=lost(*runs), loss_runs=runs)
    return [finding.failure for finding in judgement.findings]


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ((105.0,), []),
        ((105.0, 106.5), []),
        ((105.0, 106.5, 108.0), ["stream.flapping"]),
        ((105.0, 106.0, 112.0), ["stream.flapping"]),
    ],
    ids=["once", "twice", "regular", "irregular"],
)
def test_short_outages_that_recur_are_a_failure(
    starts: tuple[float, ...], expected: list[str]
) -> None:
    """Outages that may pass once must not come again and again."""
    assert failures(*starts) == expected


def test_rhythm_is_named() -> None:
    """A regular outage has its length, its interval and its share of the time."""
    runs = outages(105.0, 106.5, 108.0, 109.5)
    judgement = judged(datagrams=lost(*runs), loss_runs=runs)
    [finding] = judgement.findings
    assert finding.seen == (
        "192.0.2.1:12345: the path is out again and again, for 0.30 s every 1.5 s: 4 "
        "times in 20 s, 6 % of the time"
    )
    assert finding.where == Location.INTERMEDIARY
    assert judgement.remarks == ()


def test_irregular_outages_have_their_longest() -> None:
    """Without a rhythm none is claimed."""
    runs = outages(105.0, 106.0, 112.0)
    [finding] = judged(datagrams=lost(*runs), loss_runs=runs).findings
    assert "for up to 0.30 s: 3 times" in finding.seen


def test_starved_ends_do_not_flap() -> None:
    """An end that was not running explains its outages."""
    runs = tuple(
        dataclasses.replace(run, sender_stalled=0.3)
        for run in outages(105.0, 106.5, 108.0)
    )
    judgement = judged(datagrams=lost(*runs), loss_runs=runs)
    assert "stream.flapping" not in [each.failure for each in judgement.findings]


def test_no_new_connection_at_all_is_no_chance() -> None:
    """If none of 24 new connections works, scattered losses do not explain it."""
    from netduet.client.outages.events import ConnectFailureRun
    from netduet.client.outages.observations import (
        DatagramObservations,
        NewConnections,
    )

    run = ConnectFailureRun(100.0, 102.4, 100.0, 102.3, 24, "no answer", ended=False)
    observations = dataclasses.replace(
        GOOD,
        datagrams=DatagramObservations(answered=False),
        new_connections=NewConnections(started=24, failed=24),
        failure_runs=(run,),
    )
    [finding] = judged(observations).findings
    assert finding.failure == "stream.new_connections"
