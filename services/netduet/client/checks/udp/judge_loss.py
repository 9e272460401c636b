"""What a burst of datagrams tells: loss, copies and order, each way. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.udp.results import Burst, UdpResult, over_tcp
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    Evidence,
    Figures,
    Finding,
    Judgement,
    Outcome,
    Window,
)
from netduet.client.stats.proportions import lower_bound, upper_bound

GROSS: Final = 0.25
"""Share of datagrams that come twice, or out of order, from which on it is a failure."""

FEW: Final = 1000
"""Datagrams below which little is proven: more are advised where some were lost."""

ENOUGH: Final = 0.25
"""Share of the planned datagrams that must have left, or nothing is proven."""


@dataclass(frozen=True, slots=True)
class DirectionCounts:
    """What one direction of a burst came to.

    ``dropped`` arrived at the receiver and found no room there (None: not known);
    they are not ``lost``.
    """

    where: Location
    sent: int
    received: int
    lost: int
    dropped: int | None
    duplicated: int
    reordered: int


def judge_burst(measured: UdpResult, max_loss: float) -> Judgement:
    """Judge each direction by itself: what is lost for certain, and what may be."""
    burst = measured.burst
    if burst is None:
        return Judgement("")
    return Judgement(
        _told(measured, burst),
        tuple(_findings(measured, burst, max_loss)),
        tuple(_remarks(measured, burst, max_loss)),
        _figures(burst),
    )


def ways(burst: Burst) -> tuple[DirectionCounts, ...]:
    """Return what each direction came to; nothing when the counts prove nothing."""
    tally = burst.tally
    if tally is None or burst.mixed:
        return ()
    up = DirectionCounts(
        Location.TO_SERVER,
        burst.sent,
        tally.received,
        *_apart(burst.sent - tally.received, tally.dropped),
        tally.duplicated,
        tally.reordered,
    )
    down = DirectionCounts(
        Location.FROM_SERVER,
        tally.number,
        burst.answered,
        *_apart(tally.number - burst.answered, burst.dropped),
        burst.doubled,
        burst.reordered,
    )
    return up, down


def _apart(missing: int, dropped: int | None) -> tuple[int, int | None]:
    """Tell what the network lost from what the receiver had no room for."""
    missing = max(0, missing)
    full = None if dropped is None else min(dropped, missing)
    return missing - (full or 0), full


def _several(measured: UdpResult, burst: Burst) -> bool:
    """Tell whether one socket's datagrams reached several servers, or no one tally."""
    welcome = measured.knock.welcome
    moved = welcome is not None and measured.again not in {None, welcome.boot_id}
    return burst.mixed or moved


def _findings(measured: UdpResult, burst: Burst, max_loss: float) -> Iterator[Finding]:
    if burst.tally is None:
        seen = (
            f"{measured.address}: datagrams were answered at first; {burst.sent} more were "
            f"sent, {burst.answered} of them answered, and then none any more"
        )
        missed = Window(burst.start, burst.end)
        evidence = (_sent(burst), over_tcp(measured))
        yield Finding("udp.silent", seen, evidence, missed_deadline=missed)
    if burst.sent < ENOUGH * burst.planned:
        yield _unsent(measured, burst)
    if _several(measured, burst):
        return
    for way in ways(burst):
        if lower_bound(way.lost, way.sent) > max_loss:
            yield _loss(measured, burst, way, max_loss)
        elif (way.dropped or 0) > GROSS * way.sent:
            yield _overflow(measured, burst, way)
        for failure, count, what in (
            ("udp.duplicated", way.duplicated, "came more than once"),
            ("udp.reordered", way.reordered, "came behind a later one"),
        ):
            if lower_bound(min(count, way.received), way.received) > GROSS:
                seen = f"{measured.address}: {_of(count, way.received)} {what} {way.where.phrase}"
                yield Finding(failure, seen, _counted(burst), {}, way.where)


def _unsent(measured: UdpResult, burst: Burst) -> Finding:
    """Say that too little was measured: no verdict about the network."""
    why = (
        f"they did not leave ({burst.error})"
        if burst.error
        else "it did not run often enough"
    )
    seen = (
        f"{measured.address}: this end itself sent only {burst.sent} of {burst.planned} "
        f"datagrams, because {why}"
    )
    inconclusive = Outcome.INCONCLUSIVE
    return Finding("udp.unsent", seen, (_sent(burst),), outcome=inconclusive)


def _overflow(measured: UdpResult, burst: Burst, way: DirectionCounts) -> Finding:
    """Say that an end could not keep up: no verdict about the network."""
    receiver = Location.SERVER if way.where == Location.TO_SERVER else Location.CLIENT
    seen = (
        f"{measured.address}: {_of(way.dropped or 0, way.sent)} arrived {way.where.phrase} "
        "and found no room, for who was to take them did not run"
    )
    inconclusive = Outcome.INCONCLUSIVE
    return Finding(
        "udp.overflow", seen, _counted(burst), {}, receiver, outcome=inconclusive
    )


def _loss(
    measured: UdpResult, burst: Burst, way: DirectionCounts, max_loss: float
) -> Finding:
    seen = (
        f"{measured.address}: {_of(way.lost, way.sent)} were lost {way.where.phrase}: "
        f"{_bounds(way)}; {_percent(max_loss)} may be lost"
    )
    figures: Figures = {
        "sent": way.sent,
        "lost": way.lost,
        "share": round(way.lost / way.sent, 6),
        "at_least": round(lower_bound(way.lost, way.sent), 6),
        "at_most": round(upper_bound(way.lost, way.sent), 6),
        "allowed": max_loss,
    }
    evidence = _counted(burst)
    if burst.in_a_row:
        said = (
            f"{burst.in_a_row} datagrams that were sent one behind the other, in "
            f"{burst.row_seconds:.2f} s in all, have no answer"
        )
        evidence = (*evidence, (Side.CLIENT, said))
    missed = _missed(burst, way, max_loss)
    return Finding("udp.loss", seen, evidence, figures, way.where, missed)


