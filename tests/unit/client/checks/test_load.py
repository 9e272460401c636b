"""Judging a path under load: tables of measurements, no network."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.load import CHECK
from netduet.client.checks.load.judge import limiting_part
from netduet.client.checks.load.results import (
    AfterStall,
    EchoTiming,
    LatencySpread,
    LoadResult,
    Phase,
    SenderTcpInfo,
    TransferFlow,
    TransferStall,
)
from netduet.client.net.dial import Address
from netduet.client.net.handshake import Handshake
from netduet.client.results.location import Direction, Side
from netduet.client.results.verdict import Judgement, Outcome
from netduet.net.time_span import TimeSpan
from tests.unit.client.fake_server import tcp_info

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
UP, DOWN = Direction.UP, Direction.DOWN
BEGIN = {"idle": 0.0, UP: 10.0, DOWN: 20.0}


def senders(
    start: float, *, rtt: float = 0.001, network: float = 0.95, receiver: float = 0.0
) -> tuple[SenderTcpInfo, ...]:
    """Return what one kernel said during ten seconds, in which it was never out of data.

    ``network`` and ``receiver`` are the shares of the time for which it waited for them.
    """
    busy = network + receiver
    return tuple(
        SenderTcpInfo(start + at, 0, rtt, 0.001, 0, busy * at, receiver * at, 0.0)
        for at in range(11)
    )


def flow(
    direction: Direction, megabits: float = 100.0, **fields: object
) -> TransferFlow:
    """Return a steady transfer of ten seconds, with changed fields."""
    start = BEGIN[direction]
    step = int(megabits * 1e6 / 8 / 10)
    points = tuple((start + 3 + at / 10, at * step) for at in range(71))
    good = TransferFlow(
        direction, 2, start, start + 10, points, senders(start), 10 * step
    )
    return dataclasses.replace(good, **fields)  # type: ignore[arg-type]


def echoes(start: float, latency: float, late: float = 0.0) -> tuple[EchoTiming, ...]:
    """Return a hundred echoes in ten seconds."""
    dues = [start + number / 10 for number in range(100)]
    return tuple(EchoTiming(due, due + late, due + late + latency) for due in dues)


def phase(
    transfer: TransferFlow, latency: float = 0.001, late: float = 0.0, cpu: float = 0
) -> Phase:
    """Return the time of one transfer."""
    asked = echoes(transfer.start, latency, late)
    return Phase(
        transfer.direction.value, transfer.start, transfer.end, (transfer,), asked, cpu
    )


IDLE = Phase("idle", 0, 10, (), echoes(0, 0.0004))


def judged(*phases: Phase, min_rate: float = 0.0) -> Judgement:
    """Return what is made of these phases after a rest."""
    return CHECK.judge(
        AddressResults(
            (LoadResult(THERE, (IDLE, *phases)),), CheckOptions(min_rate=min_rate)
        )
    )


def test_healthy_path_passes_with_rates_and_latencies() -> None:
    """The summary has the rate each way and the latency, idle and loaded."""
    judgement = judged(phase(flow(UP)), phase(flow(DOWN)))
    assert judgement.summary == (
        "192.0.2.2:12345: up 100 Mbit/s, down 100 Mbit/s; "
        "p99 latency 0.4 ms idle, 1.0 ms during upload, 1.0 ms during download"
    )
    assert (judgement.findings, judgement.skipped) == ((), None)
    assert judgement.figures["up.bit_s"] == pytest.approx(1e8)
    assert judgement.figures["down.limit"] == "network"


def test_slower_direction_is_a_note() -> None:
    """An asymmetry is noted with both rates and its factor, and is no failure."""
    judgement = judged(phase(flow(UP, 9.6)), phase(flow(DOWN, 940)))
    assert (
        judgement.remarks[0]
        == "up 9.6 Mbit/s, down 940 Mbit/s: upload is 97.9 times slower"
    )
    assert judgement.findings == ()


def test_only_steady_rate_is_noted_as_cap() -> None:
    """A cap is named if the rate is flat and the network alone is the limit."""
    flat, uneven = flow(UP), flow(DOWN)
    bumps = tuple((at, int(count * (1 + at % 2))) for at, count in uneven.arrivals)
    uneven = dataclasses.replace(uneven, arrivals=bumps)
    judgement = judged(phase(flat), phase(uneven))
    assert [remark for remark in judgement.remarks if "steady" in remark] == [
        "up: a steady 100 Mbit/s, within 1 %: typical of a traffic shaper or a slow link"
    ]


@pytest.mark.parametrize(
    ("direction", "words"),
    [(UP, "a queue in the upload path"), (DOWN, "a queue in the download path")],
)
def test_queue_is_noted_if_kernel_and_echoes_agree(
    direction: Direction, words: str
) -> None:
    """The queue is in the direction whose load raises the RTT and delays echoes."""
    full = flow(direction, sender_infos=senders(BEGIN[direction], rtt=0.18))
    judgement = judged(phase(full, 0.18))
    assert [remark for remark in judgement.remarks if words in remark]
    other = UP if direction is DOWN else DOWN
    assert not [
        remark for remark in judgement.remarks if f"{other}: p99 latency" in remark
    ]


def test_latency_unseen_by_kernel_is_no_queue() -> None:
    """Late programs delay echoes, but not the kernel's RTT."""
    judgement = judged(phase(flow(UP), latency=0.2), phase(flow(DOWN), late=0.2))
    assert not [remark for remark in judgement.remarks if "queue" in remark]


