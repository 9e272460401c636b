"""Start, end and class of outages: tables of states and events."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from netduet.client.net.dial import UNROUTED, Address
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ProbeEvent,
    ServerRestart,
)
from netduet.client.outages.loss_tracker import LossCounts
from netduet.client.outages.open_outage import ProbeState, without_starvation
from netduet.client.outages.outage import (
    Outage,
    OutageEnded,
    OutageNotice,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.results.location import Location
from netduet.client.watch.outage_tracker import (
    MAX_EVENTS,
    QUIET_SECONDS,
    OutageTracker,
)
from netduet.client.watch.recent_counts import WINDOW_SECONDS, ProbeTotals
from netduet.net.time_span import TimeSpan

ADDRESS = Address(2, "192.0.2.1", 12345)
FORTH, BACK = Location.TO_SERVER, Location.FROM_SERVER
BOTH, UNKNOWN = Location.INTERMEDIARY, Location.UNKNOWN
SERVER = Location.SERVER
LATER = QUIET_SECONDS + 0.1
WELL = ProbeState()
GOOD = ProbeTotals(LossCounts(10_000), LossCounts(10_000), 500, 0, 1000, 1000)


def episodes() -> OutageTracker:
    """Return those of a peer that was well until second 100."""
    made = OutageTracker(ADDRESS, 0.05, 1.0, 0.5, itertools.count(1))
    assert made.update(0.0, WELL, [], ProbeTotals(LossCounts(), LossCounts())) == []
    return made


def out(where: str, start: float = 100.0, seconds: float = 2.0) -> LossRun:
    """Return an outage of the streams."""
    return LossRun(where, start, start + seconds, round(seconds / 0.05), precision=0.05)


def silent(start: float = 100.0, now: float = 101.0) -> ProbeState:
    """Return that nothing comes back."""
    return ProbeState(LossRun(UNKNOWN, start, now, 20, ended=False))


def happened(
    *events: ProbeEvent, signs: ProbeState | None = None
) -> list[OutageNotice]:
    """Return the notices for a state from 100 to 102, and events after it."""
    watched = episodes()
    notices: list[OutageNotice] = []
    now = 100.5
    while now < 102.0:
        notices += watched.update(now, signs or WELL, [], GOOD)
        now += 0.25
    notices += watched.update(103.0, WELL, events, lost(*events))
    for step in range(1, 12):
        notices += watched.update(103.0 + step / 4, WELL, [], lost(*events))
    return notices


def lost(*events: ProbeEvent) -> ProbeTotals:
    """Return what is counted after outages."""
    outages = [event for event in events if isinstance(event, LossRun)]
    up = sum(loss_run.lost for loss_run in outages if loss_run.where == FORTH)
    down = sum(run.lost for run in outages if run.where == BACK)
    failed = sum(
        event.failed for event in events if isinstance(event, ConnectFailureRun)
    )
    return ProbeTotals(LossCounts(10_100, up), LossCounts(10_100, down), 510, failed)


def over(notices: list[OutageNotice]) -> list[Outage]:
    """Return the outages that ended."""
    return [notice.outage for notice in notices if isinstance(notice, OutageEnded)]


def test_healthy_peer_is_not_reported() -> None:
    """Without events there are no notices."""
    assert happened() == []


@pytest.mark.parametrize(
    ("events", "failure", "where", "seconds"),
    [
        ((out(FORTH),), "stream.outage", FORTH, 2.0),
        ((out(BACK),), "stream.outage", BACK, 2.0),
        ((out(FORTH), out(BACK)), "stream.outage", BOTH, 2.0),
        (
            (out(FORTH), ServerRestart(100.0, 102.2, ("aa", "bb"))),
            "stream.restarted",
            SERVER,
            2.2,
        ),
        # The server gave its old stream up: had its way been open, it would have come.
        (
            (out(FORTH), ServerRestart(100.0, 102.2, ("aa", "aa"))),
            "stream.outage",
            BOTH,
            2.0,
        ),
        (
            (
                out(FORTH, seconds=70),
                ServerRestart(160.0, 170.2, ("aa", "aa"), "lease"),
            ),
            "stream.outage",
            FORTH,
            70.0,
        ),
    ],
)
def test_outage_is_reported_at_start_and_end(
    events: tuple[ProbeEvent, ...], failure: str, where: str, seconds: float
) -> None:
    """Once each, with the same number; the direction comes with the end."""
    notices = happened(*events, signs=silent())
    assert [(type(notice), notice.number) for notice in notices] == [
        (OutageStarted, 1),
        (OutageEnded, 1),
    ]
    assert notices[0].outage.where == UNKNOWN
    (outage,) = over(notices)
    assert (outage.failure, outage.where) == (failure, where)
    assert outage.seconds == pytest.approx(seconds)
    assert outage.proven


def test_short_outage_is_reported_at_its_end() -> None:
    """An outage that was never reported as open has no number."""
    notices = happened(out(BACK, seconds=0.5))
    assert [(type(notice), notice.number) for notice in notices] == [(OutageEnded, 0)]
    assert "nothing arrived from the server" in notices[0].outage.description


def test_two_outages_of_one_episode_are_reported_separately() -> None:
    """They are in order; the one reported at its start keeps its number."""
    notices = happened(
        out(FORTH, 100.0, 0.6), out(FORTH, 101.0, 1.0), signs=silent(100.0)
    )
    ended = [notice for notice in notices if isinstance(notice, OutageEnded)]
    assert [(notice.number, round(notice.outage.seconds, 2)) for notice in ended] == [
        (1, 0.6),
        (0, 1.0),
    ]


def test_losses_explained_by_chance_are_no_outage() -> None:
    """At 33 % loss, eight in a row are lost by chance."""
    watched = episodes()
    row = LossRun(FORTH, 100.0, 100.4, 8, precision=0.05)
    bad = replace(GOOD, up=LossCounts(10_000, 3500))
    notices = watched.update(103.0, WELL, [row], bad)
    notices += watched.update(103.0 + LATER, WELL, [], bad)
    assert notices == []


def test_earlier_outage_does_not_count_as_loss_rate() -> None:
    """However much an outage lost, the next short one is reported."""
    watched = episodes()
    long = out(FORTH, 100.0, 250.0)
    totals = replace(GOOD, up=LossCounts(10_000, long.lost))
    notices = watched.update(352.0, WELL, [long], totals)
    notices += watched.update(352.0 + LATER, WELL, [], totals)
    short = LossRun(FORTH, 360.0, 360.5, 10, precision=0.05)
    totals = replace(GOOD, up=LossCounts(10_200, long.lost + 10))
    notices += watched.update(362.0, WELL, [short], totals)
    notices += watched.update(362.0 + LATER, WELL, [], totals)
    assert [loss_run.lost for loss_run in (long, short)] == [5000, 10]
    assert [round(outage.seconds, 1) for outage in over(notices)] == [250.0, 0.5]


def test_old_losses_excuse_nothing() -> None:
    """After twice the window only recent losses count."""
    watched = episodes()
    lossy = replace(GOOD, up=LossCounts(10_000, 3500))
    for turn in range(1, 4):
        watched.update(turn * WINDOW_SECONDS, WELL, [], lossy)
    now = 3 * WINDOW_SECONDS + 10
    row = LossRun(FORTH, now - 3, now - 2.4, 12, precision=0.05)
    totals = replace(lossy, up=LossCounts(16_000, 3512))
    watched.update(now, WELL, [row], totals)
    assert len(over(watched.update(now + LATER, WELL, [], totals))) == 1


def test_outage_at_a_starved_end_is_inconclusive() -> None:
    """If an end did not run for most of it, it is reported and not counted."""
    starved = replace(out(FORTH), sender_stalled=1.5)
    (outage,) = over(happened(starved, signs=silent()))
    assert not outage.proven
    assert "suspended or starved of CPU" in outage.description


@pytest.mark.parametrize("where", [FORTH, BACK])
def test_full_socket_buffer_is_inconclusive(where: str) -> None:
    """Datagrams dropped by the receiver's socket were not lost on the way."""
    (outage,) = over(happened(replace(out(where), dropped=1000), signs=silent()))
    assert not outage.proven
    assert "buffer was full" in outage.description
    assert any("from any sender" in text for _, text in outage.evidence)


