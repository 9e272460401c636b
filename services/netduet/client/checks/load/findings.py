"""What is wrong with a transfer: it stalled, was cut, changed or is too slow. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from netduet.client.checks.load.format import format_rate
from netduet.client.checks.load.losses import loss_finding
from netduet.client.checks.load.quota import quota_finding, shared_quota_finding
from netduet.client.checks.load.results import (
    BurstCount,
    TransferFlow,
    TransferStall,
)
from netduet.client.checks.tcp_options import MAX_UNSCALED_WINDOW_BYTES
from netduet.client.results.location import Direction, Location, Side
from netduet.client.results.verdict import Figures, Finding, Outcome

MIN_NETWORK_SHARE: Final = 0.8
"""Share of the time in which the sender must wait for the network to prove a cap."""

MIN_WINDOW_BYTES: Final = 8 * 1024
"""Window below which a transfer crawls: the first flight alone has ten segments
(RFC 6928), and every system announces more."""

MIN_LONG_PATH_SECONDS: Final = 0.005
"""RTT from which a window without a scale limits a transfer to less than 100 Mbit/s."""

_MIN_RECEIVER_SHARE: Final = 0.5
"""Share of the time in which the window must be the limit."""

_STEADY_WINDOW_SHARE: Final = 0.5
"""Share of the largest window that the median keeps if the receiver reads at once."""

_RISING_FACTOR: Final = 1.5
"""Factor by which the last part of a transfer must exceed the mean to be still rising:
in slow start (RFC 5681 §3.1) the last fifth carries twice the mean and more."""


def find_failures(flow: TransferFlow) -> list[Finding]:
    """Return what ended a transfer or changed its bytes."""
    findings = []
    quota = quota_finding(flow) or shared_quota_finding(flow)
    if flow.changed:
        seen = f"{flow.direction}: data was altered in transit"
        detail = (
            f"the received data differs from the sent data; {flow.total} bytes in total"
        )
        evidence = ((flow.direction.receiver, detail),)
        findings.append(
            Finding("load.changed", seen, evidence, where=flow.direction.path)
        )
    if quota is not None:
        findings.append(quota)
    elif flow.connection_error:
        seen = (
            f"{flow.direction}: a connection ended after {flow.seconds:.1f} s "
            f"and {flow.total} bytes: {flow.connection_error}"
        )
        findings.append(
            Finding("load.cut", seen, ((Side.CLIENT, flow.connection_error),))
        )
    elif flow.stall is not None:
        findings.append(_stalled(flow, flow.stall))
    return findings


def find_crawling(
    flow: TransferFlow,
    bursts: Sequence[BurstCount],
    removed: Direction | None = None,
) -> list[Finding]:
    """Return why bulk data hardly moves although it does not stop.

    ``removed`` is the direction in which window scaling was removed.
    """
    if find_failures(flow):
        return []
    found = (loss_finding(flow, bursts), _small_window(flow, removed))
    return [finding for finding in found if finding is not None]


def small_windows(
    flow: TransferFlow, removed: Direction | None = None
) -> tuple[int, ...]:
    """Return the windows that limited a transfer, in bytes, if they are too small.

    Tiny ones always are, and on a long path those without a scale. Not if the window
    shrinks and grows: then the receiver reads too slowly.
    """
    shares = flow.wait_shares_since(flow.settled_at)
    windows = tuple(
        info.window
        for info in flow.sender_infos
        if info.window and info.at >= flow.settled_at
    )
    if shares is None or shares[1] < _MIN_RECEIVER_SHARE or not windows:
        return ()
    median = statistics.median(windows)
    is_long = (flow.min_rtt or 0.0) >= MIN_LONG_PATH_SECONDS
    limit = MIN_WINDOW_BYTES
    if removed is not None and is_long:
        limit = MAX_UNSCALED_WINDOW_BYTES + 1
    is_steady = median >= _STEADY_WINDOW_SHARE * max(windows)
    return windows if median < limit and is_steady else ()


def _small_window(flow: TransferFlow, removed: Direction | None) -> Finding | None:
    windows = small_windows(flow, removed)
    if not windows:
        return None
    rate = "" if flow.rate is None else f", and only {format_rate(flow.rate)} arrived"
    sender = flow.direction.sender
    median = statistics.median(windows)
    seen = (
        f"{flow.direction}: the receive window that {sender.phrase} sees is "
        f"{median:.0f} bytes{rate}"
    )
    text = f"the window was {min(windows)} to {max(windows)} bytes"
    shares = flow.wait_shares_since(flow.settled_at)
    if shares is not None:
        share = 100 * shares[1]
        text = f"its kernel waited for the window {share:.0f} % of the time; {text}"
    evidence = [(sender, text)]
    if removed is not None:
        text = (
            "both hosts offer window scaling, and it is not in use: it is removed on "
            f"the way {removed}"
        )
        evidence.append((Side.CLIENT, text))
    figures: Figures = {"window": round(median)}
    where = None if removed is None else removed.path
    return Finding("load.small_window", seen, tuple(evidence), figures, where=where)


def _stalled(flow: TransferFlow, stall: TransferStall) -> Finding:
    window = stall.window
    before = f"after {flow.total} bytes" if flow.total else "from the start"
    seen = (
        f"{flow.direction}: {before}, nothing moved for "
        f"{window.seconds:.1f} s on any of {flow.connections} connections"
    )
    sender, receiver = flow.direction.sender, flow.direction.receiver
    evidence = [(sender, _describe_retransmits(flow))]
    if stall.unacked is not None:
        packets = (
            "1 packet is" if stall.unacked == 1 else f"{stall.unacked} packets are"
        )
        text = f"{packets} in flight and unacknowledged"
        evidence.append((sender, text))
    if stall.undelivered is not None:
        evidence.append(
            (
                receiver,
                f"its kernel is missing {stall.undelivered} bytes of this data",
            )
        )
    if flow.carried:
        carried = ", ".join(f"{count:,}" for count in flow.carried)
        text = f"the connections had delivered {carried} bytes"
        if flow.repeated is not None:
            text += f", and a later one stopped after {flow.repeated:,}"
        evidence.append((Side.CLIENT, text))
    if stall.missing:
        text = f"the server's evidence is not available: {stall.missing}"
        evidence.append((Side.SERVER, text))
    figures: Figures = {
        "unacked": stall.unacked,
        "unsent": stall.unsent,
        "lacking": stall.undelivered,
    }
    where = _locate_stall(flow, stall)
    name = "load.stalled"
    return Finding(
        name, seen, tuple(evidence), figures, where=where, missed_deadline=window
    )


def _describe_retransmits(flow: TransferFlow) -> str:
    count = flow.retransmits
    return f"its kernel retransmitted {count} packet{'s' * (count != 1)}"


def _locate_stall(flow: TransferFlow, stall: TransferStall) -> Location | None:
    """Return the location of a stall if both kernels prove it."""
    if stall.unacked is None or stall.unsent is None or stall.undelivered is None:
        return None
    if stall.undelivered:
        return flow.direction.path
    if stall.unacked:
        return flow.direction.opposite.path
    if stall.unsent:  # everything was acknowledged, and the receiver has no room
        return Location(flow.direction.receiver)
    return None


def judge_rate(
    flow: TransferFlow, min_rate: float, limit: Side | str
) -> Finding | None:
    """Return the finding that a rate is too low, or proves nothing about the path."""
    reached = flow.rate
    if reached is None or reached >= min_rate:
        return None
    seen = f"{flow.direction} {format_rate(reached)}, required: {format_rate(min_rate)}"
    reason = _reason_for_doubt(flow, min_rate, limit)
    sender, receiver = flow.direction.sender, flow.direction.receiver
    seconds = flow.seconds
    evidence = [
        (receiver, f"{flow.total} bytes arrived in {seconds:.2f} s"),
        (sender, _describe_retransmits(flow)),
    ]
    if flow.wait_shares is not None:
        network, by_receiver, by_sender = (
            round(share * 100) for share in flow.wait_shares
        )
        text = (
            f"its kernel waited for the network {network} % of the time, for the receiver "
            f"{by_receiver} %, for the sending program {by_sender} %"
        )
        evidence.append((sender, text))
    if reason:
        evidence.append((Side.CLIENT, f"no verdict: {reason}"))
    return Finding(
        "load.slow",
        seen,
        tuple(evidence),
        {"bit_s": round(reached), "min_rate": round(min_rate)},
        flow.direction.path,
        None if _limited_by_network(flow) else flow.span,
        Outcome.INCONCLUSIVE if reason else Outcome.FAIL,
    )


def _limited_by_network(flow: TransferFlow) -> bool:
    """Whether the sender's kernel waited for the network.

    Then there was always more to send, so no late program explains the rate.
    """
    return flow.wait_shares is not None and flow.wait_shares[0] >= MIN_NETWORK_SHARE


def _reason_for_doubt(flow: TransferFlow, min_rate: float, limit: Side | str) -> str:
    """Return why a low rate proves nothing about the path, "" if it does."""
    if isinstance(limit, Side):
        return f"{limit.phrase} was the limit, not the path, which may carry more"
    slices = flow.slices
    if flow.exhausted:
        return "the transfer ran out of data too soon; --profile full sends more"
    if flow.rate and _is_rising(slices) and slices[-1] > _RISING_FACTOR * flow.rate:
        return "the rate was still rising at the end; --profile full runs longer"
    if any(slice_rate >= min_rate for slice_rate in slices):
        return "the rate was reached only part of the time; --profile full runs longer"
    return ""


def _is_rising(slices: tuple[float, ...]) -> bool:
    """Whether each part carried more than the one before it."""
    return bool(slices) and all(earlier < other for earlier, other in pairwise(slices))
