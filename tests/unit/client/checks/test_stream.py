"""Judging outages: tables of measurements, no network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.stream import CHECK
from netduet.client.net.dial import Address
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
)
from netduet.client.outages.loss_tracker import LossCounts
from netduet.client.outages.observations import (
    DatagramObservations,
    LongLivedConnection,
    NewConnections,
    Observations,
)
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Judgement, Outcome
from netduet.net.time_span import TimeSpan
from tests.unit.client.fake_server import make_server_report

ADDRESS = Address(2, "192.0.2.1", 12345)
FORTH, BACK = Location.TO_SERVER, Location.FROM_SERVER
BETWEEN, UNKNOWN = Location.INTERMEDIARY, Location.UNKNOWN

GOOD = Observations(
    ADDRESS,
    start=100.0,
    end=120.0,
    datagrams=DatagramObservations(up=LossCounts(1000), down=LossCounts(1000)),
    new_connections=NewConnections(started=200),
    long_lived=LongLivedConnection(
        asked=400, answered=400, server_report=make_server_report()
    ),
)
BLOCKED = replace(GOOD, datagrams=DatagramObservations(answered=False))


def judged(
    observations: Observations = GOOD, max_outage: float = 0.5, **fields: Any
) -> Judgement:
    """Judge the observations of an address, with changed fields."""
    return CHECK.judge(
        AddressResults(
            (replace(observations, **fields),), CheckOptions(max_outage=max_outage)
        )
    )


def found(judgement: Judgement) -> list[tuple[str, str | None, Outcome]]:
    """Return the classes that were found, where, and what they come to."""
    return [
        (finding.failure, finding.where, finding.outcome)
        for finding in judgement.findings
    ]


def out(where: str, seconds: float = 1.5, start: float = 105.0, **how: Any) -> LossRun:
    """Return an outage of datagrams."""
    lost = round(seconds / 0.02)
    return LossRun(where, start, start + seconds, lost, **how)


def lost(*outages: LossRun) -> DatagramObservations:
    """Return the streams of datagrams after outages."""
    up = sum(loss_run.lost for loss_run in outages if loss_run.where == FORTH)
    down = sum(run.lost for run in outages if run.where == BACK)
    return DatagramObservations(up=LossCounts(1000, up), down=LossCounts(1000, down))


def closed(
    seconds: float = 1.5, start: float = 105.0, failed: int = 15
) -> ConnectFailureRun:
    """Return a run of fresh connections that did not work."""
    end = start + seconds
    return ConnectFailureRun(start, end, start - 0.1, end - 0.1, failed, "no answer")


def test_no_outage_passes_without_notes() -> None:
    """A network without an outage passes."""
    judgement = judged()
    assert (judgement.findings, judgement.remarks, judgement.skipped) == ((), (), None)
    assert "no outages" in judgement.summary
    assert judgement.figures["longest_outage"] == 0.0
    assert judgement.figures["up_sent"] == 1000


@pytest.mark.parametrize(
    ("connections", "seconds"),
    [
        (NewConnections(0.2, 11), "0.2 s;"),
        (NewConnections(0.2, 13, failed=5), "0.6 s;"),
        (NewConnections(0.2, 13, void=1), "0.6 s;"),
    ],
)
def test_service_passes_without_outages_that_connections_could_show(
    connections: NewConnections, seconds: str
) -> None:
    """Two failed connections in a row are not reported as an outage."""
    datagrams = DatagramObservations(supported=False, answered=False, of_service=True)
    judgement = judged(datagrams=datagrams, new_connections=connections)
    assert f"no outages longer than {seconds}" in judgement.summary


@pytest.mark.parametrize(
    ("ways", "where"),
    [((FORTH,), FORTH), ((BACK,), BACK), ((FORTH, BACK), BETWEEN)],
)
def test_outage_is_located_by_its_direction(ways: tuple[str, ...], where: str) -> None:
    """One direction is that path; both at once point in between."""
    outages = tuple(out(way) for way in ways)
    judgement = judged(loss_runs=outages, datagrams=lost(*outages))
    assert found(judgement) == [("stream.outage", where, Outcome.FAIL)]
    (finding,) = judgement.findings
    assert finding.missed_deadline is None  # both streams show that their ends ran
    assert finding.figures["seconds"] == 1.5
    assert ": 5.0 s into the check, nothing " in finding.seen
    assert "for 1.50 s (±0.02 s)" in finding.seen
    assert {side for side, _ in finding.evidence} == {Side.CLIENT, Side.SERVER}


def test_outage_has_its_time_of_day() -> None:
    """With a known clock, an outage is reported in UTC, to compare with other logs."""
    loss_run = out(FORTH)
    judgement = judged(
        loss_runs=(loss_run,), datagrams=lost(loss_run), utc_offset=86_400.0 - 105.0
    )
    assert "5.0 s into the check (at 00:00:00 UTC)" in judgement.findings[0].seen


def test_outages_at_different_times_are_two_findings() -> None:
    """Outages that do not overlap have two causes."""
    outages = (out(FORTH), out(BACK, start=110.0))
    judgement = judged(loss_runs=outages, datagrams=lost(*outages))
    assert [finding.where for finding in judgement.findings] == [FORTH, BACK]


def test_short_outage_is_a_note() -> None:
    """An outage shorter than allowed passes with a note."""
    loss_run = out(BACK, 0.4)
    judgement = judged(loss_runs=(loss_run,), datagrams=lost(loss_run))
    assert judgement.findings == ()
    assert any("0.40 s" in remark for remark in judgement.remarks)
    longer = judged(max_outage=0.3, loss_runs=(loss_run,), datagrams=lost(loss_run))
    assert found(longer) == [("stream.outage", BACK, Outcome.FAIL)]


def test_loss_run_explained_by_chance_is_no_outage() -> None:
    """At nearly 50 % loss, twelve in a row are lost by chance."""
    loss_run = out(FORTH, 0.24)
    datagrams = DatagramObservations(up=LossCounts(1000, 450), down=LossCounts(1000))
    judgement = judged(max_outage=0.2, loss_runs=(loss_run,), datagrams=datagrams)
    assert judgement.findings == ()
    assert any("scattered losses" in remark for remark in judgement.remarks)
    assert judgement.figures["outages"] == 0


def test_effects_on_connections_are_part_of_the_outage() -> None:
    """Effects on TCP are evidence, not a separate failure."""
    outages = (out(FORTH),)
    judgement = judged(
        loss_runs=outages,
        datagrams=lost(*outages),
        failure_runs=(closed(),),
        stalls=(ConnectionStall(105.0, 108.2),),
    )
    assert found(judgement) == [("stream.outage", FORTH, Outcome.FAIL)]
    texts = " ".join(text for _, text in judgement.findings[0].evidence)
    assert "1.40 s to 1.60 s" in texts
    assert "TCP took 1.7 s longer to recover" in texts
    assert "new connections succeeded again 1.7 s before it recovered" in texts


def test_connection_broken_in_an_outage_is_part_of_it() -> None:
    """A reset during an outage belongs to it."""
    outages = (out(FORTH),)
    pauses = (ConnectionStall(105.5, 106.0, "ECONNRESET"),)
    judgement = judged(loss_runs=outages, datagrams=lost(*outages), stalls=pauses)
    assert len(judgement.findings) == 1
    assert any("ECONNRESET" in text for _, text in judgement.findings[0].evidence)


@pytest.mark.parametrize("how", [{"sender_stalled": 0.8}, {"receiver_stalled": 0.8}])
def test_outage_at_a_starved_end_is_inconclusive(
    how: dict[str, float],
) -> None:
    """Sender or receiver did not run for half of it."""
    loss_run = out(FORTH, **how)
    judgement = judged(loss_runs=(loss_run,), datagrams=lost(loss_run))
    assert found(judgement) == [("stream.outage", FORTH, Outcome.INCONCLUSIVE)]


@pytest.mark.parametrize(
    ("where", "side"), [(FORTH, Side.SERVER), (BACK, Side.CLIENT)], ids=["up", "down"]
)
def test_full_socket_buffer_is_no_network_outage(where: str, side: Side) -> None:
    """Datagrams dropped by the receiver's socket were not lost on the way."""
    loss_run = out(where, dropped=75)
    judgement = judged(loss_runs=(loss_run,), datagrams=lost(loss_run))
    assert found(judgement) == [("stream.outage", where, Outcome.INCONCLUSIVE)]
    (full,) = (text for by, text in judgement.findings[0].evidence if "full" in text)
    assert (side, full) in judgement.findings[0].evidence
    few = out(where, dropped=37)
    assert found(judged(loss_runs=(few,), datagrams=lost(few))) == [
        ("stream.outage", where, Outcome.FAIL)
    ]