def test_events_explained_by_starvation_are_ignored() -> None:
    """A quarter of a stall by both ends together, otherwise half by this end."""
    pause = ConnectionStall(100.0, 104.0, ended=False)
    stream = LossRun(FORTH, 100.0, 104.0, 80, ended=False)
    signs = ProbeState(stream, stall=pause)
    assert without_starvation(signs, 0.4, 0.5, 4.0) == signs
    assert without_starvation(signs, 0.5, 0.5, 4.0) == ProbeState(stream)
    assert without_starvation(signs, 0.0, 1.0, 4.0) == ProbeState(stream)
    assert without_starvation(signs, 1.9, 4.0, 4.0) == ProbeState(stream)
    assert without_starvation(signs, 2.0, 0.0, 4.0) == ProbeState()


def test_possible_socket_drops_delay_the_report() -> None:
    """The outage is reported at its end, with its cause."""
    overflow = LossRun(FORTH, 100.0, 101.0, 20, dropped=15, ended=False)
    assert not ProbeState(overflow).proven


def test_stalled_server_is_no_network_outage() -> None:
    """Nothing was lost; the server's stream shows that it did not run."""
    watched = episodes()
    still = replace(GOOD, server_stalls=(TimeSpan(100.0, 101.9),))
    notices = watched.update(101.0, silent(), [], GOOD)
    notices += watched.update(102.0, silent(now=102.0), [], GOOD)
    notices += watched.update(102.0 + LATER, WELL, [], still)
    (outage,) = over(notices)
    assert (outage.failure, outage.where, outage.proven) == (
        "watch.paused",
        SERVER,
        True,
    )


