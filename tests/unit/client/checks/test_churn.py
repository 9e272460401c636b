"""Judging short connections: tables of measurements, no network."""

from __future__ import annotations

import dataclasses
import random
import socket

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.churn import CHECK, limit_detection, measure
from netduet.client.checks.churn.pacer import reaches_limit
from netduet.client.checks.churn.results import (
    Attempt,
    AttemptOutcome,
    ChurnResult,
    HoldResult,
    PacedRun,
    Ports,
    Witness,
)
from netduet.client.net.dial import Address
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.instance import Instance, instance_named
from netduet.client.results.location import Side
from netduet.client.results.target import Target
from netduet.client.results.verdict import Judgement, Outcome
from netduet.client.stats import histogram
from netduet.client.stats.percentiles import percentile
from netduet.net.time_span import TimeSpan
from tests.unit.client.fake_server import HOSTILE_TEXT

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
BOOT = "b" * 32
WITNESS = Witness(BOOT, Instance("here", "node-1", "zone-b"), 0, 1, survived=True)
PORTS = Ports(32768, 60999, 0)
GAP = 0.02


def served(number: int = 0, lost: int = 0, theirs: int | None = None) -> Attempt:
    """Return a welcomed connection, after this number of lost SYNs."""
    at, took = number * GAP, 0.0005 + lost
    return Attempt(
        AttemptOutcome.SERVED,
        at,
        at,
        at + took,
        took,
        lost,
        True,
        "",
        BOOT,
        True,
        theirs,
    )


def failed(
    outcome: AttemptOutcome, number: int = 0, lost: int = 0, detail: str = ""
) -> Attempt:
    """Return a connection that was not."""
    at = number * GAP
    made = (
        0.0005 if outcome in (AttemptOutcome.ENDED, AttemptOutcome.UNANSWERED) else None
    )
    return Attempt(outcome, at, at, at + 1, made, lost, detail=detail)


def run(*tries: Attempt, planned: int = 50, **fields: object) -> PacedRun:
    """Return a run of these, and of smooth ones behind them."""
    rest = [served(number) for number in range(len(tries), planned)]
    paced = PacedRun(planned, GAP, (*tries, *rest))
    return dataclasses.replace(paced, **fields)  # type: ignore[arg-type]


def held(
    *while_held: Attempt, after: tuple[Attempt, ...] = (), held_count: int = 32
) -> HoldResult:
    """Return connections that were kept, and what was tried besides."""
    tries = [served() for _ in range(held_count)]
    return HoldResult(
        PacedRun(32, 0.01, tuple(tries)),
        held_count,
        held_count,
        bool(while_held),
        while_held,
        after,
    )


def churn_result(paced: PacedRun, **fields: object) -> ChurnResult:
    """Return the result of an address, healthy except for these fields."""
    good = ChurnResult(THERE, paced, held(), WITNESS, PORTS)
    return dataclasses.replace(good, **fields)  # type: ignore[arg-type]


def judged(paced: PacedRun, max_loss: float = 0.02, **fields: object) -> Judgement:
    """Judge the only place."""
    return CHECK.judge(
        AddressResults(
            (churn_result(paced, **fields),), CheckOptions(max_loss=max_loss)
        )
    )


def found(judgement: Judgement) -> list[tuple[str, str | None]]:
    """Return the classes that were found, and where."""
    return [(finding.failure, finding.where) for finding in judgement.findings]


def test_healthy_connections_pass_without_notes() -> None:
    """If every SYN is answered, only the connect times are reported."""
    judgement = judged(run())
    assert (judgement.findings, judgement.remarks) == ((), ())
    assert judgement.summary == (
        "82 connections to 192.0.2.2:12345, at 50 per second, connected in 0.5 ms (p50), "
        "0.5 ms (p99), no SYNs lost; 32 open at once"
    )
    figures = judgement.figures
    assert (figures["tried"], figures["served"], figures["lost_syns"]) == (82, 82, 0)
    assert (figures["connect_p50_ms"], figures["connect_to_0.5_ms"]) == (0.5, 82)


def test_no_addresses_is_skipped() -> None:
    """Without an address there is nothing to connect to."""
    assert (
        CHECK.judge(AddressResults((), CheckOptions())).skipped
        == "no netduet server to connect to"
    )


# SYNs


def test_few_lost_syns_are_a_note_with_an_interval() -> None:
    """One lost SYN in 83 may be chance: the note gives the confidence interval."""
    judgement = judged(run(served(0, 1, 0)))
    assert judgement.findings == ()
    [remark] = judgement.remarks
    assert (
        "1 of 83 connection attempts (SYNs) got no response in time and were retransmitted: 1.2%"
        in remark
    )
    assert "between 0.0% and 13.3%" in remark