def test_silence_to_the_end_carries_missed_deadline() -> None:
    """A stall of either end would look the same."""
    loss_run = out(UNKNOWN, ended=False)
    judgement = judged(loss_runs=(loss_run,))
    assert found(judgement) == [("stream.outage", UNKNOWN, Outcome.FAIL)]
    assert judgement.findings[0].missed_deadline == TimeSpan(105.0, 106.5)
    assert "until the check ended" in judgement.findings[0].seen


def test_outage_of_new_connections_alone_has_its_own_class() -> None:
    """Existing connections and datagrams worked."""
    judgement = judged(
        failure_runs=(closed(),), new_connections=NewConnections(started=200, failed=15)
    )
    assert found(judgement) == [("stream.new_connections", UNKNOWN, Outcome.FAIL)]
    (finding,) = judgement.findings
    assert finding.missed_deadline is None
    assert (
        finding.figures["seconds_at_least"],
        finding.figures["seconds_at_most"],
    ) == (1.4, 1.6)


def test_late_welcomes_may_be_due_to_a_starved_server() -> None:
    """Its stalls may be too short for datagrams to show them: it is asked."""
    judgement = judged(
        failure_runs=(replace(closed(), late=True),),
        new_connections=NewConnections(started=200, failed=15),
    )
    assert judgement.findings[0].missed_deadline is not None


