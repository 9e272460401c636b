"""Some new connections fail and others work: begin, share, end, and what is no such thing."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from netduet.client.outages.connect_probe import (
    FURTHER_PERIOD_SECONDS,
    ConnectAttempt,
    ConnectFailureTracker,
)
from netduet.client.outages.events import ProbeEvent
from netduet.client.outages.outage import Outage, OutageEnded
from netduet.client.report.text import plain
from netduet.client.results.location import Location
from netduet.client.watch import text
from netduet.client.watch.availability import AvailabilityTracker
from netduet.client.watch.connection_budget import MAX_SAVED, ConnectionBudget
from netduet.client.watch.partial_failure import (
    PartialFailureTracker,
    PartialNotice,
    PartialPhase,
)
from netduet.net.time_span import TimeSpan

NO_LOSSES = 0, 1000
BEGAN, LEARNT, ENDED = PartialPhase.BEGAN, PartialPhase.LEARNT, PartialPhase.ENDED


@dataclass
class WatchedPeer:
    """A peer's new connections: a regular one each second, and those that are wanted."""

    fails: Callable[[float], bool]
    now: float = 0.0
    tracker: PartialFailureTracker = field(
        default_factory=lambda: PartialFailureTracker(
            itertools.count(1), ConnectionBudget()
        )
    )
    attempts: int = 0
    notices: list[tuple[float, PartialNotice]] = field(default_factory=list)
    runs: list[ProbeEvent] = field(default_factory=list)
    outages: int = 0
    losses: tuple[int, int] = NO_LOSSES

    def until(self, end: float) -> None:
        """Make connections until then."""
        failures = ConnectFailureTracker(self.runs.append)
        due, was_out = self.now, False
        while self.now < end:
            error = "ETIMEDOUT" if self.fails(self.now) else ""
            now, regular = self.now, self.now >= due
            due = now + 1.0 if regular else due
            attempt = ConnectAttempt(now, now + 0.1, error, further=not regular)
            failures.record(attempt)
            self.tracker.record(attempt)
            failures.max_by_chance = self.tracker.max_by_chance
            self.tracker.exclude([], [], self.losses)
            self.attempts += 1
            self.outages += failures.ongoing is not None and not was_out
            was_out = failures.ongoing is not None
            self.notices += ((now, notice) for notice in self.tracker.poll(now))
            wants = self.tracker.wants_attempts and self.tracker.take(now)
            self.now = min(due, now + FURTHER_PERIOD_SECONDS) if wants else due

    def phases(self) -> list[PartialPhase]:
        """Return what was reported."""
        return [notice.phase for _, notice in self.notices]


def at_random(
    share: float, start: float = 0.0, end: float = float("inf"), seed: int = 1
) -> Callable[[float], bool]:
    """Return what fails with this probability, between two times."""
    draw = random.Random(seed)
    return lambda now: start <= now < end and draw.random() < share


@pytest.mark.parametrize(
    ("share", "open_seconds", "close_seconds"),
    [(0.125, 120, 40), (0.25, 45, 20), (0.42, 25, 10), (0.6, 20, 5)],
)
@pytest.mark.parametrize("seed", range(5))
def test_partial_failure_is_reported_from_begin_to_end(
    share: float, open_seconds: float, close_seconds: float, seed: int
) -> None:
    """Once each, with its share, within a bounded time; no run of it is an outage."""
    peer = WatchedPeer(at_random(share, 100.0, 300.0, seed))
    peer.until(400.0)
    assert peer.phases() == [BEGAN, LEARNT, ENDED]
    (began, _), _, (ended, notice) = peer.notices
    assert began - 100.0 < open_seconds
    assert ended - 300.0 < close_seconds
    partial = notice.partial
    assert partial.share == pytest.approx(share, abs=0.07)
    assert 100.0 <= partial.start < began
    assert 280.0 < partial.end <= 302.0
    assert (peer.outages, peer.runs) == (0, [])
    assert peer.tracker.share == 0.0
    assert not peer.tracker.suspected


@pytest.mark.parametrize("share", [0.0, 0.01, 0.02, 0.03])
def test_loss_of_a_percent_is_no_partial_failure(share: float) -> None:
    """At 1 % loss each way, 2 % of the connections do not work at once: for a day."""
    peer = WatchedPeer(at_random(share))
    peer.until(86_400.0)
    assert (peer.phases(), peer.outages) == ([], 0)


def test_single_failure_asks_for_few_further_connections() -> None:
    """They show that all is well, and then there are no more."""
    peer = WatchedPeer(lambda now: now == 100.0)
    peer.until(200.0)
    assert peer.phases() == []
    assert 200 < peer.attempts < 220
    assert not peer.tracker.suspected


def test_total_outage_is_no_partial_failure() -> None:
    """All fail: an outage, which asks for few further connections."""
    peer = WatchedPeer(lambda now: 100.0 <= now < 160.0)
    peer.until(200.0)
    assert peer.phases() == []
    assert peer.outages == 1
    assert len(peer.runs) == 1
    assert peer.attempts < 250