@pytest.mark.parametrize(
    ("theirs", "where"),
    [
        ([0] * 25, "path →"),
        ([1] * 25, "path ←"),
        ([0, 1] * 12, "intermediary"),
        ([None] * 25, "unknown"),
    ],
)
def test_lost_syns_are_located_by_server_retransmissions(
    theirs: list[int | None], where: str
) -> None:
    """A server that retransmitted its SYN-ACK had received the SYN."""
    lost = [
        served(number, 1, retransmissions)
        for number, retransmissions in enumerate(theirs)
    ]
    judgement = judged(run(*lost))
    assert found(judgement) == [("churn.syn_lost", where)]
    assert judgement.findings[0].missed_deadline is None


def test_known_direction_has_its_own_loss_bound() -> None:
    """A known direction has its own bound; otherwise both bounds add up."""
    known = [served(number, 1, 0) for number in range(12)]
    assert found(judged(run(*known))) == [("churn.syn_lost", "path →")]
    unknown = [served(number, 1) for number in range(12)]
    assert found(judged(run(*unknown))) == []


def test_syn_loss_below_max_loss_passes() -> None:
    """The bound that a user sets holds for each direction."""
    lost = [served(number, 1, 0) for number in range(25)]
    assert found(judged(run(*lost), max_loss=0.2)) == []


def test_lost_syns_of_unwatched_instance_have_unknown_location() -> None:
    """If another instance answered, its listening socket may have dropped them."""
    lost = [served(number, 1, 0) for number in range(25)]
    other = dataclasses.replace(served(25), boot_id="c" * 32)
    assert found(judged(run(*lost, other))) == [("churn.syn_lost", "unknown")]
    unknown = dataclasses.replace(WITNESS, drops=None, missing="it does not tell")
    judgement = judged(run(*lost), witness=unknown)
    assert found(judgement) == [("churn.syn_lost", "unknown")]
    note = "the server's evidence is not available: it does not tell"
    assert (Side.SERVER, note) in judgement.findings[0].evidence


def test_retransmitted_syns_on_slow_path_are_not_lost() -> None:
    """If each answer takes over a second, no loss is counted, and a note says so."""
    slow = [
        dataclasses.replace(served(number, 1, 1), connect_seconds=1.4)
        for number in range(50)
    ]
    judgement = judged(run(*slow), hold=None)
    assert judgement.findings == ()
    assert "losses cannot be counted" in judgement.remarks[0]


# The server's queue


def test_listen_drops_point_to_accept_queue() -> None:
    """SYNs that arrived and were dropped there were not lost on the path."""
    lost = [served(number, 1, 0) for number in range(25)]
    witness = dataclasses.replace(
        WITNESS, drops=25, instance=instance_named(HOSTILE_TEXT, "", HOSTILE_TEXT)
    )
    judgement = judged(run(*lost), witness=witness)
    assert found(judgement) == [("churn.accept_queue", None)]
    assert all(text.isprintable() for _, text in judgement.findings[0].evidence)


def test_listen_drops_without_failures_are_a_note() -> None:
    """A queue that was full for a moment did no harm here."""
    judgement = judged(run(), witness=dataclasses.replace(WITNESS, drops=2))
    assert judgement.findings == ()
    assert "dropped 2 SYNs" in judgement.remarks[0]


def test_few_listen_drops_do_not_explain_many_lost_syns() -> None:
    """Two drops do not explain 25 lost SYNs."""
    lost = [served(number, 1, 0) for number in range(25)]
    judgement = judged(run(*lost), witness=dataclasses.replace(WITNESS, drops=2))
    assert found(judgement) == [("churn.syn_lost", "path →")]


def test_listen_drop_does_not_explain_many_lost_answers() -> None:
    """Many lost SYN-ACKs and a single drop are no full queue."""
    lost = [served(number, 1, 1) for number in range(25)]
    judgement = judged(run(*lost), witness=dataclasses.replace(WITNESS, drops=1))
    assert found(judgement) == [("churn.syn_lost", "path ←")]


# Limits


