"""Runs of failed connections, and stalls of an old one: tables."""

from __future__ import annotations

import pytest

from netduet.client.outages.connect_probe import ConnectAttempt, ConnectFailureTracker
from netduet.client.outages.events import ConnectFailureRun, ConnectionStall, ProbeEvent
from netduet.client.outages.keepalive_probe import StallDetector


def closures(
    pattern: str, *, finish: bool = True
) -> tuple[list[ProbeEvent], ConnectFailureTracker]:
    """Return the events of 0.1 s ticks: ``+`` works, ``-`` fails, ``?`` is void."""
    events: list[ProbeEvent] = []
    found = ConnectFailureTracker(events.append)
    for at, outcome in enumerate(pattern):
        why = "" if outcome == "+" else "out"
        found.record(ConnectAttempt(at / 10, at / 10 + 0.8, why, outcome == "?"))
    if finish:
        found.finish()
    return events, found


@pytest.mark.parametrize("pattern", ["", "+++", "+-+--+", "+--?+", "?????"])
def test_few_failures_are_no_failure_run(pattern: str) -> None:
    """Single failures, two in a row, and inconclusive attempts are not reported."""
    assert closures(pattern)[0] == []


def test_shorter_run_is_reported_on_request() -> None:
    """A run of two is reported once it is over, and is never open."""
    events: list[ProbeEvent] = []
    found = ConnectFailureTracker(events.append)
    found.min_failures = 2
    for at, why in enumerate(["", "out", "out", ""]):
        assert found.ongoing is None
        found.record(ConnectAttempt(at, at + 0.5, why, rejected=at == 2))
    (event,) = events
    assert isinstance(event, ConnectFailureRun)
    assert (event.failed, event.rejected) == (2, True)


def test_first_failures_are_waited_for_on_request() -> None:
    """Nothing may be there yet; what fails after a success is reported at once."""
    events: list[ProbeEvent] = []
    found = ConnectFailureTracker(events.append)
    found.patient_until = 10.0
    for at in range(5):
        found.record(ConnectAttempt(at, at + 0.5, "out"))
    assert found.ongoing is None
    found.record(ConnectAttempt(10.0, 10.5, "out"))
    assert found.ongoing is not None
    assert found.ongoing.start == 0.0
    found = ConnectFailureTracker(events.append)
    found.patient_until = 10.0
    for at, why in enumerate(["out", "out", "out", "", "out", "out", "out", ""]):
        found.record(ConnectAttempt(at, at + 0.5, why))
    (event,) = events
    assert event.start == 4


def test_failure_run_has_bounds_on_both_sides() -> None:
    """A run ends with the next success, between the attempts around it."""
    events, found = closures("++---?-+++", finish=False)
    assert events == [ConnectFailureRun(0.2, pytest.approx(0.7), 0.1, 0.6, 4, "out")]
    assert (found.started, found.failed, found.void) == (9, 4, 1)


def test_longest_inconclusive_time_is_known() -> None:
    """It lasts from the first failure before inconclusive attempts to a success."""
    assert closures("++??++??-??-+")[1].longest_void == pytest.approx(0.4)
    assert closures("+-??+")[1].longest_void == pytest.approx(0.2)


def test_open_failure_run_is_reported_at_the_end() -> None:
    """At the end of the measurement an open run is reported."""
    (event,) = closures("++----")[0]
    assert isinstance(event, ConnectFailureRun)
    assert (event.failed, event.ended, event.last_start) == (4, False, 0.5)


def pauses(delays: dict[int, float], count: int = 60) -> list[ProbeEvent]:
    """Return what is told of questions each 0.05 s, some answered late.

    Answers come in the order of the questions, as TCP has it.
    """
    events: list[ProbeEvent] = []
    found = StallDetector(events.append)
    sent = [number * 0.05 for number in range(count)]
    answered, latest = [], 0.0
    for number, at in enumerate(sent):
        latest = max(latest, at + delays.get(number, 0.01))
        answered.append(latest)
    for at, is_answer in sorted(
        [(at, False) for at in sent] + [(at, True) for at in answered]
    ):
        if is_answer:
            found.record_answers(1, at)
        else:
            found.record_sent(at)
    found.finish(answered[-1])
    return events


def test_answering_connection_has_no_stall() -> None:
    """Slightly late answers are no stall."""
    assert pauses({20: 0.25, 40: 0.1}) == []


def test_stall_lasts_from_oldest_question_to_its_answer() -> None:
    """Later questions that were delayed belong to the same stall."""
    (event,) = pauses({20: 1.5})
    assert event == ConnectionStall(pytest.approx(1.0), pytest.approx(2.5))


def test_answer_between_two_stalls_separates_them() -> None:
    """An answer in time ends a stall."""
    events = pauses({5: 0.6, 40: 0.5})
    assert [(event.start, event.end) for event in events] == [
        (pytest.approx(0.25), pytest.approx(0.85)),
        (pytest.approx(2.0), pytest.approx(2.5)),
    ]


def test_broken_connection_is_reported() -> None:
    """The report has the error and the time of the first unanswered question."""
    events: list[ProbeEvent] = []
    found = StallDetector(events.append)
    found.record_sent(1.0)
    found.record_answers(1, 1.01)
    found.record_sent(2.0)
    found.finish(2.1, "reset")
    assert events == [ConnectionStall(2.0, 2.1, "reset")]
    assert found.unanswered == 0


def test_open_stall_is_reported_at_the_end() -> None:
    """A question unanswered for long is a stall that goes on."""
    events: list[ProbeEvent] = []
    found = StallDetector(events.append)
    found.record_sent(1.0)
    found.finish(2.0)
    assert events == [ConnectionStall(1.0, 2.0, ended=False)]
