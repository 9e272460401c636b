"""How much of a transfer was lost, and by what: chance, a policer, an offload. Pure.

A segment that was sent again and not reported as a duplicate by the receiver (DSACK,
RFC 2883) was lost. On a slow link with a queue TCP loses packets too, since it fills
the queue; there the RTT grows with the queue. A policer has no queue: it drops what
exceeds its bucket, so the RTT stays and bursts die, while single packets pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.load.format import format_milliseconds, format_rate
from netduet.client.checks.load.results import BurstCount, SenderTcpInfo, TransferFlow
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding
from netduet.client.stats.proportions import lower_bound

MIN_LOST_SHARE: Final = 0.05
"""Share of lost segments from which a transfer is a failure.

TCP over a path that loses 1 % at random loses 1 %; from 5 % on it waits for timeouts
(J. Padhye et al., SIGCOMM 1998)."""

MAX_P_LOSS: Final = 0.01
"""Error probability of the bound on the lost share. It need not be smaller: paths that
must pass lose at most 2 %, of which 5 % is far (a false alarm in 6 of 10^6 transfers of 50 segments)."""

MAX_QUEUED_SHARE: Final = 0.3
"""The same where a growing RTT shows a queue: several connections that share a short
queue of a slow link lose more, since each has at least one packet in flight."""

MIN_QUEUE_SECONDS: Final = 0.003
"""Seconds by which the RTT must rise to show a queue."""

MIN_QUEUED_BYTES: Final = 3 * 1500
"""Bytes that must wait in it at the rate that was reached: a late CPU alone raises the
RTT too, but on a policed path little arrives in that time."""

MIN_QUEUE_RATIO: Final = 0.5
"""The same, as a share of the minimum RTT."""

_MIN_SEGMENTS: Final = 20
"""Segments that a part of a transfer needs to be judged alone."""

_BURST_FACTOR: Final = 3.0
"""Factor between the loss in bursts and of single packets that shows a policer."""

_WHOLE_BURST_SHARE: Final = 0.8
"""Share of a burst of two packets that is lost if a fault of offloading drops it."""


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """Segments that were sent, and those of them that were lost."""

    sent: int
    lost: int

    @property
    def share(self) -> float:
        """The share that was lost."""
        return min(1.0, self.lost / self.sent) if self.sent else 0.0

    def exceeds(self, share: float) -> bool:
        """Whether more than this share is lost, beyond chance."""
        lost, sent = min(self.lost, self.sent), max(1, self.sent)
        return lower_bound(lost, sent, MAX_P_LOSS) > share


def count_segments(infos: Sequence[SenderTcpInfo], since: float = 0.0) -> SegmentCounts:
    """Count over all connections what was sent since a time."""
    first: dict[int, SenderTcpInfo] = {}
    last: dict[int, SenderTcpInfo] = {}
    for info in infos:
        if info.at >= since:
            first.setdefault(info.connection, info)
            last[info.connection] = info
    sent = lost = 0
    for key, start in first.items():
        end = last[key]
        sent += end.segments - start.segments
        lost += end.retransmits - start.retransmits
        lost -= end.duplicates - start.duplicates
    return SegmentCounts(max(0, sent), max(0, lost))


def lossy_part(flow: TransferFlow) -> SegmentCounts | None:
    """Return the segments that show a failure, None if none does.

    Both the whole transfer and its second half must: in slow start a flow overruns a
    queue once and loses up to half of what is in flight (RFC 5681 §3.1).
    """
    whole = count_segments(flow.sender_infos)
    late = count_segments(flow.sender_infos, flow.settled_at)
    judged = late if late.sent >= _MIN_SEGMENTS else whole
    limit = MAX_QUEUED_SHARE if grows_queue(flow) else MIN_LOST_SHARE
    return judged if judged.exceeds(limit) and whole.exceeds(limit) else None


def grows_queue(flow: TransferFlow) -> bool:
    """Whether the RTT under load shows that packets wait in a queue."""
    least, loaded = flow.min_rtt, flow.rtt
    if least is None or loaded is None:
        return False
    rise = loaded - least
    queued = rise * (flow.rate or 0.0) / 8
    return queued >= MIN_QUEUED_BYTES and rise >= max(
        MIN_QUEUE_SECONDS, MIN_QUEUE_RATIO * least
    )


def loss_finding(flow: TransferFlow, bursts: Sequence[BurstCount]) -> Finding | None:
    """Return the finding that a transfer loses many packets, with its kind.

    A policer has no queue. Where packets wait, and single ones pass, TCP overruns the
    queue of a shaper, which drops the large bursts of an offloading sender as a whole,
    and kernels send again what only waits: that is how a healthy slow link looks.
    """
    counts = lossy_part(flow)
    if counts is None:
        return None
    tried = [burst for burst in bursts if burst.direction is flow.direction]
    failure, kind = _kind_of_loss(counts, tried)
    if grows_queue(flow) and (failure == "load.policed" or not tried):
        return None
    rate = "" if flow.rate is None else f" and only {format_rate(flow.rate)} arrived"
    seen = (
        f"{flow.direction}: {100 * counts.share:.0f} % of the packets of bulk data were lost "
        f"and sent again{rate}: {kind}"
    )
    sender = flow.direction.sender
    evidence: list[tuple[Side, str]] = [
        (
            sender,
            f"its kernel sent {counts.sent} packets, and {counts.lost} of them again",
        )
    ]
    if tried:
        text = ", ".join(_describe_burst(burst) for burst in tried)
        evidence.append((sender, f"sent after a pause: {text}"))
    if flow.min_rtt is not None and flow.rtt is not None:
        grows = "a queue" if grows_queue(flow) else "no queue"
        evidence.append(
            (
                sender,
                (
                    f"the RTT was {format_milliseconds(flow.rtt)} under load, at least "
                    f"{format_milliseconds(flow.min_rtt)}: {grows}"
                ),
            )
        )
    figures = {"sent": counts.sent, "lost": counts.lost}
    return Finding(
        failure,
        seen,
        tuple(evidence),
        {**figures},
        where=flow.direction.path,
        missed_deadline=flow.span,
    )


def _describe_burst(burst: BurstCount) -> str:
    name = "singly" if burst.size == 1 else f"{burst.size} at once"
    return f"{name}, {burst.lost} of {burst.sent} lost"


def _kind_of_loss(
    counts: SegmentCounts, tried: Sequence[BurstCount]
) -> tuple[str, str]:
    """Return the class of loss, and what shows it."""
    singles = next((burst for burst in tried if burst.size == 1), None)
    larger = [burst for burst in tried if burst.size > 1]
    if singles is None or not singles.sent:
        return "load.loss", "what drops them could not be tried"
    if singles.share * _BURST_FACTOR > counts.share:
        return "load.loss", "single packets are lost as well"
    pair = next((burst for burst in larger if burst.size == 2), None)  # noqa: PLR2004 - a pair
    if pair is not None and pair.sent and pair.share >= _WHOLE_BURST_SHARE:
        return "load.offload", "single packets pass, two at once do not"
    passed = max((burst.size for burst in tried if not burst.lost), default=1)
    if passed >= max(burst.size for burst in tried):
        return "load.policed", f"{passed} packets at once pass, a longer burst does not"
    return "load.policed", "bursts are dropped, single packets pass"