def test_stalled_server_may_have_accepted_a_connection() -> None:
    """A connect succeeded before its datagrams came; it is still the server."""
    watched = episodes()
    still = replace(GOOD, server_stalls=(TimeSpan(100.0, 101.9),))
    worked = replace(silent(now=102.0), connections_work=True)
    notices = watched.update(101.0, silent(), [], GOOD)
    notices += watched.update(102.0, worked, [ConnectionStall(100.3, 102.0)], GOOD)
    notices += watched.update(102.0 + LATER, WELL, [], still)
    (outage,) = over(notices)
    assert (outage.failure, outage.where, outage.proven) == (
        "watch.paused",
        SERVER,
        True,
    )


def test_unexplained_silence_is_inconclusive() -> None:
    """Nothing was lost, and neither end shows a stall."""
    watched = episodes()
    watched.update(101.0, silent(), [], GOOD)
    (outage,) = over(watched.update(101.0 + LATER, WELL, [], GOOD))
    assert (outage.where, outage.proven) == (UNKNOWN, False)


def test_outage_of_connections_alone_is_reported() -> None:
    """New ones, or the old one, while the streams work."""
    failure_run = ConnectFailureRun(100.0, 105.0, 99.0, 104.0, 5, "ETIMEDOUT")
    (outage,) = over(happened(failure_run))
    assert (outage.failure, outage.where) == ("stream.new_connections", UNKNOWN)
    (outage,) = over(happened(ConnectionStall(100.0, 101.5)))
    assert (outage.failure, outage.where) == ("stream.old_connections", BOTH)
    (outage,) = over(happened(ConnectionStall(100.0, 100.1, "ECONNRESET")))
    assert "broke" in outage.description
    assert happened(ConnectionStall(100.0, 100.4)) == []


def test_late_recovery_of_the_old_connection_is_no_outage() -> None:
    """It belongs to the outage that caused it, though TCP recovers later."""
    watched = episodes()
    outage = out(FORTH)
    notices = watched.update(103.2, WELL, [outage], lost(outage))
    notices += watched.update(103.2 + LATER, WELL, [], lost(outage))
    assert len(over(notices)) == 1
    late = ConnectionStall(100.1, 120.0)
    notices = watched.update(120.0, WELL, [late], lost(outage))
    assert notices + watched.update(120.0 + LATER, WELL, [], lost(outage)) == []


def test_outage_ends_while_the_old_connection_backs_off() -> None:
    """Datagrams and new connections show that the peer is back."""
    watched = episodes()
    notices = watched.update(101.0, silent(), [], GOOD)
    outage = out(BOTH, 100.0, 20.0)
    lacking = lost(outage)
    late = ConnectionStall(100.1, 121.0, ended=False)
    notices += watched.update(121.0, ProbeState(stall=late), [outage], lacking)
    still = ProbeState(stall=replace(late, end=121.0 + LATER))
    notices += watched.update(121.0 + LATER, still, [], lacking)
    assert [type(notice) for notice in notices] == [OutageStarted, OutageEnded]
    (ended,) = over(notices)
    assert ended.seconds == pytest.approx(20.0)
    assert "the existing connection has not recovered yet" in [
        text for _, text in ended.evidence
    ]
    notices = watched.update(
        130.0, ProbeState(stall=replace(late, end=130.0)), [], lacking
    )
    notices += watched.update(140.0, WELL, [ConnectionStall(100.1, 139.0)], lacking)
    notices += watched.update(140.0 + LATER, WELL, [], lacking)
    assert notices == []
    assert watched.ongoing is None


