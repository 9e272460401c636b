"""What is wrong with a transfer: stalled, cut, changed, slower than it must be. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from netduet.client.checks.load.format import END_NAMES, format_rate
from netduet.client.checks.load.results import TransferFlow, TransferStall
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Figures, Finding, Outcome, Window

_AT: Final = {Side.CLIENT: Location.CLIENT, Side.SERVER: Location.SERVER}

MIN_NETWORK_SHARE: Final = 0.8
"""Share of the time in which the network must have held the data up, for a cap."""

_RISING_FACTOR: Final = 1.5
"""By how much the last part of a transfer must exceed the mean to be rising still: in slow
start (RFC 5681 §3.1) the last fifth carries twice the mean and more."""


def find_failures(flow: TransferFlow) -> list[Finding]:
    """Return what ended a transfer, or was wrong with its bytes."""
    findings = []
    if flow.changed:
        seen = f"{flow.direction}: bytes of the transfer arrived changed"
        told = f"what arrived differs from what was sent; {flow.total} bytes in all"
        said = ((flow.direction.receiver, told),)
        findings.append(Finding("load.changed", seen, said, where=flow.direction.path))
    if flow.connection_error:
        seen = (
            f"{flow.direction}: a connection ended after {flow.end - flow.start:.1f} s "
            f"and {flow.total} bytes: {flow.connection_error}"
        )
        findings.append(
            Finding("load.cut", seen, ((Side.CLIENT, flow.connection_error),))
        )
    if flow.stall is not None:
        findings.append(_stalled(flow, flow.stall))
    return findings


def _stalled(flow: TransferFlow, halt: TransferStall) -> Finding:
    window = halt.window
    before = f"after {flow.total} bytes" if flow.total else "from the start"
    seen = (
        f"{flow.direction}: {before}, nothing moved for "
        f"{window.end - window.start:.1f} s on any of {flow.connections} connections"
    )
    sender, receiver = flow.direction.sender, flow.direction.receiver
    evidence = [(sender, f"its kernel sent {flow.retransmits} packets again")]
    if halt.unacked is not None:
        said = f"{halt.unacked} packets are under way without an acknowledgement"
        evidence.append((sender, said))
    if halt.undelivered is not None:
        evidence.append(
            (receiver, f"its kernel lacks {halt.undelivered} bytes of them")
        )
    if halt.missing:
        said = f"the far end's evidence could not be had: {halt.missing}"
        evidence.append((Side.SERVER, said))
    figures: Figures = {
        "unacked": halt.unacked,
        "unsent": halt.unsent,
        "lacking": halt.undelivered,
    }
    where = _locate_stall(flow, halt)
    name = "load.stalled"
    return Finding(
        name, seen, tuple(evidence), figures, where=where, missed_deadline=window
    )


def _locate_stall(flow: TransferFlow, halt: TransferStall) -> Location | None:
    """Return the side at which a transfer has stalled, where both kernels prove it."""
    if halt.unacked is None or halt.unsent is None or halt.undelivered is None:
        return None
    if halt.undelivered:
        return flow.direction.path
    if halt.unacked:
        return flow.direction.opposite.path
    if halt.unsent:  # all was taken, and there is no room for more
        return _AT[flow.direction.receiver]
    return None


def judge_rate(flow: TransferFlow, min_rate: float, limit: str) -> Finding | None:
    """Return that a rate is too low; no verdict where it may not be the path's."""
    reached = flow.rate
    if reached is None or reached >= min_rate:
        return None
    seen = f"{flow.direction} {format_rate(reached)}, and {format_rate(min_rate)} must be reached"
    doubt = _reason_for_doubt(flow, min_rate, limit)
    sender, receiver = flow.direction.sender, flow.direction.receiver
    seconds = flow.end - flow.start
    evidence = [
        (receiver, f"{flow.total} bytes arrived in {seconds:.2f} s in all"),
        (sender, f"its kernel sent {flow.retransmits} packets again"),
    ]
    if flow.wait_shares is not None:
        network, by_receiver, by_sender = (round(one * 100) for one in flow.wait_shares)
        said = (
            f"its kernel waited {network} % of the time for the network, {by_receiver} % "
            f"for the receiver, {by_sender} % for the sending program"
        )
        evidence.append((sender, said))
    if doubt:
        evidence.append((Side.CLIENT, f"no verdict: {doubt}"))
    return Finding(
        "load.slow",
        seen,
        tuple(evidence),
        {"bit_s": round(reached), "min_rate": round(min_rate)},
        flow.direction.path,
        None if _limited_by_network(flow) else Window(flow.start, flow.end),
        Outcome.INCONCLUSIVE if doubt else Outcome.FAIL,
    )


def _limited_by_network(flow: TransferFlow) -> bool:
    """Tell whether it was the network that the sender's kernel waited for.

    Then there was always more to send, and no program's lateness explains the rate.
    """
    return flow.wait_shares is not None and flow.wait_shares[0] >= MIN_NETWORK_SHARE


def _reason_for_doubt(flow: TransferFlow, min_rate: float, limit: str) -> str:
    """Return why a low rate proves nothing about the path, "" if it does."""
    if limit in END_NAMES:
        return f"{END_NAMES[limit]} itself was the limit, the path may carry more"
    slices = flow.slices
    if flow.exhausted:
        return "its bytes were used up too soon; --profile full carries more"
    if flow.rate and _is_rising(slices) and slices[-1] > _RISING_FACTOR * flow.rate:
        return "the rate was still rising at the end; --profile full takes longer"
    if any(one >= min_rate for one in slices):
        return "it was reached for a part of the time; --profile full takes longer"
    return ""


def _is_rising(slices: tuple[float, ...]) -> bool:
    """Tell whether each part carried more than the one before it."""
    return bool(slices) and all(one < other for one, other in pairwise(slices))
