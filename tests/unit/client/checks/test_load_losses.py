"""Judging losses, windows and byte limits of transfers: tables, no network."""

from __future__ import annotations

import dataclasses
from itertools import count

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.load import CHECK
from netduet.client.checks.load.burst_probe import BURST_SIZES, SINGLES
from netduet.client.checks.load.losses import count_segments, grows_queue, lossy_part
from netduet.client.checks.load.results import (
    BurstCount,
    LoadResult,
    SenderTcpInfo,
    TransferFlow,
    TransferStall,
)
from netduet.client.results.location import Direction
from netduet.client.results.verdict import Judgement
from netduet.net.time_span import TimeSpan
from tests.unit.client.checks.test_load import BEGIN, IDLE, THERE, UP, flow, phase

SEGMENTS_PER_SECOND = 100


def infos(
    lost: float,
    *,
    slow_start_lost: float | None = None,
    rtt: float = 0.001,
    duplicates: float = 0.0,
    window: int = 65_536,
    receiver: float = 0.0,
) -> tuple[SenderTcpInfo, ...]:
    """Return what a kernel said each second of a transfer that loses a share.

    ``slow_start_lost`` is the share of the first two seconds, ``duplicates`` that of
    the retransmitted segments that were needless.
    """
    first = lost if slow_start_lost is None else slow_start_lost
    retransmits = [0.0]
    for second in range(10):
        share = first if second < 2 else lost
        retransmits.append(retransmits[-1] + share * SEGMENTS_PER_SECOND)
    return tuple(
        SenderTcpInfo(
            BEGIN[UP] + second,
            0,
            rtt,
            0.001,
            int(retransmits[second]),
            float(second),
            receiver * second,
            0.0,
            second * SEGMENTS_PER_SECOND,
            int(duplicates * retransmits[second]),
            window,
        )
        for second in range(11)
    )


def judged(transfer: TransferFlow, *bursts: BurstCount) -> Judgement:
    """Judge a transfer up, with bursts that were tried afterwards."""
    result = LoadResult(THERE, (IDLE, phase(transfer)), bursts=bursts)
    return CHECK.judge(AddressResults((result,), CheckOptions()))


def bursts(singles: int, *larger: int) -> tuple[BurstCount, ...]:
    """Return lost packets: of single ones, and of each size of burst."""
    sizes = (1, *BURST_SIZES)
    sent = (SINGLES, *(5 * size for size in BURST_SIZES))
    return tuple(
        BurstCount(UP, size, number, lost)
        for size, number, lost in zip(sizes, sent, (singles, *larger), strict=True)
    )


@pytest.mark.parametrize(
    ("senders", "fails"),
    [
        (infos(0.0), False),
        (infos(0.01), False),
        (infos(0.03), False),
        (infos(0.12), True),
        (infos(0.12, duplicates=0.9), False),
        (infos(0.01, slow_start_lost=0.5), False),
        (infos(0.12, rtt=0.1), False),
        (infos(0.5, rtt=0.1), True),
    ],
    ids=[
        "no loss",
        "1 %",
        "3 %",
        "12 %",
        "spurious retransmissions",
        "slow start",
        "a short queue of a slow link",
        "half, and a queue",
    ],
)
def test_heavy_loss_is_a_failure(
    senders: tuple[SenderTcpInfo, ...], *, fails: bool
) -> None:
    """Random loss of 1 %, a slow start and the queue of a slow link pass."""
    transfer = flow(UP, sender_infos=senders)
    assert (lossy_part(transfer) is not None) == fails
    assert bool(judged(transfer, *bursts(20, 4, 8, 20)).findings) == fails


@pytest.mark.parametrize(
    ("tried", "failure"),
    [
        ((), "load.loss"),
        (bursts(10, 2, 4, 10), "load.loss"),
        (bursts(0, 0, 0, 22), "load.policed"),
        (bursts(0, 0, 0, 0), "load.policed"),
        (bursts(0, 10, 20, 50), "load.offload"),
    ],
    ids=["untried", "singles too", "bursts of ten", "longer bursts", "pairs"],
)
def test_kind_of_loss_follows_from_bursts(
    tried: tuple[BurstCount, ...], failure: str
) -> None:
    """What single packets and bursts lose tells chance, policer and offload apart."""
    [finding] = judged(flow(UP, sender_infos=infos(0.4)), *tried).findings
    assert (finding.failure, finding.where) == (failure, "path →")


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ((), []),
        (bursts(0, 0, 0, 0), []),
        (bursts(0, 0, 0, 22), []),
        (bursts(20, 4, 8, 20), ["load.loss"]),
        (bursts(0, 10, 20, 50), ["load.offload"]),
    ],
    ids=["untried", "none alone", "long bursts", "singles too", "pairs"],
)
def test_shaper_with_a_queue_is_no_policer(
    tried: tuple[BurstCount, ...], expected: list[str]
) -> None:
    """Packets wait in it: it drops what overruns it, whole bursts of a sender."""
    judgement = judged(flow(UP, 5.0, sender_infos=infos(0.5, rtt=0.1)), *tried)
    assert [finding.failure for finding in judgement.findings] == expected