def test_few_failed_connections_are_a_note() -> None:
    """A run that is short, or that chance explains, passes with a note."""
    short = judged(
        failure_runs=(closed(0.4, failed=8),),
        new_connections=NewConnections(started=2000, failed=8),
    )
    assert short.findings == ()
    assert any("within the allowed length" in remark for remark in short.remarks)
    lossy = DatagramObservations(up=LossCounts(1000, 300), down=LossCounts(1000, 300))
    lucky = judged(
        failure_runs=(closed(failed=8),),
        new_connections=NewConnections(started=20, failed=8),
        datagrams=lossy,
    )
    assert lucky.findings == ()
    assert any("scattered losses" in remark for remark in lucky.remarks)


def test_failed_connections_count_without_datagram_loss() -> None:
    """A short run of failures counts if datagrams show hardly any loss."""
    few = NewConnections(started=20, failed=4)
    for flow, count in ((GOOD.datagrams, 1), (BLOCKED.datagrams, 0)):
        judgement = judged(
            failure_runs=(closed(failed=4),), new_connections=few, datagrams=flow
        )
        classes = [finding.failure for finding in judgement.findings]
        assert classes.count("stream.new_connections") == count


def test_refused_connections_are_no_chance() -> None:
    """Packet loss refuses no connection, however few were made before."""
    refused = replace(closed(failed=3), rejected=True)
    for flow in (GOOD.datagrams, BLOCKED.datagrams):
        judgement = judged(
            failure_runs=(refused,),
            new_connections=NewConnections(started=4, failed=3),
            datagrams=flow,
        )
        classes = [finding.failure for finding in judgement.findings]
        assert classes.count("stream.new_connections") == 1


