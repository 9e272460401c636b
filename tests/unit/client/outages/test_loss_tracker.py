"""The tracker of two streams, on simulated networks with known losses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.client.outages.events import LossRun, ServerRestart
from netduet.client.outages.loss_tracker import ClockOffset, LossTracker
from netduet.wire.sequence import SequenceGaps
from netduet.wire.udp_stream import MAX_GAPS, StreamStatus

PERIOD = 0.02
DELAY = 0.004
THEIRS = 5000.0
"""Seconds that the server's clock is ahead of ours, in its own way."""


class SimulatedNetwork:
    """A client's and a server's stream on a clock of its own; some datagrams are lost."""

    def __init__(self) -> None:
        """Begin at 100 s."""
        self.tracker = LossTracker(PERIOD)
        self.tracker.set_boot_id("a")
        self.now = 100.0
        self.dropped: int | None = 0
        self.events: list[object] = []
        self.server()

    def server(self, run: int = 1) -> None:
        """Have the server begin its stream anew."""
        self.run, self.start, self.number = run, self.now, 0
        self.arrived = SequenceGaps()

    def tick(
        self,
        *,
        up: bool = True,
        down: bool = True,
        sent: bool = True,
        gave: bool = True,
    ) -> None:
        """Let a period pass: each end sends, unless it does not run, or it is lost."""
        self.now += PERIOD
        tracker = self.tracker
        if sent:
            number = tracker.up.sent
            tracker.record_sent(self.now)
            if up:
                self.arrived.take(number)
        if gave and self.arrived.received:
            status = self.make_status()
            self.number += 1
            if down:
                tracker.record_status(status, self.now + DELAY)
        self.events += tracker.settle(self.now)

    def ticks(self, count: int, **how: bool) -> None:
        """Advance by this number of periods."""
        for _ in range(count):
            self.tick(**how)

    def make_status(self) -> StreamStatus:
        """Return what the server sends now."""
        arrived = self.arrived
        return StreamStatus(
            7,
            self.run,
            self.number,
            int((self.now - self.start) * 1_000_000),
            arrived.first,
            arrived.since(MAX_GAPS),
            arrived.next,
            arrived.received,
            arrived.duplicated,
            arrived.late,
            arrived.newest(MAX_GAPS),
            self.dropped,
        )

    def finish(self) -> list[object]:
        """Return all events, once what is under way has come."""
        self.events += self.tracker.finish(self.now + DELAY)
        return self.events

    @property
    def outages(self) -> list[LossRun]:
        """The outages, in the order of their begin."""
        found = [event for event in self.finish() if isinstance(event, LossRun)]
        return sorted(found, key=lambda loss_run: loss_run.start)


@pytest.mark.parametrize(
    ("way", "where"), [("up", "path →"), ("down", "path ←")], ids=["up", "down"]
)
@pytest.mark.parametrize("lost", [12, 75, 500])
def test_outage_has_direction_and_length(way: str, where: str, lost: int) -> None:
    """From the sending of the first lost datagram to that of the next received one."""
    network = SimulatedNetwork()
    network.ticks(100)
    start = network.now + PERIOD
    network.ticks(lost, **{way: False})
    end = network.now + PERIOD
    network.ticks(100)
    (loss_run,) = network.outages
    assert (loss_run.where, loss_run.lost, loss_run.ended) == (where, lost, True)
    assert loss_run.start == pytest.approx(start, abs=DELAY + 0.001)
    assert loss_run.end == pytest.approx(end, abs=DELAY + 0.001)
    assert loss_run.sender_stalled == pytest.approx(0.0, abs=0.001)
    counted = network.tracker.up if way == "up" else network.tracker.down
    other = network.tracker.down if way == "up" else network.tracker.up
    assert (counted.lost, other.lost) == (lost, 0)


def test_waiting_for_the_last_answers_is_no_part_of_an_outage() -> None:
    """Nothing was sent meanwhile: it neither lengthens the outage nor excuses it."""
    network = SimulatedNetwork()
    network.ticks(100)
    network.ticks(30, up=False)
    network.ticks(20, sent=False)
    (loss_run,) = network.outages
    assert (loss_run.lost, loss_run.ended) == (30, False)
    assert loss_run.seconds == pytest.approx(30 * PERIOD)
    assert loss_run.sender_stalled == pytest.approx(0.0, abs=0.001)