def test_rtt_rise_without_echo_delay_is_no_queue() -> None:
    """If only the RTT of the bulk data rises, no other traffic waits in the queue."""
    full = flow(UP, sender_infos=senders(BEGIN[UP], rtt=0.18))
    judgement = judged(phase(full, 0.001))
    assert not [remark for remark in judgement.remarks if "queue" in remark]


@pytest.mark.parametrize(
    ("transfer", "cpu", "whose"),
    [
        (flow(UP), 0.1, "network"),
        (flow(UP), 0.95, "client"),
        (flow(UP, sender_infos=senders(10, network=0.1, receiver=0.9)), 0.1, "server"),
        (
            flow(DOWN, sender_infos=senders(20, network=0.1, receiver=0.9)),
            0.1,
            "client",
        ),
        (flow(UP, sender_infos=senders(10, network=0.1)), 0.1, "client"),
        (flow(DOWN, sender_infos=senders(20, network=0.1)), 0.1, "server"),
        (flow(DOWN, sender_infos=()), 0.1, ""),
    ],
)
def test_limiting_part_comes_from_tcp_info(
    transfer: TransferFlow, cpu: float, whose: str
) -> None:
    """Data that waits for a program is not the network's fault."""
    assert limiting_part(phase(transfer, cpu=cpu), transfer) == whose
    judgement = judged(phase(transfer, cpu=cpu))
    assert bool([s for s in judgement.remarks if "which may carry more" in s]) == (
        whose in {"client", "server"}
    )
    assert ("at least" in judgement.summary) == (whose in {"client", "server"})


def test_rate_below_min_rate_fails_in_its_direction() -> None:
    """Only --min-rate makes a slow path a failure, in the slow direction."""
    judgement = judged(phase(flow(UP, 9.6)), phase(flow(DOWN)), min_rate=50e6)
    [finding] = judgement.findings
    assert (finding.failure, finding.where) == ("load.slow", "path →")
    assert (finding.outcome, finding.missed_deadline) == (Outcome.FAIL, None)
    assert finding.seen == "up 9.6 Mbit/s, required: 50 Mbit/s"


def test_low_rate_is_inconclusive_at_a_slow_end_or_while_rising() -> None:
    """If the path may carry more, its rate is not judged."""
    busy = phase(flow(UP, 9.6), cpu=0.95)
    still = flow(DOWN, 9.6)
    points = tuple((at, int(2 ** (at - 20) * 1000)) for at, _ in still.arrivals)
    rising = phase(dataclasses.replace(still, arrivals=points))
    judgement = judged(busy, rising, min_rate=50e6)
    assert [finding.outcome for finding in judgement.findings] == 2 * [
        Outcome.INCONCLUSIVE
    ]
    texts = [finding.evidence[-1][1] for finding in judgement.findings]
    assert "this client was the limit, not the path" in texts[0]
    assert "still rising" in texts[1]


def test_low_rate_not_limited_by_network_carries_missed_deadline() -> None:
    """If the network was not the limit all the time, starvation is weighed."""
    half = flow(UP, 9.6, sender_infos=senders(10, network=0.6))
    [finding] = judged(phase(half), min_rate=50e6).findings
    assert finding.missed_deadline == TimeSpan(10, 20)


@pytest.mark.parametrize(
    ("direction", "transfer_stall", "where"),
    [
        (UP, TransferStall(TimeSpan(12, 15), 3, 0, 4000), "path →"),
        (DOWN, TransferStall(TimeSpan(12, 15), 3, 0, 4000), "path ←"),
        (UP, TransferStall(TimeSpan(12, 15), 3, 0, 0), "path ←"),
        (DOWN, TransferStall(TimeSpan(12, 15), 3, 0, 0), "path →"),
        (UP, TransferStall(TimeSpan(12, 15), 0, 9000, 0), "server"),
        (DOWN, TransferStall(TimeSpan(12, 15), 0, 9000, 0), "client"),
        (DOWN, TransferStall(TimeSpan(12, 15), missing="no response in time"), None),
    ],
)
def test_stall_is_located_by_both_kernels(
    direction: Direction, transfer_stall: TransferStall, where: str | None
) -> None:
    """Data is lost, is not acknowledged, or finds no room at the receiver."""
    judgement = judged(phase(flow(direction, stall=transfer_stall)))
    [finding] = judgement.findings
    assert (finding.failure, finding.where) == ("load.stalled", where)
    assert finding.missed_deadline == TimeSpan(12, 15)
    assert "nothing moved for 3.0 s on any of 2 connections" in finding.seen


STALL = TransferStall(TimeSpan(12, 15), 3, 0, 4000)


