"""What a day's watches reported is judged rightly; needs no container."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.lab.day.judgement import (
    Expected,
    Fault,
    judge,
    reports,
    taken_back,
    unproven,
)

ADDRESS = "198.18.1.10"
START = 1000.0
CUT = Fault(
    "link cut",
    START,
    START + 3.0,
    (Expected("node1", ADDRESS, ("both",), 3.0, 0.4),),
    (Expected("vip", "198.19.0.1"),),
)


def event(name: str, at: float = START, **fields: object) -> dict[str, Any]:
    """Return a log event of a watch; the fields are those of netduet."""
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    given = {f"netduet.{key}": value for key, value in fields.items()}
    head = {"event": name, "timestamp": moment, "server.address": ADDRESS}
    return head | {"netduet.begin": moment} | given


def ended(at: float = START, seconds: float = 3.0, **fields: object) -> dict[str, Any]:
    """Return the event of an outage that is over."""
    given = {"outage": 1, "proven": True, "direction": "both", "end": "later"} | fields
    ending = event("outage.ended", at, duration_s=seconds, **given)
    return ending | {"error.type": "stream.outage"}


def test_outage_without_a_fault_is_false() -> None:
    """Any proven outage of a healthy day is."""
    judgement = judge(reports("node1", [ended()]), [])
    assert [report.address for report in judgement.false] == [ADDRESS]


def test_fault_is_reported_rightly() -> None:
    """Length and direction are right, and nobody else reports anything."""
    judgement = judge(reports("node1", [ended()]), [CUT])
    assert (judgement.false, judgement.missed, judgement.reported) == ((), (), 1)


@pytest.mark.parametrize(
    "reported",
    [
        [],
        [ended(seconds=2.0)],
        [ended(direction="to_server")],
        [ended(proven=False)],
        [ended(at=START - 10.0)],
        [event("outage.began", outage=1)],
    ],
)
def test_fault_is_missed(reported: list[dict[str, Any]]) -> None:
    """No report, or one with another length, direction or time."""
    judgement = judge(reports("node1", reported), [CUT])
    assert len(judgement.missed) == 1
    assert judgement.reported == 0


def test_report_of_somebody_else_is_false() -> None:
    """Unless the fault permits it."""
    made = [
        *reports("node1", [ended()]),
        *reports("node3", [ended()]),
        *reports("vip", [ended() | {"server.address": "198.19.0.1"}]),
    ]
    judgement = judge(made, [CUT])
    assert [report.watcher for report in judgement.false] == ["node3"]


def test_outage_that_never_ended_is_a_report() -> None:
    """It was announced, and the watch was killed."""
    (report,) = reports("node1", [event("outage.began", outage=1)])
    assert report.seconds is None


def test_unproven_outages_are_counted_alone() -> None:
    """They claim nothing."""
    events = [event("outage.began", outage=1), ended(proven=False)]
    events += [ended() | {"error.type": "watch.paused"}]
    assert list(reports("node1", events)) == []
    assert unproven(events) == 2


def test_address_is_taken_back_only_after_its_pod_has_left() -> None:
    """The first time is no return, and without an end there is none."""
    events = [event("peer.added", at) for at in (START, START + 5.0)]
    assert len(list(taken_back("node1", events, {ADDRESS: START + 2.0}))) == 1
    assert list(taken_back("node1", events[:1], {ADDRESS: START - 2.0})) == []
    assert list(taken_back("node1", events, {})) == []
