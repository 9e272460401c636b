"""What trouble was that the streams and connections alone do not explain. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from netduet.client.outages.correlate import HALF
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    covered_seconds,
)
from netduet.client.outages.outage import NEVER_ANSWERED, Outage
from netduet.client.results.location import Location
from netduet.wire.untrusted import escape

Spans = tuple[ConnectFailureRun | ConnectionStall, ...]

_LEAST: Final = 0.2
"""Seconds for which a server must have stood still to be said to have."""

_RAN: Final = 2
"""New connections that it answered in the silence: one may have come after it."""


def nothing_lost(
    start: float,
    end: float,
    stalls: tuple[tuple[float, float], ...],
    worked: int,
) -> Outage:
    """Say what silence was after which nothing is lacking.

    ``stalls`` are the times in which the server's own stream shows that it sent
    nothing; ``worked`` is how many new connections it answered in the silence.
    """
    spans = [(at, upto) for at, upto in stalls if at < end and upto > start]
    still = covered_seconds(spans, start, end)
    if still < max(_LEAST, HALF * (end - start)):
        seen = (
            f"nothing came for {end - start:.2f} s, and nothing was lost: it was held "
            "up, or this end did not run; nothing is proven"
        )
        return Outage("watch.paused", Location.UNKNOWN, start, end, seen, proven=False)
    # It was noticed later than it began, and seen to be over later than it was.
    start = max(start, min(at for at, _ in spans))
    end = min(end, max(upto for _, upto in spans))
    seen = f"the server itself sent no datagrams for {still:.2f} s, as its stream shows"
    if worked >= _RAN:
        seen += (
            f", and answered {worked} new connections meanwhile: something on its own "
            "host let none out"
        )
        return Outage("stream.outage", Location.SERVER, start, end, seen)
    seen += ": it stood still, or its own host let nothing out"
    return Outage("watch.paused", Location.SERVER, start, end, seen)


def by_chance(
    standing: Outage, end: float, outages: tuple[LossRun, ...], others: Spans
) -> Outage:
    """Say that what was told as trouble may come by chance, or was too short.

    ``outages`` and ``others`` (of connections) are what happened.
    """
    told = [f"{loss_run.lost} datagrams in a row were lost" for loss_run in outages[:1]]
    for one in others:
        if isinstance(one, ConnectFailureRun):
            why = escape(one.reason)
            told.append(f"{one.failed} new connections in a row did not work ({why})")
            break
    if not told:
        still = max(one.seconds for one in others)
        told.append(f"the old connection stood still for {still:.2f} s")
    seen = f"{' and '.join(told)}: so few may be by chance, so nothing is proven"
    return replace(standing, end=end, description=seen, proven=False, ended=True)


def answers_at_last(
    standing: Outage, closures: tuple[ConnectFailureRun, ...]
) -> Outage:
    """Say that a peer answers that had not since the watch began.

    Datagrams count what is lost only from the first answer on, so connections tell.
    """
    end = max((failure_run.end for failure_run in closures), default=standing.end)
    failed = sum(failure_run.failed for failure_run in closures)
    seen = "it answers for the first time since the watch began"
    if failed:
        seen += f"; {failed} new connections in a row did not work"
    where, start, proven = standing.where, standing.start, standing.proven
    return Outage(NEVER_ANSWERED, where, start, end, seen, proven=proven)


def stuck(outage: Outage) -> Outage:
    """Say that datagrams were answered as soon as they left from another port."""
    seen = (
        f"for {outage.seconds:.2f} s datagrams from one port did not pass, while new "
        "connections worked; from another port they did"
    )
    return replace(
        outage,
        failure="watch.stuck_flow",
        where=Location.INTERMEDIARY,
        description=seen,
    )


def left(start: float, now: float, before: Outage) -> Outage:
    """Say that the name has dropped a server that had stopped to answer before."""
    seen = (
        f"its name dropped it after {now - start:.2f} s in which it did not answer "
        f"({before.description})"
    )
    return Outage("watch.left", Location.SERVER, start, now, seen)