def test_peer_was_out_until_its_first_answer() -> None:
    """Before its first answer, neither chance nor starvation is an excuse."""
    none = ProbeTotals(LossCounts(), LossCounts())
    watched = OutageTracker(ADDRESS, 0.05, 1.0, 0.5, itertools.count(1))
    failure_run = ConnectFailureRun(
        100.0, 120.0, 100.0, 119.0, 20, "no response in time"
    )
    signs = ProbeState(
        failure_run=replace(failure_run, ended=False), answered_before=False
    )
    notices = watched.update(103.0, signs, [], none)
    after = ProbeTotals(LossCounts(), LossCounts(), 21, 20)
    notices += watched.update(120.5, WELL, [failure_run], after)
    notices += watched.update(120.5 + LATER, WELL, [], after)
    assert [(type(notice), notice.number) for notice in notices] == [
        (OutageStarted, 1),
        (OutageEnded, 1),
    ]
    (outage,) = over(notices)
    assert (outage.failure, outage.where, outage.proven) == (
        "watch.never_reached",
        UNKNOWN,
        True,
    )
    assert outage.seconds == pytest.approx(20.0)
    assert outage.description == (
        "first response since the watch began; before that, 20 new connections in a row failed"
    )


def test_broken_old_connection_starts_the_outage() -> None:
    """Without datagrams the old connection shows the server's end first."""
    watched = OutageTracker(ADDRESS, 0.05, 1.0, 0.5, itertools.count(1))
    before = ProbeTotals(LossCounts(), LossCounts(), 500, 0, 1000, 1000)
    notices = watched.update(0.0, WELL, [], before)
    broke = ConnectionStall(100.0, 100.0, "the server closed its sending side")
    gone = ProbeState(unreachable=True)
    notices += watched.update(100.2, gone, [broke], before)
    notices += watched.update(100.2 + LATER, gone, [], before)
    assert notices == []
    failure_run = ConnectFailureRun(
        100.6, 110.6, 99.6, 109.6, 10, "no response in time"
    )
    out_now = replace(gone, failure_run=replace(failure_run, ended=False))
    (told_now,) = watched.update(103.6, out_now, [], before)
    assert told_now.outage.failure == "stream.outage"
    assert "and the existing one broke" in told_now.outage.description
    after = ProbeTotals(LossCounts(), LossCounts(), 511, 10, 1000, 1000)
    watched.update(111.0, WELL, [failure_run], after)
    (outage,) = over(watched.update(111.0 + LATER, WELL, [], after))
    assert (outage.failure, outage.where) == ("stream.outage", UNKNOWN)
    assert "the existing connection stalled too" in outage.description


def test_stalled_old_connection_keeps_only_its_own_outage_open() -> None:
    """One that stalls long after an outage is an outage of its own."""
    watched = episodes()
    outage = out(FORTH)
    notices = watched.update(103.2, WELL, [outage], lost(outage))
    notices += watched.update(103.2 + LATER, WELL, [], lost(outage))
    pause = ConnectionStall(110.0, 112.0, ended=False)
    (told_now,) = watched.update(112.0, ProbeState(stall=pause), [], lost(outage))
    assert isinstance(told_now, OutageStarted)
    assert told_now.outage.failure == "stream.old_connections"


@pytest.mark.parametrize("left", [True, False])
def test_update_uses_current_knowledge(left: bool) -> None:
    """New connections had not failed at the start, and have at the update."""
    watched = episodes()
    watched.update(101.0, silent(), [], GOOD)
    refused = replace(silent(now=104.0), connect_error="(EHOSTUNREACH)")
    watched.update(104.0, refused, [], GOOD)
    recovers = ProbeState(
        failure_run=ConnectFailureRun(100.5, 105.0, 99.5, 104.5, 5, "x")
    )
    watched.update(105.0, recovers, [], GOOD)
    (notice,) = watched.finish(105.0, left=left)
    assert "new connections: (EHOSTUNREACH)" in notice.outage.description
    assert "have not failed" not in notice.outage.description


