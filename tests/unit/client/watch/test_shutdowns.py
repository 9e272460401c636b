"""What announced shutdowns explain, and what they do not."""

from __future__ import annotations

import pytest

from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ProbeEvent,
    ServerRestart,
)
from netduet.client.outages.keepalive_probe import KeepaliveProbe
from netduet.client.outages.loss_tracker import LossTracker
from netduet.client.outages.open_outage import ProbeState
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location
from netduet.client.watch.shutdowns import (
    ALIVE_SECONDS,
    GRACE_SECONDS,
    Shutdowns,
)

OLD, NEW, OTHER = "aa", "bb", "cc"
WEB_1, WEB_2 = Instance("web-1"), Instance("web-2")
OVER = 100.0 + GRACE_SECONDS + 0.1


class Address:
    """One address with a server process, which is alone there until second 100."""

    def __init__(self, *others: str, stream: str = OLD, old: str = OLD) -> None:
        """Have these other processes answer there too."""
        self.shutdowns = Shutdowns(1.0)
        self.stream = LossTracker(0.05, 16)
        self.old = KeepaliveProbe.__new__(KeepaliveProbe)
        self.old.boot_id, self.old.answered_at = old, 99.9
        self.stream.boot_id, self.stream.last_arrival = stream, 99.9
        for boot_id in (OLD, *others):
            self.shutdowns.record_answer(boot_id, 10.0, Instance(f"web-{boot_id}"))
            self.shutdowns.record_answer(boot_id, 99.5)
        self.observe()

    def observe(self) -> None:
        """Read the probes, as a poll does."""
        self.shutdowns.observe(self.old, self.stream)

    def announce(self, boot_id: str = OLD, at: float = 100.0) -> Shutdowns:
        """Have a process announce its shutdown."""
        self.shutdowns.record_announcement(boot_id, at)
        return self.shutdowns


def silent(start: float = 100.0) -> ProbeState:
    """Return that nothing comes back, and that connections fail."""
    loss_run = LossRun(Location.UNKNOWN, start, start + 2.5, 50, ended=False)
    return ProbeState(loss_run, failures(start, start + 2.5), None, "refused")


def failures(start: float, end: float) -> ConnectFailureRun:
    """Return failed connections."""
    return ConnectFailureRun(start, end, start - 1.0, end - 0.5, 3, "refused")


def lost(start: float, end: float) -> LossRun:
    """Return lost datagrams."""
    return LossRun(Location.TO_SERVER, start, end, round((end - start) / 0.05))


def test_announced_leave_is_explained_until_it_is_certain() -> None:
    """Nothing is wrong meanwhile; then the server has left."""
    shutdowns = Address().announce()
    assert shutdowns.explain_state(silent(), 102.5).start is None
    assert shutdowns.left_at(102.5) is None
    assert shutdowns.left_at(OVER) == 100.0


def test_silence_without_announcement_is_not_explained() -> None:
    """A crash is a fault."""
    shutdowns = Address().shutdowns
    assert shutdowns.explain_state(silent(), 102.5).start == 100.0
    assert shutdowns.left_at(200.0) is None
    broken = ConnectionStall(99.9, 100.0, "ECONNRESET", boot_id=OLD)
    assert shutdowns.explain_events([broken], 102.5) == [broken]


def test_outage_before_the_announcement_is_not_explained() -> None:
    """The path was cut, and only then the server said that it would leave."""
    shutdowns = Address().announce()
    assert shutdowns.explain_state(silent(95.0), 101.0).start == 95.0
    [run] = shutdowns.explain_events([lost(95.0, 102.0)], 103.0)
    assert (run.start, run.end) == (95.0, 100.0)
    assert shutdowns.explain_events([failures(95.0, 99.0)], 101.0)


@pytest.mark.parametrize(
    "event",
    [
        lost(99.95, 101.8),
        failures(99.2, 101.9),
        ConnectionStall(99.9, 100.6, "draining: over", boot_id=OLD),
        ConnectionStall(114.0, 115.0, "ECONNRESET", boot_id=OLD),
        ServerRestart(100.0, 101.7, (OLD, NEW), "draining"),
    ],
)
def test_effects_of_a_shutdown_are_explained(event: ProbeEvent) -> None:
    """Also a reset at the end of the drain, long after the announcement."""
    assert Address().announce().explain_events([event], 116.0) == []


def test_new_outage_after_the_handover_is_not_explained() -> None:
    """The stream had moved to another instance, and then packets were lost."""
    shutdowns = Address().announce()
    restart = ServerRestart(100.0, 100.4, (OLD, NEW), "draining")
    assert shutdowns.explain_events([restart], 100.5) == []
    run = lost(101.0, 102.5)
    assert shutdowns.explain_events([run], 104.0) == [run]
    shutdowns.record_answer(NEW, 100.6, WEB_2)
    assert shutdowns.take_handover()
    assert not shutdowns.take_handover()
    refused = failures(101.0, 104.0)
    assert shutdowns.explain_events([refused], 104.5) == [refused]
    assert shutdowns.left_at(OVER) is None