def test_outage_counts_the_servers_socket_drops() -> None:
    """Only the growth of the server's counter during the outage counts."""
    network = SimulatedNetwork()
    network.dropped = 1000
    network.ticks(50)
    network.dropped += 30
    network.ticks(100)
    for _ in range(40):
        network.dropped += 2
        network.tick(up=False)
    network.ticks(100)
    network.dropped += 500
    network.ticks(100)
    (loss_run,) = network.outages
    assert (loss_run.where, loss_run.lost, loss_run.dropped) == ("path →", 40, 80)


def test_outage_counts_the_clients_socket_drops() -> None:
    """Our own socket's counter is read regularly."""
    network = SimulatedNetwork()
    for count in (9, 9):
        network.tracker.record_drops(count, network.now)
        network.ticks(50)
    network.ticks(40, down=False)
    network.tracker.record_drops(50, network.now)
    network.ticks(100)
    (loss_run,) = network.outages
    assert (loss_run.where, loss_run.lost, loss_run.dropped) == ("path ←", 40, 41)


def test_drop_counter_of_another_server_starts_anew() -> None:
    """A higher count than that of the previous server is no growth."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(40, up=False)
    network.server(run=2)
    network.dropped = 5000
    network.ticks(10)
    network.ticks(100)
    assert [loss_run.dropped for loss_run in network.outages] == [0] * len(
        network.outages
    )


def test_unknown_drops_excuse_nothing() -> None:
    """Some kernels do not report drops."""
    network = SimulatedNetwork()
    network.dropped = None
    network.ticks(50)
    network.ticks(40, up=False)
    network.ticks(100)
    (loss_run,) = network.outages
    assert loss_run.dropped == 0


def test_outage_in_both_directions_is_reported_for_each() -> None:
    """The next datagrams that arrive show what was lost in each direction."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(75, up=False, down=False)
    network.ticks(60)
    up, down = sorted(
        network.outages, key=lambda loss_run: loss_run.where, reverse=True
    )
    assert {up.where, down.where} == {"path →", "path ←"}
    for run in (up, down):
        assert run.seconds == pytest.approx(75 * PERIOD, abs=0.002)


def test_outage_longer_than_the_history_keeps_its_start() -> None:
    """The start is known even if the sent datagrams are no longer remembered."""
    network = SimulatedNetwork()
    network.ticks(10)
    start = network.now + PERIOD
    network.ticks(70_000, up=False)
    network.ticks(60)
    (loss_run,) = network.outages
    assert (loss_run.lost, loss_run.start) == (70_000, pytest.approx(start))
    assert loss_run.seconds == pytest.approx(70_000 * PERIOD)


def test_scattered_losses_are_counted_and_are_no_outage() -> None:
    """Single losses, and a few in a row, are packet loss."""
    network = SimulatedNetwork()
    for turn in range(60):
        network.ticks(9)
        network.ticks(1 + turn % 3, up=turn % 2 == 0, down=turn % 2 == 1)
    network.ticks(9)
    assert network.outages == []
    up, down = network.tracker.up, network.tracker.down
    assert up.lost == sum(1 + turn % 3 for turn in range(60) if turn % 2)
    assert down.lost == sum(1 + turn % 3 for turn in range(60) if not turn % 2)


few = settings(max_examples=60, deadline=None)


@few
@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.booleans(), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_totals_are_exact_for_any_loss_pattern(
    phases: list[tuple[int, bool, bool]],
) -> None:
    """The totals are exact once a datagram arrives again."""
    network = SimulatedNetwork()
    network.ticks(5)
    lost_up = lost_down = changes = 0
    for count, up, down in phases:
        network.ticks(count, up=up, down=down)
        lost_up += 0 if up else count
        lost_down += 0 if down else count
        changes += 1
    network.ticks(60)
    outages = network.outages
    tracker = network.tracker
    assert tracker.down.lost == lost_down
    assert tracker.up.lost + tracker.up.unknown >= lost_up >= tracker.up.lost
    if changes <= MAX_GAPS:  # no gap was forgotten while nothing came back
        assert (tracker.up.lost, tracker.up.unknown) == (lost_up, 0)
    assert all(loss_run.lost >= 8 for loss_run in outages)