def test_outage_of_datagrams_alone_has_its_own_class() -> None:
    """Old and new connections had time to fail, and did not."""
    outage = out(FORTH, 100.0, 4.0)
    watched = episodes()
    worked = replace(
        lost(outage),
        connections_started=100,
        questions_asked=200,
        questions_answered=200,
    )
    notices = watched.update(101.0, silent(), [], worked)
    notices += watched.update(
        102.0, replace(silent(), connections_work=True), [], worked
    )
    assert watched.ongoing is not None
    assert watched.ongoing.failure == "watch.datagrams"
    notices += watched.update(104.5, WELL, [outage], worked)
    notices += watched.update(104.5 + LATER, WELL, [], worked)
    (ended,) = over(notices)
    assert (ended.failure, ended.where) == ("watch.datagrams", FORTH)
    assert "while TCP connections kept working" in ended.description


@pytest.mark.parametrize(
    ("seconds", "event", "answered"),
    [
        (1.0, None, 200),
        (4.0, ConnectionStall(100.2, 104.4), 200),
        (4.0, ConnectFailureRun(100.2, 104.1, 99.0, 103.2, 4, "x"), 200),
        (4.0, None, 0),
    ],
    ids=["too short", "the old one stood", "new ones failed", "there was no old one"],
)
def test_outage_with_connections_is_a_network_outage(
    seconds: float, event: ProbeEvent | None, answered: int
) -> None:
    """Connections failed too, or could not have yet."""
    outage = out(FORTH, 100.0, seconds)
    watched = episodes()
    totals = replace(
        lost(outage),
        connections_started=100,
        questions_asked=200,
        questions_answered=answered,
    )
    events = [outage] if event is None else [outage, event]
    notices = watched.update(104.5, WELL, events, totals)
    notices += watched.update(104.5 + LATER, WELL, [], totals)
    assert over(notices)[0].failure == "stream.outage"


@pytest.mark.parametrize(
    ("signs", "failure", "where", "words"),
    [
        (silent(), "stream.outage", UNKNOWN, "nothing comes back"),
        (
            ProbeState(LossRun(FORTH, 100.0, 101.0, 20, ended=False)),
            "stream.outage",
            FORTH,
            "its own datagrams still arrive",
        ),
        (
            replace(silent(), connect_error="ECONNREFUSED: Connection refused"),
            "watch.refused",
            SERVER,
            "refuses connections",
        ),
        (
            ProbeState(
                failure_run=ConnectFailureRun(100.0, 103.0, 99.0, 102.0, 3, "x"),
                answered_before=False,
            ),
            "watch.never_reached",
            UNKNOWN,
            "the expected server has not responded there yet: x",
        ),
        (
            ProbeState(
                failure_run=ConnectFailureRun(100.0, 103.0, 99.0, 102.0, 3, "x")
            ),
            "stream.new_connections",
            UNKNOWN,
            "new connections fail (x), and the existing one keeps working",
        ),
        (
            replace(silent(), connections_work=True),
            "watch.datagrams",
            UNKNOWN,
            "no datagrams come back; TCP connections work",
        ),
        (
            ProbeState(
                LossRun(FORTH, 100.0, 101.0, 20, ended=False), connections_work=True
            ),
            "watch.datagrams",
            FORTH,
            "no datagrams reach the server; TCP connections work",
        ),
        (
            replace(silent(), connections_work=True, send_error="EPERM"),
            "stream.outage",
            "client",
            "this client cannot send to it (EPERM",
        ),
        (
            ProbeState(
                failure_run=ConnectFailureRun(100.0, 103.0, 99.0, 102.0, 3, "x"),
                stall=ConnectionStall(100.0, 103.0, ended=False),
            ),
            "stream.new_connections",
            UNKNOWN,
            "new connections fail (x), and the existing one is stalled",
        ),
        (
            ProbeState(stall=ConnectionStall(100.0, 101.0, ended=False)),
            "stream.old_connections",
            BOTH,
            "the existing connection is stalled",
        ),
    ],
)
def test_start_is_reported_with_what_is_known(
    signs: ProbeState, failure: str, where: str, words: str
) -> None:
    """Silence alone has no location; more evidence gives one."""
    (notice,) = episodes().update(101.0, signs, [], GOOD)
    outage = notice.outage
    assert isinstance(notice, OutageStarted)
    assert (outage.failure, outage.where, outage.ended, outage.start) == (
        failure,
        where,
        False,
        100.0,
    )
    assert words in outage.description