def bucket(
    rate: float,
    burst: int,
    *,
    count: int = 50,
    gap: float = GAP,
    timeout: float = 2.3,
    refused: bool = False,
) -> PacedRun:
    """Return connections through a token bucket; ``refused``: by resets."""
    waiting = [(number * gap, number, 0) for number in range(count)]
    tries: dict[int, Attempt] = {}
    tokens, before = float(burst), 0.0
    while waiting:
        waiting.sort()
        now, number, lost = waiting.pop(0)
        tokens, before = min(burst, tokens + (now - before) * rate), now
        at = number * gap
        if tokens >= 1:
            tokens -= 1
            took = now - at + 0.0005
            tries[number] = Attempt(
                AttemptOutcome.SERVED,
                at,
                connect_seconds=took,
                lost_syns=lost,
                boot_id=BOOT,
            )
        elif refused:
            tries[number] = Attempt(AttemptOutcome.REFUSED, at, detail="ECONNREFUSED")
        elif now + 1.02 - at < timeout:
            waiting.append((now + 1.02, number, lost + 1))
        else:
            tries[number] = Attempt(AttemptOutcome.NEVER_MADE, at, lost_syns=lost)
    return PacedRun(count, gap, tuple(tries[number] for number in range(count)))


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize(
    ("rate", "burst", "count", "gap"),
    [
        (10, 10, 50, 0.02),
        (5, 20, 50, 0.02),
        (1 / 3, 20, 50, 0.02),
        (40, 50, 400, 0.01),
        (80, 20, 400, 0.01),
    ],
)
def test_rate_limit_is_detected(
    rate: float, burst: int, count: int, gap: float, *, refused: bool
) -> None:
    """The pattern gives the burst, and the rate where it is visible."""
    limited = bucket(rate, burst, count=count, gap=gap, refused=refused)
    judgement = judged(limited, hold=None)
    assert found(judgement) == [("churn.rate_limited", None)]
    figures = judgement.findings[0].figures
    assert figures["limit_burst"] == pytest.approx(burst, abs=2)
    if rate >= 1:
        assert figures["limit_rate"] == pytest.approx(rate, rel=0.15)


def test_rate_limit_with_large_burst_shows_while_holding() -> None:
    """Connections that pass before the holding phase are part of the burst."""
    late = bucket(1 / 3, 20, count=32, gap=0.01, refused=True)
    hold_result = HoldResult(
        late,
        20,
        20,
        True,
        (failed(AttemptOutcome.REFUSED),),
        (failed(AttemptOutcome.REFUSED),),
    )
    judgement = judged(run(), hold=hold_result)
    assert found(judgement) == [("churn.rate_limited", None)]
    assert judgement.findings[0].figures["limit_burst"] == 70


def test_total_block_is_a_limit_only_if_existing_connections_work() -> None:
    """Without an existing connection that works, it may be an outage."""
    limited = bucket(0.01, 20)
    assert limit_detection.detect_token_bucket(
        limited, path_works=True
    ) == limit_detection.TokenBucket(20, 0.0, 0.4)
    assert limit_detection.detect_token_bucket(limited, path_works=False) is None


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_random_failures_are_no_rate_limit(share: float) -> None:
    """SYNs lost or connections refused at random show neither burst nor rate."""
    chance = random.Random(share)
    for _ in range(200):
        tries = [
            failed(AttemptOutcome.REFUSED, n) if chance.random() < share else served(n)
            for n in range(50)
        ]
        assert limit_detection.detect_token_bucket(run(*tries), path_works=True) is None


@pytest.mark.parametrize("turn", ["..x", "x..", ".x", ".xx", "....x"])
@pytest.mark.parametrize("count", [50, 1000])
def test_dead_backend_in_rotation_is_no_rate_limit(turn: str, count: int) -> None:
    """A load balancer with a dead backend fails every nth connection from the start."""
    tries = [
        failed(AttemptOutcome.REFUSED, n, detail="ECONNREFUSED")
        if turn[n % len(turn)] == "x"
        else served(n)
        for n in range(count)
    ]
    judgement = judged(run(*tries, planned=count), hold=None)
    assert found(judgement) == [("churn.refused", None)]
    assert (
        "instance here on node-1 in zone-b responded"
        in (judgement.findings[0].evidence[1][1])
    )


def test_count_limit_is_detected() -> None:
    """New connections fail while others are held, and work once they are released."""
    beside = tuple(
        failed(AttemptOutcome.REFUSED, detail="ECONNREFUSED") for _ in range(4)
    )
    hold_result = held(*beside, after=tuple(served() for _ in range(4)), held_count=15)
    judgement = judged(run(), hold=hold_result)
    assert found(judgement) == [("churn.count_limited", None)]
    [finding] = judgement.findings
    assert finding.figures == {"limit_count": 16}  # with the one that was asked on
    assert finding.seen.startswith("no more than 16 connections to")
    assert (
        "with 15 open (and 1 for queries), 4 more were refused"
        in finding.evidence[0][1]
    )