def test_other_instances_must_go_on_working() -> None:
    """Behind a virtual address, the shutdown of one excuses no refusal of the others."""
    shutdowns = Address(OTHER).announce()
    state = shutdowns.explain_state(silent(), 102.5)
    assert state.stream is None
    assert state.failure_run is not None
    assert shutdowns.left_at(200.0) is None
    assert shutdowns.explain_state(silent(), OVER).start == 100.0


def test_last_of_several_instances_leaves() -> None:
    """All have announced it, or have not been seen for long."""
    shutdowns = Address(OTHER).announce()
    shutdowns.record_announcement(OTHER, 101.0)
    assert shutdowns.left_at(101.0 + GRACE_SECONDS) == 101.0
    shutdowns = Address().shutdowns
    shutdowns.record_answer(OTHER, 99.0 - ALIVE_SECONDS, WEB_2)
    shutdowns.record_announcement(OLD, 100.0)
    assert shutdowns.left_at(OVER) == 100.0


def test_losses_of_another_instance_are_not_explained() -> None:
    """The old connection's server leaves; the stream is another one's."""
    shutdowns = Address(OTHER, stream=OTHER).announce()
    assert shutdowns.explain_events([lost(100.5, 102.0)], 103.0)
    assert shutdowns.explain_state(silent(), 102.5).stream is not None


def test_server_that_goes_on_has_not_left() -> None:
    """It is watched as before, and its next silence is an outage."""
    address = Address()
    shutdowns = address.announce()
    shutdowns.record_answer(OLD, OVER)
    assert shutdowns.left_at(OVER) is None
    assert shutdowns.explain_state(silent(OVER), OVER + 1.0).start == OVER
    shutdowns.record_announcement(OLD, 100.0)  # the same one as before
    assert shutdowns.left_at(OVER + 9.0) is None
    shutdowns.record_announcement(OLD, OVER + 20.0)
    assert shutdowns.left_at(OVER + 30.0) == OVER + 20.0


def test_announcement_of_an_unknown_process_is_that_of_the_only_one() -> None:
    """Of several it may be any."""
    assert Address().announce("").left_at(OVER) == 100.0
    assert Address(OTHER).announce("").left_at(OVER) is None


def test_moved_stream_is_no_restart() -> None:
    """Both processes were alive at the same time, or none can have started so fast."""
    move = ServerRestart(99.9, 100.1, (OLD, NEW))
    known = Address().shutdowns
    known.record_answer(NEW, 98.0, WEB_2)
    assert known.explain_events([move], 104.0) == []
    alive = Address()
    assert alive.shutdowns.explain_events([move], 100.3) == []
    alive.old.answered_at = 100.6
    alive.observe()
    assert alive.shutdowns.explain_events([], 104.0) == []
    fast = Address().shutdowns
    assert fast.explain_events([move], 100.3) == []
    fast.record_answer(NEW, 101.0, WEB_2)
    assert fast.explain_events([], 104.0) == []
    late, nameless = Address().shutdowns, Address().shutdowns
    for shutdowns in late, nameless:
        assert shutdowns.explain_events([move], 100.3) == []
        assert shutdowns.explain_events([], 104.5) == []
    late.record_answer(NEW, 104.6, WEB_2)
    assert late.explain_events([], 105.2) == []
    assert nameless.explain_events([], 105.2) == [move]


def test_restart_is_reported_a_moment_later() -> None:
    """The process before it was never heard of again."""
    for restart in (
        ServerRestart(99.9, 100.1, (OLD, NEW)),
        ServerRestart(99.9, 102.1, (OLD, NEW)),
    ):
        shutdowns = Address().shutdowns
        assert shutdowns.explain_events([restart], restart.end + 0.1) == []
        assert shutdowns.is_pending(restart.end + 0.2)
        shutdowns.record_answer(NEW, restart.end, Instance(f"web-{OLD}"))
        assert shutdowns.explain_events([], restart.end + 2.0) == [restart]
        # The crashed one is not taken for alive when its successor leaves.
        shutdowns.record_announcement(NEW, restart.end + 5.0)
        assert shutdowns.left_at(restart.end + 9.0) == restart.end + 5.0


def test_new_stream_of_the_same_process_is_passed_on() -> None:
    """It shows that the server had given the old stream up."""
    restart = ServerRestart(40.0, 100.1, (OLD, OLD), "lease")
    assert Address().shutdowns.explain_events([restart], 100.2) == [restart]