def _missed(burst: Burst, way: DirectionCounts, max_loss: float) -> Window | None:
    """Return when an end's stall would explain the loss; None where none would.

    An end that does not run loses what comes when its buffer is full, and kernels
    count that. Where one does not: a server so loses all questions in a row, until it
    runs again.
    """
    if way.dropped is not None:
        return None
    if way.where == Location.FROM_SERVER:
        return Window(burst.start, burst.end)
    row = min(burst.in_a_row, way.lost)
    if lower_bound(way.lost - row, way.sent - row) > max_loss:
        return None
    return Window(burst.row_begin, burst.row_begin + burst.row_seconds)


def _sent(burst: Burst) -> tuple[Side, str]:
    return Side.CLIENT, (
        f"sent {burst.sent} datagrams of {burst.size} bytes in "
        f"{burst.sending:.1f} s, each at its time or at most "
        f"{burst.late * 1000:.0f} ms later"
    )


def _counted(burst: Burst) -> Evidence:
    """Return what each end counted."""
    tally = burst.tally
    if tally is None:
        return (_sent(burst),)
    theirs = (
        f"received {tally.received} different ones, {tally.duplicated} of them again, "
        f"{tally.reordered} behind a later one; gave {tally.number} answers; "
        f"{_dropped(tally.dropped)}"
    )
    mine = (
        f"received {burst.answered} different answers, {burst.doubled} of them again, "
        f"{burst.reordered} behind a later one; "
        f"{_dropped(burst.dropped)}"
    )
    return _sent(burst), (Side.SERVER, theirs), (Side.CLIENT, mine)


def _dropped(count: int | None) -> str:
    if count is None:
        return "whether its own buffer overflowed, its kernel does not say"
    return f"its own buffer dropped {count or 'none'}"


def _remarks(measured: UdpResult, burst: Burst, max_loss: float) -> Iterator[str]:
    if ENOUGH * burst.planned <= burst.sent < burst.planned:
        why = f": {burst.error}" if burst.error else ": it did not run often enough"
        yield (
            f"{measured.address}: this end itself sent {burst.sent} of {burst.planned} "
            f"datagrams{why}"
        )
    if burst.tally is not None and _several(measured, burst):
        yield (
            f"{measured.address}: the datagrams of one socket were answered by several "
            "servers, or by one that started anew: what was lost cannot be counted"
        )
        return
    for way in ways(burst):
        yield from _way_remarks(measured, way, max_loss)


def _way_remarks(
    measured: UdpResult, way: DirectionCounts, max_loss: float
) -> Iterator[str]:
    place = f"{measured.address}:"
    if 0 < (way.dropped or 0) <= GROSS * way.sent:
        whose = "the server's" if way.where == Location.TO_SERVER else "this end's own"
        yield (
            f"{place} {_of(way.dropped or 0, way.sent)} arrived {way.where.phrase} and "
            f"found no room in {whose} buffer: they do not count as lost"
        )
    if way.lost and lower_bound(way.lost, way.sent) <= max_loss:
        said = f"{place} {_of(way.lost, way.sent)} were lost {way.where.phrase}"
        more = ""
        if way.sent < FEW and upper_bound(way.lost, way.sent) > max_loss:
            more = "; --profile full sends more of them, and can say more"
        yield f"{said}: {_bounds(way)}{more}"
    for count, what in (
        (way.duplicated, "came more than once"),
        (way.reordered, "came behind a later one"),
    ):
        if count and lower_bound(min(count, way.received), way.received) <= GROSS:
            yield f"{place} {_of(count, way.received)} {what} {way.where.phrase}"


def _told(measured: UdpResult, burst: Burst) -> str:
    told = f"{burst.sent} datagrams to {measured.address}"
    up_and_down = () if _several(measured, burst) else ways(burst)
    if not up_and_down:
        return told
    up, down = up_and_down
    if not up.lost and not down.lost:
        return f"{told} and back, none lost"
    return f"{told}: {_lost(up)} there, {_lost(down)} back"


def _lost(way: DirectionCounts) -> str:
    return f"{_percent(way.lost / way.sent)} lost" if way.lost else "none lost"


def _figures(burst: Burst) -> Figures:
    figures: Figures = {
        "planned": burst.planned,
        "unsent": burst.unsent,
        "send_late_ms": round(burst.late * 1000, 3),
        "lost_in_a_row": burst.in_a_row,
    }
    for name, way in zip(("up", "down"), ways(burst), strict=False):
        figures |= {
            f"{name}_sent": way.sent,
            f"{name}_received": way.received,
            f"{name}_lost": way.lost,
            f"{name}_dropped": way.dropped,
            f"{name}_duplicated": way.duplicated,
            f"{name}_reordered": way.reordered,
        }
    return figures


# Words


def _of(count: int, total: int) -> str:
    return f"{count} of {total} datagrams ({_percent(count / max(1, total))})"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %".replace(".0 %", " %")


def _bounds(way: DirectionCounts) -> str:
    low, high = lower_bound(way.lost, way.sent), upper_bound(way.lost, way.sent)
    return f"between {_percent(low)} and {_percent(high)} with 99.99 % confidence"