@pytest.mark.parametrize(
    ("beside", "after"),
    [
        ((served(), failed(AttemptOutcome.REFUSED)), (served(), served())),
        (
            (failed(AttemptOutcome.REFUSED),) * 2,
            (served(), failed(AttemptOutcome.REFUSED)),
        ),
        ((failed(AttemptOutcome.BUSY),) * 2, (served(), served())),
        ((failed(AttemptOutcome.NOT_TRIED),) * 2, (served(), served())),
    ],
    ids=["one-passed", "none-back", "the-server-says-so", "this-end-failed"],
)
def test_other_failures_while_holding_are_no_count_limit(
    beside: tuple[Attempt, ...], after: tuple[Attempt, ...]
) -> None:
    """Failures that outlast the release, or come with a reason, are something else."""
    assert limit_detection.detect_count_limit(held(*beside, after=after)) is None


def test_servers_own_limit_while_holding_is_a_note() -> None:
    """A full netduet server says so: the network is not at fault."""
    message = "the server says: 16 connections from this address are open"
    tries = (
        *(served() for _ in range(15)),
        *(failed(AttemptOutcome.BUSY, detail=message),) * 17,
    )
    hold_result = dataclasses.replace(
        held(), run=PacedRun(32, 0.01, tries), held_count=15
    )
    judgement = judged(run(), hold=hold_result)
    assert judgement.findings == ()
    assert message in judgement.remarks[0]


def test_server_rejecting_short_connections_is_count_limited() -> None:
    """The server's own limit is named as such."""
    busy = [
        failed(AttemptOutcome.BUSY, number, detail="1 is open") for number in range(20)
    ]
    assert found(judged(run(*busy))) == [("churn.count_limited", "server")]


def test_limit_is_reached_only_if_none_passes_after_first_failure() -> None:
    """A failure among connections that pass is chance."""
    good, bad = served(), failed(AttemptOutcome.REFUSED)
    assert reaches_limit(PacedRun(3, 0.01, (good, bad, bad)))
    # Another check's connection has ended, and made room for the last one.
    assert reaches_limit(PacedRun(13, 0.01, (good, good, *(bad,) * 10, good)))
    assert not reaches_limit(PacedRun(3, 0.01, (good, bad, good)))
    assert not reaches_limit(PacedRun(3, 0.01, (good, good, good)))
    assert not reaches_limit(PacedRun(2, 0.01, (bad, bad)))
    assert not reaches_limit(PacedRun(0, 0.01))


def test_single_pass_after_limit_does_not_hide_it() -> None:
    """Another check may end a connection meanwhile, so that one more passes."""
    good, bad = served(), failed(AttemptOutcome.NEVER_MADE, lost=2)
    assert reaches_limit(
        PacedRun(32, 0.01, (*([good] * 15), *([bad] * 10), good, *([bad] * 6)))
    )
    assert not reaches_limit(
        PacedRun(32, 0.01, (*([good] * 15), *([bad, bad, good] * 5), bad))
    )


# Refused, not served


def test_ended_connections_fail_without_missed_deadline() -> None:
    """A connection that was ended was ended: no stall explains it."""
    ended = [
        failed(AttemptOutcome.ENDED, 3 * n, detail="closed without a response")
        for n in range(12)
    ]
    judgement = judged(run(*ended))
    assert found(judgement) == [("churn.not_served", None)]
    assert judgement.findings[0].missed_deadline is None
    assert "12×: closed without a response" in judgement.findings[0].evidence[0][1]


def test_unanswered_connections_carry_missed_deadline() -> None:
    """A missing answer carries the time that was waited for it."""
    late = [failed(AttemptOutcome.UNANSWERED, n) for n in range(25)]
    [finding] = judged(run(*late)).findings
    assert (finding.failure, finding.missed_deadline) == (
        "churn.not_served",
        TimeSpan(0.0, 1.48),
    )


def test_single_refusal_is_a_note() -> None:
    """The server may have restarted."""
    judgement = judged(run(failed(AttemptOutcome.REFUSED, detail="ECONNREFUSED")))
    assert judgement.findings == ()
    assert "1 of 82 connections were refused (ECONNREFUSED)" in judgement.remarks[0]


# This end


