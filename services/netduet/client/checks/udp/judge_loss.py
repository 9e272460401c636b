"""Judges a burst of datagrams: loss, duplicates and reordering per direction. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.udp.results import Burst, UdpResult, tcp_evidence
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Evidence,
    Figures,
    Finding,
    Judgement,
    Outcome,
)
from netduet.client.stats.proportions import lower_bound, upper_bound
from netduet.net.time_span import TimeSpan

GROSS_SHARE: Final = 0.25
"""Share of duplicate or reordered datagrams from which it is a failure."""

CONCLUSIVE_COUNT: Final = 1000
"""Datagrams below which little is proven: after losses, a note advises more."""

MIN_SENT_SHARE: Final = 0.25
"""Share of the planned datagrams that must be sent to prove anything."""


@dataclass(frozen=True, slots=True)
class DirectionCounts:
    """The counts of one direction of a burst.

    ``dropped`` reached the receiver and found no room there (None: unknown); they are
    not ``lost``.
    """

    where: Location
    sent: int
    received: int
    lost: int
    dropped: int | None
    duplicated: int
    reordered: int


def judge_burst(result: UdpResult, max_loss: float) -> Judgement:
    """Judge each direction: what is certainly lost, and what may be."""
    burst = result.burst
    if burst is None:
        return Judgement("")
    return Judgement(
        _summary(result, burst),
        tuple(_findings(result, burst, max_loss)),
        tuple(_remarks(result, burst, max_loss)),
        _figures(burst),
    )


def count_directions(burst: Burst) -> tuple[DirectionCounts, ...]:
    """Return the counts of each direction; nothing if the counts prove nothing."""
    tally = burst.server_count
    if tally is None or burst.contradictory:
        return ()
    up = DirectionCounts(
        Location.TO_SERVER,
        burst.sent,
        tally.received,
        *_separate_drops(burst.sent - tally.received, tally.dropped),
        tally.duplicated,
        tally.reordered,
    )
    down = DirectionCounts(
        Location.FROM_SERVER,
        tally.number,
        burst.answered,
        *_separate_drops(tally.number - burst.answered, burst.dropped),
        burst.duplicated,
        burst.reordered,
    )
    return up, down


def _separate_drops(missing: int, dropped: int | None) -> tuple[int, int | None]:
    """Separate the network's losses from those of the receiver's full buffer."""
    missing = max(0, missing)
    full = None if dropped is None else min(dropped, missing)
    return missing - (full or 0), full


def _several_servers(result: UdpResult, burst: Burst) -> bool:
    """Whether one socket's datagrams reached several servers."""
    welcome = result.opening.welcome
    delivered = welcome is not None and result.boot_id_after not in {
        None,
        welcome.boot_id,
    }
    return burst.contradictory or delivered


def _findings(result: UdpResult, burst: Burst, max_loss: float) -> Iterator[Finding]:
    if burst.server_count is None:
        seen = (
            f"{result.address}: datagrams were answered at first; then {burst.sent} "
            f"more were sent, {burst.answered} of them were answered, and then the "
            "server stopped responding"
        )
        missed = burst.span
        evidence = (_sent_evidence(burst), tcp_evidence(result))
        yield Finding("udp.silent", seen, evidence, missed_deadline=missed)
    if burst.sent < MIN_SENT_SHARE * burst.planned:
        yield _unsent(result, burst)
    if _several_servers(result, burst):
        return
    for direction in count_directions(burst):
        if lower_bound(direction.lost, direction.sent) > max_loss:
            yield _loss(result, burst, direction, max_loss)
        elif (direction.dropped or 0) > GROSS_SHARE * direction.sent:
            yield _overflow(result, burst, direction)
        for failure, count, kind in (
            ("udp.duplicated", direction.duplicated, "arrived more than once"),
            ("udp.reordered", direction.reordered, "arrived out of order"),
        ):
            if (
                lower_bound(min(count, direction.received), direction.received)
                > GROSS_SHARE
            ):
                seen = f"{result.address}: {_format_count(count, direction.received)} {kind} {direction.where.phrase}"
                yield Finding(
                    failure, seen, _count_evidence(burst), {}, direction.where
                )