def test_peer_removed_during_an_outage_left_too_early() -> None:
    """Its name dropped it late; at the end of the watch the outage stays open."""
    for left, failure in ((True, "watch.stale_dns"), (False, "stream.outage")):
        watched = episodes()
        watched.update(101.0, silent(), [], GOOD)
        (notice,) = watched.finish(104.0, left=left)
        outage = notice.outage
        assert (notice.number, outage.failure, outage.seconds) == (1, failure, 4.0)
        assert outage.proven
        assert outage.ended is left
        assert watched.finish(105.0, left=left) == []


def test_endless_events_are_reported_in_parts() -> None:
    """Memory is bounded, however unstable the network."""
    watched = episodes()
    notices: list[OutageNotice] = []
    for number in range(2 * MAX_EVENTS):
        event = out(FORTH, 100.0 + number, 0.5)
        notices += watched.update(101.0 + number, silent(), [event], GOOD)
    assert len(over(notices)) >= MAX_EVENTS


def test_open_outage_at_a_starved_end_is_inconclusive() -> None:
    """At the end of the watch it is reported as open, and not counted."""
    watched = episodes()
    starved = LossRun(FORTH, 100.0, 104.0, 20, sender_stalled=3.0, ended=False)
    assert not ProbeState(starved).proven
    watched.update(101.0, silent(), [], GOOD)
    watched.update(104.0, ProbeState(starved), [], GOOD)
    (notice,) = watched.finish(104.0, left=False)
    assert not notice.outage.proven
    watched = episodes()
    watched.update(101.0, silent(), [], GOOD)
    (notice,) = watched.finish(104.0, left=False, stalled=1.0)
    assert not notice.outage.proven


@pytest.mark.parametrize(
    ("stalled", "proven"), [(0.0, True), (0.3, True), (0.5, False)]
)
def test_stall_of_the_old_connection_explained_by_starvation(
    stalled: float, proven: bool
) -> None:
    """If this end did not run for a quarter of the stall, that explains all of it."""
    (outage,) = over(happened(ConnectionStall(100.0, 101.5, client_stalled=stalled)))
    assert outage.proven is proven


def test_new_knowledge_is_reported_once() -> None:
    """Little is known after a second; a long outage gets one update."""
    watched = episodes()
    notices = watched.update(101.0, silent(), [], GOOD)
    for step in range(1, 200):
        now = 101.0 + step / 4
        why = "" if now < 102.0 else "ECONNREFUSED: Connection refused"
        notices += watched.update(
            now, replace(silent(now=now), connect_error=why), [], GOOD
        )
    assert [type(notice) for notice in notices] == [OutageStarted, OutageUpdated]
    assert "no new connection has failed so far" in notices[0].outage.description
    assert notices[1].outage.failure == "watch.refused"
    assert notices[1].outage.seconds == pytest.approx(5.0)


def test_outage_without_new_knowledge_has_no_update() -> None:
    """The same text twice is noise."""
    watched = episodes()
    notices = watched.update(101.0, silent(), [], GOOD)
    for step in range(1, 200):
        now = 101.0 + step / 4
        notices += watched.update(now, silent(now=now), [], GOOD)
    assert [type(notice) for notice in notices] == [OutageStarted]


def test_local_send_error_is_located_at_this_end() -> None:
    """If our own link is down, the outage is at this end."""
    signs = replace(silent(), send_error="ENETUNREACH")
    watched = episodes()
    (started,) = watched.update(101.0, signs, [], GOOD)
    assert started.outage.where == "client"
    assert "ENETUNREACH: Network is unreachable" in started.outage.description
    outage = out(BACK)
    totals = replace(
        lost(outage), send_blocked=(TimeSpan(100.0, 102.0),), send_error="ENETUNREACH"
    )
    watched.update(103.0, WELL, [outage], totals)
    (ended,) = over(watched.update(103.0 + LATER, WELL, [], totals))
    assert (ended.failure, ended.where, ended.direction, ended.proven) == (
        *("stream.outage", "client", "client"),
        True,
    )