def test_missing_local_port_takes_precedence() -> None:
    """A single EADDRNOTAVAIL decides: the network is not at fault."""
    none = failed(
        AttemptOutcome.NO_PORT, detail="EADDRNOTAVAIL: Cannot assign requested address"
    )
    lost = [served(number, 1, 0) for number in range(25)]
    judgement = judged(run(none, *lost), ports=Ports(40000, 40019, 9))
    assert found(judgement) == [("churn.ports_exhausted", None)]
    text = "40000 to 40019 (20); 9 connections of this host are in TIME_WAIT"
    assert text in judgement.findings[0].evidence[1][1]
    assert judgement.figures["syns"] == 106  # none left for the one without a port


def test_many_time_wait_ports_are_a_note() -> None:
    """TIME_WAIT on half of the local ports is worth a warning."""
    judgement = judged(run(), ports=Ports(40000, 40999, 500))
    assert judgement.findings == ()
    assert "500 connections of this host are in TIME_WAIT" in judgement.remarks[0]
    assert judged(run(), ports=Ports(40000, 40999, None)).remarks == ()
    assert judged(run(), ports=None).figures["ports"] is None


def test_too_few_started_connections_are_inconclusive() -> None:
    """With less than a third of the plan, nothing is said about the network."""
    few = PacedRun(50, GAP, tuple(served(n) for n in range(16)), 34, 0.049)
    judgement = judged(few)
    assert found(judgement) == [("churn.client_too_slow", None)]
    assert judgement.findings[0].outcome is Outcome.INCONCLUSIVE
    enough = PacedRun(50, GAP, tuple(served(n) for n in range(44)), 6, 0.049)
    judgement = judged(enough)
    assert judgement.findings == ()
    assert "6 of 50 connections could not be started in time" in judgement.remarks[0]


def test_local_failures_count_as_not_started() -> None:
    """Without free file descriptors nothing was sent."""
    none = [
        failed(AttemptOutcome.NOT_TRIED, n, detail="EMFILE: Too many")
        for n in range(40)
    ]
    judgement = judged(run(*none))
    assert found(judgement) == [("churn.client_too_slow", None)]
    assert judgement.findings[0].evidence == ((Side.CLIENT, "EMFILE: Too many"),)


# Starved servers


def test_silent_server_is_no_rate_limit() -> None:
    """Connections that are accepted and stay silent have passed every limit."""
    silent = [failed(AttemptOutcome.UNANSWERED, number) for number in range(20, 50)]
    smooth = [served(number) for number in range(20)]
    judgement = judged(run(*smooth, *silent))
    assert found(judgement) == [("churn.not_served", None)]
    assert judgement.findings[0].missed_deadline is not None


def test_silence_while_holding_carries_missed_deadline() -> None:
    """A limit that shows in missing answers alone carries the time waited."""
    beside = tuple(failed(AttemptOutcome.UNANSWERED, n) for n in range(4))
    hold_result = held(*beside, after=(served(),))
    [finding] = judged(run(), hold=hold_result).findings
    assert (finding.failure, finding.missed_deadline) == (
        "churn.count_limited",
        TimeSpan(0.0, 1.06),
    )


# Times


def test_histogram_buckets_include_their_upper_bound() -> None:
    """Buckets are 1, 2 and 5 per decade; a bound belongs to the lower bucket."""
    figures = histogram.connect_time_figures(
        [0.00005, 0.0001, 0.00011, 0.002, 1.0, 3.5]
    )
    buckets = {name: count for name, count in figures.items() if "_to_" in name}
    assert buckets == {
        "connect_to_0.1_ms": 2,
        "connect_to_0.2_ms": 1,
        "connect_to_2_ms": 1,
        "connect_to_1000_ms": 1,
        "connect_to_5000_ms": 1,
    }
    assert (figures["connect_p50_ms"], figures["connect_max_ms"]) == (0.11, 3500.0)
    assert histogram.connect_time_figures([]) == {}


def test_percentiles_are_measured_values() -> None:
    """A percentile is the smallest value that at least its share does not exceed."""
    hundred = [float(n) for n in range(1, 101)]
    assert [percentile(hundred, share) for share in (0.5, 0.9, 0.99, 1)] == [
        50,
        90,
        99,
        100,
    ]
    assert percentile([7.0], 0.01) == 7


def test_connect_timeout_leaves_time_for_a_retransmission() -> None:
    """With less, no SYN would be retransmitted, and no loss would be seen."""
    target = Target("192.0.2.2", 12345)
    hasty = CheckContext(target, socket.AF_UNSPEC, "", Timeouts(0.5, 0.5, 0.5))
    plan = measure.fit_plan(measure.PLANS["quick"], hasty, 1)
    assert 1.0 < plan.connect_timeout < measure.PLANS["quick"].connect_timeout