def test_loss_has_shares_and_queue_as_evidence() -> None:
    """The finding names the share, the bursts and what the RTT shows."""
    transfer = flow(UP, 0.3, sender_infos=infos(0.4))
    [finding] = judged(transfer, *bursts(0, 0, 0, 22)).findings
    assert finding.seen == (
        "up: 40 % of the packets of bulk data were lost and sent again and only "
        "300 kbit/s arrived: bursts are dropped, single packets pass"
    )
    texts = [text for _, text in finding.evidence]
    assert "singly, 0 of 60 lost" in texts[1]
    assert "10 at once, 22 of 50 lost" in texts[1]
    assert texts[2].endswith("no queue")


def test_segments_are_counted_over_all_connections() -> None:
    """Each connection counts from its first to its last report."""
    first = infos(0.1)
    second = tuple(dataclasses.replace(info, connection=1) for info in infos(0.2))
    counts = count_segments((*first, *second))
    assert (counts.sent, counts.lost) == (2000, 300)
    late = count_segments(first, since=BEGIN[UP] + 5)
    assert (late.sent, late.lost) == (500, 50)


def test_queue_shows_in_the_rtt() -> None:
    """The RTT must rise, and packets must wait at the rate that was reached."""
    assert grows_queue(flow(UP, 10, sender_infos=infos(0.0, rtt=0.015)))
    assert not grows_queue(flow(UP, 0.5, sender_infos=infos(0.0, rtt=0.015)))
    assert not grows_queue(flow(UP, sender_infos=infos(0.0, rtt=0.003)))


@pytest.mark.parametrize(
    ("window", "fails"), [(502, True), (65_536, False)], ids=["tiny", "usual"]
)
def test_tiny_window_is_a_failure(window: int, *, fails: bool) -> None:
    """A window that arrives tiny is no slow receiver."""
    transfer = flow(UP, 2.0, sender_infos=infos(0.0, window=window, receiver=0.95))
    judgement = judged(transfer)
    found = [finding.failure for finding in judgement.findings]
    assert found == (["load.small_window"] if fails else [])
    assert (judgement.figures["up.limit"] == "server") != fails


@pytest.mark.parametrize(
    ("min_rtt", "removed", "fails"),
    [(0.04, UP, True), (0.001, UP, False), (0.04, None, False)],
    ids=["long path", "short path", "scaled"],
)
def test_missing_scale_limits_long_paths(
    min_rtt: float, removed: Direction | None, *, fails: bool
) -> None:
    """A window of 64 KiB is a failure where scaling was removed and the path is long."""
    senders = tuple(
        dataclasses.replace(info, min_rtt=min_rtt, rtt=min_rtt)
        for info in infos(0.0, window=65_535, receiver=0.95)
    )
    transfer = phase(flow(UP, 13.0, sender_infos=senders))
    result = LoadResult(THERE, (IDLE, transfer), scaling_removed=removed)
    judgement = CHECK.judge(AddressResults((result,), CheckOptions()))
    found = [(finding.failure, finding.where) for finding in judgement.findings]
    assert found == ([("load.small_window", "path →")] if fails else [])


def test_window_that_a_slow_reader_closes_is_no_failure() -> None:
    """A receiver that reads too slowly lets its window shrink and grow."""
    sizes = count()
    shrinking = tuple(
        dataclasses.replace(info, window=(500, 4000)[next(sizes) % 4 == 3])
        for info in infos(0.0, receiver=0.95)
    )
    assert judged(flow(UP, sender_infos=shrinking)).findings == ()


STALL = TransferStall(TimeSpan(17.0, 19.5), 10, 0, 14_480)


@pytest.mark.parametrize(
    ("carried", "repeated", "failure"),
    [
        ((8_000_000, 7_990_000), 8_010_000, "load.quota"),
        ((8_000_000, 7_990_000), None, "load.stalled"),
        ((8_000_000, 7_990_000), 3_000_000, "load.stalled"),
        ((8_000_000, 2_000_000), 8_000_000, "load.stalled"),
        ((20_000, 20_000), 20_000, "load.stalled"),
    ],
    ids=["same", "not repeated", "repeat differs", "connections differ", "too few"],
)
def test_same_number_of_bytes_is_a_quota(
    carried: tuple[int, ...], repeated: int | None, failure: str
) -> None:
    """Only a connection made later that stops at the same count proves a limit."""
    transfer = flow(UP, stall=STALL, carried=carried, repeated=repeated)
    [finding] = judged(transfer).findings
    assert finding.failure == failure
    if failure == "load.quota":
        assert "about 7.9 MiB with headers" in finding.seen


def test_bursts_of_the_other_direction_do_not_count() -> None:
    """Each direction is judged by its own bursts."""
    other = tuple(
        dataclasses.replace(burst, direction=Direction.DOWN)
        for burst in bursts(0, 10, 20, 50)
    )
    [finding] = judged(flow(UP, sender_infos=infos(0.4)), *other).findings
    assert finding.failure == "load.loss"