def test_total_outage_during_a_partial_failure_is_an_outage() -> None:
    """The states are independent: the partial failure goes on after it."""
    part = at_random(0.42)
    peer = WatchedPeer(lambda now: 200.0 <= now < 230.0 or part(now))
    peer.until(260.0)
    assert peer.phases() == [BEGAN, LEARNT]
    assert peer.outages == 1
    assert peer.tracker.ongoing is not None


def test_repeated_outages_are_no_partial_failure() -> None:
    """A peer that is out for two seconds each ten is told as that."""

    def fails(now: float) -> bool:
        return now % 10.0 < 2.0

    peer = WatchedPeer(fails)
    for cycle in range(60):
        peer.until(10.0 * cycle + 9.0)
        outage = Outage("stream.outage", Location.UNKNOWN, 10.0 * cycle, 10 * cycle + 2)
        peer.tracker.exclude([OutageEnded(0, outage)], [], NO_LOSSES)
    assert peer.phases() == []


def test_servers_stalls_are_excluded() -> None:
    """What failed while the server did not run says nothing about the network."""
    tracker = PartialFailureTracker(itertools.count(1), ConnectionBudget())
    for number in range(40):
        now = number * 1.0
        error = "ETIMEDOUT" if number % 2 else ""
        tracker.record(ConnectAttempt(now, now + 0.5, error))
        stalls = [TimeSpan(now, now + 0.6)] if error else []
        tracker.exclude([], stalls, NO_LOSSES)
    assert tracker.poll(40.0) == []
    assert not tracker.suspected


def test_lost_datagrams_explain_failed_connections() -> None:
    """At 10 % loss each way, every fifth connection loses its SYN or the answer."""
    peer = WatchedPeer(at_random(0.19))
    peer.losses = 2000, 20_000
    peer.until(3600.0)
    assert peer.phases() == []


def test_void_attempts_prove_nothing() -> None:
    """They failed because of this client."""
    tracker = PartialFailureTracker(itertools.count(1), ConnectionBudget())
    for number in range(400):
        error = "EMFILE" if number % 2 else ""
        tracker.record(ConnectAttempt(number, number + 0.1, error, void=bool(error)))
    assert tracker.poll(400.0) == []


def test_open_partial_failure_is_left_open() -> None:
    """When the watch ends it is not over; the line and the summary have its share."""
    peer = WatchedPeer(at_random(0.5))
    peer.until(40.0)
    peer.notices += ((40.0, notice) for notice in peer.tracker.finish(40.0))
    assert peer.phases() == [BEGAN, LEARNT, PartialPhase.OPEN]
    account = AvailabilityTracker(0.0, 10)
    account.add("a", "web", 0.0)
    lines = []
    for now, notice in peer.notices:
        account.record_partial("a", notice)
        lines.append(plain(text.partial_line("a", notice, now, 0.0)))
    assert lines[0].split("Z ", 1)[1].startswith("PARTIAL a: ")
    assert " % of new connections fail (" in lines[0]
    assert "ETIMEDOUT), the others work (since 00:00:" in lines[0]
    assert "PARTIAL a (ongoing, " in lines[2]
    summary = account.summary(40.0)
    assert (summary.availability, summary.outages) == (1.0, 0)
    head = plain(list(text.summary(summary, 0.0))[2])
    assert "no outages, 1 partial failure of " in head
    assert account.by_target(50.0)["web"].partial_failures == 1


def test_end_of_a_partial_failure_has_class_and_location() -> None:
    """A refusal is the server's end."""
    tracker = PartialFailureTracker(itertools.count(1), ConnectionBudget())
    attempts = ["ECONNREFUSED", ""] * 40 + [""] * 60
    notices = []
    for number, error in enumerate(attempts):
        tracker.record(ConnectAttempt(number, number + 0.1, error))
        notices += tracker.poll(number)
    line = plain(text.partial_line("a", notices[-1], 99.0, 0.0))
    assert "BACK  a: partial failure of 1 min 19 s from 00:00:00Z (#1): 51 %" in line
    assert line.endswith("[watch.partial; the server's end]")


def test_counters_of_partial_failures_advance_and_never_fall() -> None:
    """Its end is earlier than what shows it."""
    peer = WatchedPeer(at_random(0.5, 0.0, 60.0))
    peer.until(120.0)
    account = AvailabilityTracker(0.0, 10)
    row = account.add("a", "web", 0.0)
    counted = [row.count_partial(0.0)]
    for now, notice in peer.notices:
        counted.append(row.count_partial(now))
        account.record_partial("a", notice)
        counted.append(row.count_partial(now))
    assert counted == sorted(counted)
    assert counted[-1] == pytest.approx(60.0, abs=10.0)


def test_budget_bounds_the_connections_of_all_peers() -> None:
    """A burst, and then so many a second."""
    budget = ConnectionBudget()
    assert sum(budget.take(0.0) for _ in range(100)) == MAX_SAVED
    assert sum(budget.take(step / 1000) for step in range(1000)) < 21