def test_server_accepting_without_datagrams_did_not_stall() -> None:
    """New connections worked: its own host blocks outgoing datagrams."""
    watched = episodes()
    notices: list[OutageNotice] = []
    for second in range(1, 9):
        totals = replace(GOOD, connections_started=GOOD.connections_started + second)
        notices += watched.update(
            100.0 + second, silent(now=100.0 + second), [], totals
        )
    still = replace(totals, server_stalls=(TimeSpan(100.1, 107.9),))
    (outage,) = over(watched.update(108.0 + LATER, WELL, [], still))
    assert (outage.failure, outage.where, outage.proven) == (
        "stream.outage",
        SERVER,
        True,
    )
    assert "answered 7 new connections" in outage.description
    assert (outage.start, outage.end) == (100.1, 107.9)


def test_connection_failures_by_chance_are_reported_as_such() -> None:
    """They did fail: the text does not say that nothing was lost."""
    lossy = ProbeTotals(LossCounts(10_000, 3000), LossCounts(10_000, 3000), 60, 20)
    failure_run = ConnectFailureRun(100.0, 103.5, 99.0, 102.0, 3, "no response in time")
    watched = episodes()
    standing = ProbeState(failure_run=replace(failure_run, ended=False))
    watched.update(103.0, standing, [], lossy)
    watched.update(103.5, WELL, [failure_run], lossy)
    (outage,) = over(watched.update(103.5 + LATER, WELL, [], lossy))
    assert (outage.failure, outage.proven) == ("stream.new_connections", False)
    assert outage.description == (
        "3 new connections in a row failed (no response in time): "
        "too few to rule out chance, so this proves nothing"
    )


def test_starved_end_is_named() -> None:
    """A reader first asks which end was starved."""
    for outage, end in (
        (replace(out(FORTH), sender_stalled=1.5), "this client"),
        (replace(out(FORTH), receiver_stalled=1.5), "the server"),
        (replace(out(BACK), sender_stalled=1.5), "the server"),
    ):
        (ended,) = over(happened(outage, signs=silent()))
        assert f"{end} was suspended or starved of CPU" in ended.description


def test_outage_has_the_error_of_new_connections() -> None:
    """A firewall that rejects, or a foreign server, is named by its answer."""
    why = "ECONNREFUSED: Connection refused"
    failure_run = ConnectFailureRun(100.0, 102.5, 99.0, 102.0, 3, why, rejected=True)
    (outage,) = over(happened(out(FORTH), failure_run, signs=silent()))
    assert outage.description.endswith(f"; new connections: {why}")


def test_broken_old_connection_is_not_called_working() -> None:
    """It may be open again by the time that enough new ones have failed."""
    failure_run = ConnectFailureRun(100.0, 103.0, 99.0, 102.0, 3, "x", ended=False)
    watched = episodes()
    watched.update(100.5, WELL, [ConnectionStall(100.0, 100.0, "ECONNRESET")], GOOD)
    (notice,) = watched.update(103.0, ProbeState(failure_run=failure_run), [], GOOD)
    assert notice.outage.description == "new connections fail (x)"


def test_silent_server_explains_its_stalled_connections() -> None:
    """Their stall is no separate outage."""
    watched = episodes()
    watched.update(101.0, silent(), [], GOOD)
    still = replace(GOOD, server_stalls=(TimeSpan(100.0, 103.0),))
    pause = ConnectionStall(100.0, 104.0)
    watched.update(104.0, WELL, [pause], still)
    (outage,) = over(watched.update(104.0 + LATER, WELL, [], still))
    assert (outage.failure, outage.end, outage.proven) == ("watch.paused", 103.0, True)


@pytest.mark.parametrize(
    ("why", "where"),
    [
        (UNROUTED, "client"),
        ("ECONNREFUSED: Connection refused", SERVER),
        ("no response in time", UNKNOWN),
    ],
)
def test_connection_errors_locate_an_outage_without_datagrams(
    why: str, where: str
) -> None:
    """No route is this end's fault, a refusal the server's."""
    none = ProbeTotals(LossCounts(), LossCounts(), 500, 0, 1000, 1000)
    failure_run = ConnectFailureRun(100.0, 104.0, 99.0, 103.0, 4, why)
    pause = ConnectionStall(100.0, 104.2)
    watched = OutageTracker(ADDRESS, 0.05, 1.0, 0.5, itertools.count(1))
    watched.update(0.0, WELL, [], none)
    after = replace(none, connections_started=504, connections_failed=4)
    watched.update(104.5, WELL, [failure_run, pause], after)
    (outage,) = over(watched.update(104.5 + LATER, WELL, [], after))
    assert (outage.failure, outage.where) == ("stream.outage", where)
    assert why in outage.description