@pytest.mark.parametrize(
    ("after", "failure"),
    [
        (AfterStall(4, 0, datagrams_pass=True), "load.shared_quota"),
        (AfterStall(4, 1, datagrams_pass=True), "load.stalled"),
        (AfterStall(4, 0, datagrams_pass=False), "load.stalled"),
        (None, "load.stalled"),
    ],
)
def test_quota_of_all_connections(after: AfterStall | None, failure: str) -> None:
    """Nothing of TCP passes afterwards; an outage would meet datagrams as well."""
    judgement = judged(phase(flow(UP, stall=STALL, after_stall=after)))
    assert [finding.failure for finding in judgement.findings] == [failure]


@pytest.mark.parametrize(
    ("count", "sent_again", "in_flight"),
    [
        (1, "its kernel retransmitted 1 packet", "1 packet is in flight"),
        (3, "its kernel retransmitted 3 packets", "3 packets are in flight"),
    ],
)
def test_packets_of_a_stall_are_counted(
    count: int, sent_again: str, in_flight: str
) -> None:
    """One packet is singular."""
    stall = TransferStall(TimeSpan(12, 15), count, 0, 4000)
    infos = (dataclasses.replace(senders(10)[0], retransmits=count),)
    [finding] = judged(phase(flow(UP, stall=stall, sender_infos=infos))).findings
    texts = [text for _, text in finding.evidence]
    assert texts[:2] == [sent_again, f"{in_flight} and unacknowledged"]


def test_altered_bytes_and_cut_connection_fail() -> None:
    """Both are separate findings, each reported once."""
    judgement = judged(
        phase(flow(UP, changed=True)), phase(flow(DOWN, connection_error="ECONNRESET"))
    )
    assert [(finding.failure, finding.where) for finding in judgement.findings] == [
        ("load.changed", "path →"),
        ("load.cut", None),
    ]


def test_exhausted_transfer_rates_its_whole_time() -> None:
    """A reader that wakes late gets all data at once, which is no rate."""
    burst = ((13.0, 0), (13.001, 12_500_000))
    transfer = flow(UP, arrivals=burst, total=12_500_000)
    assert transfer.rate == pytest.approx(1e7)
    spent = flow(UP, exhausted=True, total=25_000_000)
    assert spent.rate == pytest.approx(2e7)
    [finding] = judged(phase(spent), min_rate=50e6).findings
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "ran out of data" in finding.evidence[-1][1]


def test_transfer_ended_by_server_is_skipped() -> None:
    """The server's reason is reported, and nothing is blamed."""
    judgement = judged(
        phase(flow(UP, server_refusal="DRAINING: bye", arrivals=(), total=0))
    )
    assert (judgement.findings, judgement.skipped) == (
        (),
        "192.0.2.2:12345: the server ended a transfer: DRAINING: bye",
    )


def test_load_that_cannot_be_measured_is_skipped() -> None:
    """Without a connection to fill the path there is nothing to judge."""
    result = LoadResult(THERE, skipped="a connection for bulk data failed: late")
    judgement = CHECK.judge(AddressResults((result,), CheckOptions()))
    assert judgement.skipped == (
        "192.0.2.2:12345: a connection for bulk data failed: late"
    )
    assert judgement.doubt is None


def test_connection_that_fails_is_a_doubt() -> None:
    """If no other check has a finding, the failed connection is one."""
    failed = Handshake(closed=True, start=1.0, end=1.5)
    why = "a connection for bulk data failed: closed without a response"
    result = LoadResult(THERE, skipped=why, failed=failed)
    doubt = CHECK.judge(AddressResults((result,), CheckOptions())).doubt
    assert doubt is not None
    assert (doubt.failure, doubt.missed_deadline) == ("path.broken", None)
    assert doubt.evidence == ((Side.CLIENT, "after 0.5 s: closed without a response"),)


def test_percentiles_use_nearest_rank() -> None:
    """The 99th of a hundred is the last but one; an empty list has none."""
    spread = LatencySpread.from_times([number / 100 for number in range(1, 101)])
    assert spread == LatencySpread(0.5, 0.9, 0.99, 1.0)
    assert LatencySpread.from_times([]) is None


def test_incomplete_tcp_info_is_ignored() -> None:
    """An older server's report lacks fields: then there is no evidence."""
    whole = tcp_info()
    assert SenderTcpInfo.from_tcp_info(1.0, 0, whole) is not None
    for name in ("min_rtt", "busy_time", "rwnd_limited", "sndbuf_limited"):
        part = whole.model_copy(update={name: None})
        assert SenderTcpInfo.from_tcp_info(1.0, 0, part) is None


def test_ended_latency_probe_is_a_note() -> None:
    """If the echo connection ends, a note gives the reason; the rates still count."""
    result = LoadResult(
        THERE, (IDLE, phase(flow(UP))), latency_error="Connection reset by peer"
    )
    judgement = CHECK.judge(AddressResults((result,), CheckOptions()))
    assert "Connection reset by peer" in judgement.remarks[-1]
    assert (judgement.findings, judgement.skipped) == ((), None)