def test_late_datagram_is_not_lost() -> None:
    """A datagram that arrives out of order within a second is late."""
    network = SimulatedNetwork()
    network.ticks(10)
    network.now += PERIOD
    held = network.make_status()
    network.number += 1
    network.ticks(20)
    network.tracker.record_status(held, network.now)
    network.ticks(100)
    assert network.outages == []
    assert (network.tracker.down.lost, network.tracker.down.late) == (0, 1)


@pytest.mark.parametrize("who", ["sent", "gave"])
def test_stalled_sender_is_no_outage(who: str) -> None:
    """What was never sent is not lost, however long the stall."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(100, **{who: False})
    network.ticks(100)
    assert network.outages == []
    assert (network.tracker.up.lost, network.tracker.down.lost) == (0, 0)
    stalled = sum(stall.seconds for stall in network.tracker.stalls)
    assert stalled == pytest.approx(2.0 if who == "gave" else 0.0, abs=0.03)


def test_outage_includes_the_servers_stall() -> None:
    """The outage says how long the server did not run meanwhile."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(100, up=False, gave=False)
    network.ticks(100)
    (loss_run,) = network.outages
    assert loss_run.receiver_stalled == pytest.approx(2.0, abs=0.05)


def test_stall_of_the_sender_in_an_outage_is_reported() -> None:
    """Of 2 s without an arrival, the server did not send for 1.6 s."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(10, down=False)
    network.ticks(80, gave=False)
    network.ticks(10, down=False)
    network.ticks(100)
    (loss_run,) = network.outages
    assert (loss_run.lost, loss_run.sender_stalled) == (
        20,
        pytest.approx(1.6, abs=0.01),
    )


def test_open_upload_outage_has_its_direction() -> None:
    """As long as the server reports that nothing arrives, the direction is known."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(75, up=False)
    (loss_run,) = network.outages
    assert (loss_run.where, loss_run.lost, loss_run.ended) == ("path →", 75, False)
    assert loss_run.seconds == pytest.approx(75 * PERIOD, abs=PERIOD)


def test_silence_to_the_end_has_no_direction() -> None:
    """If nothing arrives any more, either direction may be down."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(75, down=False)
    (loss_run,) = network.outages
    assert (loss_run.where, loss_run.ended) == ("unknown", False)
    assert network.tracker.up.unknown == 75


def test_restart_is_reported_with_the_losses_around_it() -> None:
    """Another boot id starts a new stream with new counts."""
    network = SimulatedNetwork()
    network.ticks(50)
    network.ticks(50, up=False, gave=False)
    network.tracker.set_boot_id("b")
    network.server(run=2)
    network.ticks(100)
    events = network.finish()
    (restart,) = [event for event in events if isinstance(event, ServerRestart)]
    assert restart.boot_ids == ("a", "b")
    assert restart.end - restart.start == pytest.approx(51 * PERIOD, abs=0.001)
    assert network.tracker.up.lost == 50
    assert network.tracker.down.sent == 150


def test_old_streams_datagram_does_not_count_as_new() -> None:
    """A late datagram of the previous stream is dropped."""
    network = SimulatedNetwork()
    network.ticks(50)
    stale = network.make_status()
    network.server(run=2)
    network.ticks(50)
    network.tracker.record_status(stale, network.now)
    network.ticks(60)
    assert [type(event) for event in network.finish()] == [ServerRestart]


def test_clock_offset_follows_a_drift() -> None:
    """The fastest datagram of the last minute gives the offset."""
    offset = ClockOffset()
    for second in range(1000):
        offset.add(float(second), THEIRS + second * 1.0001)
    assert offset.value == pytest.approx(THEIRS + 999 * 0.0001, abs=0.0065)
