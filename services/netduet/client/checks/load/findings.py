"""What is wrong with a transfer: it stalled, was cut, changed or is too slow. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from netduet.client.checks.load.format import format_rate
from netduet.client.checks.load.results import TransferFlow, TransferStall
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Figures, Finding, Outcome

MIN_NETWORK_SHARE: Final = 0.8
"""Share of the time in which the sender must wait for the network to prove a cap."""

_RISING_FACTOR: Final = 1.5
"""Factor by which the last part of a transfer must exceed the mean to be still rising:
in slow start (RFC 5681 §3.1) the last fifth carries twice the mean and more."""


def find_failures(flow: TransferFlow) -> list[Finding]:
    """Return what ended a transfer or changed its bytes."""
    findings = []
    if flow.changed:
        seen = f"{flow.direction}: data was altered in transit"
        detail = (
            f"the received data differs from the sent data; {flow.total} bytes in total"
        )
        evidence = ((flow.direction.receiver, detail),)
        findings.append(
            Finding("load.changed", seen, evidence, where=flow.direction.path)
        )
    if flow.connection_error:
        seen = (
            f"{flow.direction}: a connection ended after {flow.seconds:.1f} s "
            f"and {flow.total} bytes: {flow.connection_error}"
        )
        findings.append(
            Finding("load.cut", seen, ((Side.CLIENT, flow.connection_error),))
        )
    if flow.stall is not None:
        findings.append(_stalled(flow, flow.stall))
    return findings


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