def test_new_and_old_connections_together_prove_an_outage() -> None:
    """Without datagrams, failures of both at once prove what neither does alone."""
    few = NewConnections(started=50, failed=3)
    failure_run, pause = closed(3.0, failed=3), ConnectionStall(105.0, 108.2)
    for closures, pauses, classes in (
        ((failure_run,), (pause,), ["stream.outage"]),
        ((failure_run,), (), []),
    ):
        judgement = judged(
            BLOCKED, new_connections=few, failure_runs=closures, stalls=pauses
        )
        assert [finding.failure for finding in judgement.findings] == classes


def test_outage_of_the_old_connection_alone_has_its_own_class() -> None:
    """New connections and datagrams worked."""
    judgement = judged(stalls=(ConnectionStall(105.0, 108.1),))
    assert found(judgement) == [("stream.old_connections", BETWEEN, Outcome.FAIL)]
    assert judgement.findings[0].missed_deadline is None
    assert {side for side, _ in judgement.findings[0].evidence} == set(Side)


def test_break_of_the_old_connection_alone_fails() -> None:
    """An unexplained reset is no lateness: nothing excuses it."""
    judgement = judged(stalls=(ConnectionStall(105.0, 105.1, "ECONNRESET"),))
    assert found(judgement) == [("stream.old_connections", BETWEEN, Outcome.FAIL)]


def test_stall_explained_by_single_losses_is_a_note() -> None:
    """On a lossy network TCP's back-off needs no outage."""
    datagrams = DatagramObservations(up=LossCounts(1000, 30), down=LossCounts(1000, 30))
    judgement = judged(datagrams=datagrams, stalls=(ConnectionStall(105.0, 105.7),))
    assert judgement.findings == ()
    assert any("stalled for 0.70 s" in remark for remark in judgement.remarks)


def test_stall_while_the_client_did_not_run_is_inconclusive() -> None:
    """A stall of our own event loop delays answers too."""
    judgement = judged(stalls=(ConnectionStall(105.0, 108.0, client_stalled=2.0),))
    assert found(judgement) == [
        ("stream.old_connections", BETWEEN, Outcome.INCONCLUSIVE)
    ]


def test_stall_while_the_server_did_not_run_is_inconclusive() -> None:
    """The server's stream shows when and for how long it did not run."""
    stalls = (TimeSpan(105.0, 107.0),)
    datagrams = replace(GOOD.datagrams, server_stalls=stalls)
    judgement = judged(datagrams=datagrams, stalls=(ConnectionStall(105.0, 108.0),))
    assert found(judgement) == [
        ("stream.old_connections", BETWEEN, Outcome.INCONCLUSIVE)
    ]
    assert judgement.findings[0].missed_deadline == TimeSpan(105.0, 108.0)


@pytest.mark.parametrize("stalled", [0.0, 0.3])
def test_stall_explained_by_starvation_is_a_note(stalled: float) -> None:
    """Time in which an end did not run is subtracted."""
    stalls = (TimeSpan(105.1, 105.9 - stalled),)
    datagrams = replace(GOOD.datagrams, server_stalls=stalls)
    pause = ConnectionStall(105.0, 106.0, client_stalled=stalled)
    judgement = judged(datagrams=datagrams, stalls=(pause,))
    assert judgement.findings == ()
    assert any("stalled for 1.00 s" in remark for remark in judgement.remarks)


def test_outage_without_datagrams_is_found_by_connections() -> None:
    """The direction is unknown and the length is between two bounds."""
    judgement = judged(
        BLOCKED,
        failure_runs=(closed(),),
        stalls=(ConnectionStall(105.0, 108.0),),
        new_connections=NewConnections(started=90, failed=15),
    )
    assert found(judgement) == [("stream.outage", UNKNOWN, Outcome.FAIL)]
    (finding,) = judgement.findings
    assert "1.40 s to 1.60 s" in finding.seen
    assert finding.missed_deadline is not None
    assert any("direction" in remark for remark in judgement.remarks)