def _unsent(result: UdpResult, burst: Burst) -> Finding:
    """Report that too little was sent for a verdict about the network."""
    reason = (
        f"the others did not leave ({burst.error})"
        if burst.error
        else "this process was suspended or starved of CPU"
    )
    seen = (
        f"{result.address}: this client sent only {burst.sent} of {burst.planned} "
        f"datagrams, because {reason}"
    )
    inconclusive = Outcome.INCONCLUSIVE
    return Finding("udp.unsent", seen, (_sent_evidence(burst),), outcome=inconclusive)


def _overflow(result: UdpResult, burst: Burst, direction: DirectionCounts) -> Finding:
    """Report that an end could not keep up, so nothing is proven about the network."""
    receiver = (
        Location.SERVER if direction.where == Location.TO_SERVER else Location.CLIENT
    )
    seen = (
        f"{result.address}: {_format_count(direction.dropped or 0, direction.sent)} arrived {direction.where.phrase} "
        "and were dropped there: the receiver's buffer was full"
    )
    inconclusive = Outcome.INCONCLUSIVE
    return Finding(
        "udp.overflow", seen, _count_evidence(burst), {}, receiver, outcome=inconclusive
    )


def _loss(
    result: UdpResult, burst: Burst, direction: DirectionCounts, max_loss: float
) -> Finding:
    seen = (
        f"{result.address}: {_format_count(direction.lost, direction.sent)} were lost {direction.where.phrase}: "
        f"{_format_bounds(direction)}; allowed: {_format_percent(max_loss)}"
    )
    figures: Figures = {
        "sent": direction.sent,
        "lost": direction.lost,
        "share": round(direction.lost / direction.sent, 6),
        "at_least": round(lower_bound(direction.lost, direction.sent), 6),
        "at_most": round(upper_bound(direction.lost, direction.sent), 6),
        "allowed": max_loss,
    }
    evidence = _count_evidence(burst)
    if burst.lost_in_runs:
        text = (
            f"{burst.lost_in_runs} of the unanswered datagrams were sent in a row, within "
            f"{burst.runs_seconds:.2f} s in total"
        )
        evidence = (*evidence, (Side.CLIENT, text))
    missed = _missed_deadline(burst, direction, max_loss)
    return Finding("udp.loss", seen, evidence, figures, direction.where, missed)


def _missed_deadline(
    burst: Burst, direction: DirectionCounts, max_loss: float
) -> TimeSpan | None:
    """Return the time in which an end's stall would explain the loss, or None.

    An end that is not running loses what arrives while its buffer is full, which
    kernels count. If one does not count it: such a server loses consecutive questions
    until it runs again.
    """
    if direction.dropped is not None:
        return None
    if direction.where == Location.FROM_SERVER:
        return burst.span
    in_runs = min(burst.lost_in_runs, direction.lost)
    if lower_bound(direction.lost - in_runs, direction.sent - in_runs) > max_loss:
        return None
    return TimeSpan(burst.first_run_start, burst.first_run_start + burst.runs_seconds)


def _sent_evidence(burst: Burst) -> tuple[Side, str]:
    return Side.CLIENT, (
        f"sent {burst.sent} datagrams of {burst.size} bytes in "
        f"{burst.send_seconds:.1f} s, at most "
        f"{burst.max_send_delay * 1000:.0f} ms late"
    )


def _count_evidence(burst: Burst) -> Evidence:
    tally = burst.server_count
    if tally is None:
        return (_sent_evidence(burst),)
    server_text = (
        f"received {tally.received} datagrams, {tally.duplicated} duplicates, "
        f"{tally.reordered} out of order; sent {tally.number} responses; "
        f"{_describe_drops(tally.dropped)}"
    )
    client_text = (
        f"received {burst.answered} responses, {burst.duplicated} duplicates, "
        f"{burst.reordered} out of order; {_describe_drops(burst.dropped)}"
    )
    return _sent_evidence(burst), (Side.SERVER, server_text), (Side.CLIENT, client_text)