def test_flapping_peer_is_reported_meanwhile() -> None:
    """Events never stop for long enough to end the episode."""
    watched = episodes()
    notices: list[OutageNotice] = []
    for step in range(240):
        now = 100.0 + step / 4
        turn, since = divmod(now - 100.0, 3.0)
        start = 100.0 + 3 * turn
        signs = silent(start, now) if 0.5 < since < 1.5 else WELL
        events: list[ProbeEvent] = []
        if since == 0.0:  # before the streams' silence can be told
            events = [
                ConnectionStall(start, start, "the server closed its sending side")
            ]
        elif since == 1.5:
            events = [ServerRestart(start, start + 1.5, ("aa", "bb"))]
        notices += watched.update(now, signs, events, GOOD)
    ended = [notice for notice in notices if isinstance(notice, OutageEnded)]
    assert len(ended) >= 12
    begins = [notice.outage.start for notice in ended]
    assert begins == sorted(begins)


def test_momentary_evidence_causes_no_update() -> None:
    """A server that resumes has unread datagrams, which are not lost."""
    watched = episodes()
    notices: list[OutageNotice] = []
    for step in range(4, 20):
        now = 100.0 + step / 4
        notices += watched.update(now, silent(now=now), [], GOOD)
    waking = LossRun(FORTH, 100.0, 105.0, 100, ended=False)
    notices += watched.update(105.0, ProbeState(waking), [], GOOD)
    notices += watched.update(105.25, WELL, [], GOOD)
    assert [type(notice) for notice in notices] == [OutageStarted]


def failed_run(start: float, seconds: float = 1.0) -> ConnectFailureRun:
    """Return a short run of new connections that were refused."""
    span = start, start + seconds, start - 1.0, start + seconds
    return ConnectFailureRun(*span, 4, "ECONNREFUSED", rejected=True)


def notices_of(
    states: dict[float, ProbeState], *events: ProbeEvent, working: int = 0
) -> list[Outage]:
    """Return the outages of events at 102, with states from these seconds on.

    From 101 on, so many new connections work at each poll.
    """
    tracker = episodes()
    notices: list[OutageNotice] = []
    state = WELL
    for step in range(200):
        now = 100.0 + step / 4
        state = states.get(now, state)
        totals = replace(GOOD, connections_started=500 + max(0, step - 4) * working)
        notices += tracker.update(now, state, events if now == 102.0 else [], totals)
    return over(notices)


def test_run_of_a_partial_failure_is_no_outage() -> None:
    """It waits until the share is known; if there is none, it is reported."""
    run, suspected = failed_run(100.5), ProbeState(suspected=True)
    partial = ProbeState(suspected=True, partial_since=100.5)
    assert notices_of({101.0: suspected, 108.0: partial}, run) == []
    (outage,) = notices_of({101.0: suspected, 108.0: WELL}, run)
    assert outage.failure == "stream.new_connections"
    assert notices_of({101.0: suspected}, run) == [outage]
    (earlier,) = notices_of({101.0: suspected, 108.0: partial}, failed_run(95.0))
    assert earlier.start == 95.0


def test_streams_out_during_a_partial_failure_are_udp_alone() -> None:
    """They were on the dead part, and new connections worked in between."""
    partial = ProbeState(out(UNKNOWN, 100.5), connections_work=True, partial_since=99.0)
    states = {100.5: partial, 102.0: ProbeState(partial_since=99.0)}
    (outage,) = notices_of(states, out(UNKNOWN, 100.5), working=1)
    assert outage.failure == "watch.datagrams"
    assert "part of the new TCP connections kept working" in outage.description


def test_outage_during_a_partial_failure_is_an_outage() -> None:
    """No new connection works while the streams are out."""
    silence = ProbeState(out(UNKNOWN, 100.5), partial_since=99.0)
    states = {100.5: silence, 102.0: ProbeState(partial_since=99.0)}
    failures = failed_run(100.5)
    (outage,) = notices_of(states, out(UNKNOWN, 100.5), failures)
    assert outage.failure == "stream.outage"