@pytest.mark.parametrize(
    ("datagrams", "words"),
    [
        (DatagramObservations(answered=False), "no datagram got a response"),
        (DatagramObservations(answered=False, notice="ECONNREFUSED"), "ECONNREFUSED"),
        (DatagramObservations(answered=False, supported=False), "does not support"),
        (DatagramObservations(answered=False, refused="no more"), "no more"),
        (DatagramObservations(answered=True), "no stream arrived"),
    ],
)
def test_missing_datagrams_are_explained(
    datagrams: DatagramObservations, words: str
) -> None:
    """Without datagrams the rest is judged, and a note says what is missing."""
    judgement = judged(datagrams=datagrams)
    assert judgement.findings == ()
    assert any(words in remark for remark in judgement.remarks)
    assert "as far as connections show" in judgement.summary


def test_server_restart_is_reported_as_a_restart() -> None:
    """The outage around a restart is the server's; its effects are not repeated."""
    loss_run = out(FORTH, 2.0)
    restart = ServerRestart(104.9, 107.0, ("aa" * 16, "bb" * 16), "draining")
    judgement = judged(
        loss_runs=(loss_run,),
        datagrams=lost(loss_run),
        restarts=(restart,),
        failure_runs=(closed(2.0),),
        stalls=(ConnectionStall(105.0, 105.2, "eof"),),
    )
    assert found(judgement) == [("stream.restarted", "server", Outcome.FAIL)]
    assert any("draining" in text for _, text in judgement.findings[0].evidence)


def test_quick_restart_is_a_note() -> None:
    """An instance that takes over in time passes with a note."""
    restart = ServerRestart(105.0, 105.2, ("aa" * 16, "bb" * 16))
    judgement = judged(
        restarts=(restart,), stalls=(ConnectionStall(105.0, 105.2, "eof"),)
    )
    assert judgement.findings == ()
    assert any("the server restarted" in remark for remark in judgement.remarks)


def test_client_that_hardly_sent_is_inconclusive() -> None:
    """With less than a quarter of our datagrams sent, the network is not judged."""
    datagrams = DatagramObservations(
        up=LossCounts(100), down=LossCounts(900), unsent=900
    )
    judgement = judged(datagrams=datagrams)
    assert found(judgement) == [("stream.unsent", None, Outcome.INCONCLUSIVE)]


def test_losses_are_noted_by_direction() -> None:
    """Lost, duplicated and late datagrams are noted for each direction."""
    datagrams = DatagramObservations(
        up=LossCounts(1000, lost=3, duplicated=2), down=LossCounts(1000, late=4)
    )
    remarks = " / ".join(judged(datagrams=datagrams).remarks)
    for words in (
        "3 of 1000 datagrams were lost, singly or a few in a row, on the way to",
        "2 of 1000 datagrams were duplicated on the way to the server",
        "4 of 1000 datagrams arrived out of order on the way back",
    ):
        assert words in remarks


def test_connections_failed_locally_do_not_count() -> None:
    """Connects that this end could not try are a note, not a network failure."""
    judgement = judged(new_connections=NewConnections(started=150, void=50))
    assert judgement.findings == ()
    (remark,) = judgement.remarks
    assert "50 of 200 new connections failed because of this client itself" in remark


def test_without_datagrams_and_connections_is_inconclusive() -> None:
    """Without datagrams and with hardly a connection, nothing passes."""
    judgement = judged(BLOCKED, new_connections=NewConnections(started=20, void=180))
    assert found(judgement) == [("stream.unsent", None, Outcome.INCONCLUSIVE)]
    fresh = NewConnections(started=180, void=20, longest_void=0.4)
    assert judged(BLOCKED, new_connections=fresh).findings == ()
    fresh = replace(fresh, longest_void=1.4)
    assert found(judged(BLOCKED, new_connections=fresh)) == [
        ("stream.unsent", None, Outcome.INCONCLUSIVE)
    ]
    assert judged(new_connections=fresh).findings == ()  # the datagrams tell