def _describe_drops(count: int | None) -> str:
    if count is None:
        return "its kernel does not report buffer drops"
    return f"its buffer dropped {count or 'none'}"


def _remarks(result: UdpResult, burst: Burst, max_loss: float) -> Iterator[str]:
    if MIN_SENT_SHARE * burst.planned <= burst.sent < burst.planned:
        reason = (
            f": {burst.error}"
            if burst.error
            else ": this process was suspended or starved of CPU"
        )
        yield (
            f"{result.address}: this client sent {burst.sent} of {burst.planned} "
            f"datagrams{reason}"
        )
    if burst.server_count is not None and _several_servers(result, burst):
        yield (
            f"{result.address}: the datagrams of one socket were answered by several "
            "servers, or by one that restarted: losses cannot be counted"
        )
        return
    for direction in count_directions(burst):
        yield from _direction_remarks(result, direction, max_loss)


def _direction_remarks(
    result: UdpResult, direction: DirectionCounts, max_loss: float
) -> Iterator[str]:
    prefix = f"{result.address}:"
    if 0 < (direction.dropped or 0) <= GROSS_SHARE * direction.sent:
        receiver_name = (
            "the server's" if direction.where == Location.TO_SERVER else "this client's"
        )
        yield (
            f"{prefix} {_format_count(direction.dropped or 0, direction.sent)} arrived {direction.where.phrase} and "
            f"were dropped because {receiver_name} buffer was full: not counted as lost"
        )
    if direction.lost and lower_bound(direction.lost, direction.sent) <= max_loss:
        text = f"{prefix} {_format_count(direction.lost, direction.sent)} were lost {direction.where.phrase}"
        more = ""
        if (
            direction.sent < CONCLUSIVE_COUNT
            and upper_bound(direction.lost, direction.sent) > max_loss
        ):
            more = "; too few to rule out chance, --profile full sends more"
        yield f"{text}: {_format_bounds(direction)}{more}"
    for count, kind in (
        (direction.duplicated, "arrived more than once"),
        (direction.reordered, "arrived out of order"),
    ):
        if (
            count
            and lower_bound(min(count, direction.received), direction.received)
            <= GROSS_SHARE
        ):
            yield f"{prefix} {_format_count(count, direction.received)} {kind} {direction.where.phrase}"


def _summary(result: UdpResult, burst: Burst) -> str:
    text = f"{burst.sent} datagrams to {result.address}"
    up_and_down = () if _several_servers(result, burst) else count_directions(burst)
    if not up_and_down:
        return text
    up, down = up_and_down
    if not up.lost and not down.lost:
        return f"{text} and back, none lost"
    return f"{text}: {_describe_loss(up)} up, {_describe_loss(down)} down"


def _describe_loss(direction: DirectionCounts) -> str:
    return (
        f"{_format_percent(direction.lost / direction.sent)} lost"
        if direction.lost
        else "none lost"
    )


def _figures(burst: Burst) -> Figures:
    figures: Figures = {
        "planned": burst.planned,
        "unsent": burst.unsent,
        "send_late_ms": round(burst.max_send_delay * 1000, 3),
        "lost_in_a_row": burst.lost_in_runs,
    }
    for name, direction in zip(("up", "down"), count_directions(burst), strict=False):
        figures |= {
            f"{name}_sent": direction.sent,
            f"{name}_received": direction.received,
            f"{name}_lost": direction.lost,
            f"{name}_dropped": direction.dropped,
            f"{name}_duplicated": direction.duplicated,
            f"{name}_reordered": direction.reordered,
        }
    return figures


# Descriptions


def _format_count(count: int, total: int) -> str:
    return f"{count} of {total} datagrams ({_format_percent(count / max(1, total))})"


def _format_percent(share: float) -> str:
    return f"{share * 100:.1f} %".replace(".0 %", " %")


def _format_bounds(direction: DirectionCounts) -> str:
    low = lower_bound(direction.lost, direction.sent)
    high = upper_bound(direction.lost, direction.sent)
    return f"between {_format_percent(low)} and {_format_percent(high)} with 99.99 % confidence"
