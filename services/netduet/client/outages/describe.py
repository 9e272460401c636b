"""What is said of outages. Pure: events in, sentences out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from netduet.client.outages.correlate import Incident
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    ServerRestart,
)
from netduet.client.outages.observations import Observations
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Evidence
from netduet.wire.messages import ServerReport
from netduet.wire.untrusted import escape

_WAYS: Final = {
    Location.TO_SERVER: "nothing arrived on the way to the server",
    Location.FROM_SERVER: "nothing arrived on the way back from the server",
    Location.INTERMEDIARY: "nothing arrived either way",
    Location.UNKNOWN: "nothing came back",
}

_LESS: Final = 0.1
"""Seconds below which one recovery is not called later than another."""


def seconds(value: float) -> str:
    """Return a time as it is told."""
    return f"{value:.2f} s"


def at(place: Observations, instant: float) -> str:
    """Return when something happened: for how long we had watched, and the time of day."""
    told = f"{max(0.0, instant - place.start):.1f} s into the check"
    if place.utc_offset is None:
        return told
    day = datetime.fromtimestamp(instant + place.utc_offset, UTC)
    return f"{told} (at {day:%H:%M:%S} UTC)"


def incident(place: Observations, one: Incident) -> str:
    """Say what was out, for how long, and since when."""
    if not one.outages:
        return _by_connections(place, one)
    way = _WAYS[one.where]
    off = max(outage.precision for outage in one.outages)
    long = f"for {seconds(one.seconds)} (±{seconds(off)})"
    if not one.ended:
        long = f"for {seconds(one.seconds)}, until the check ended"
    return f"{place.address}: {way} {long}, {at(place, one.start)}"


def _by_connections(place: Observations, one: Incident) -> str:
    if one.closure is None:  # the caller's incidents have one or the other
        return f"{place.address}: out, {at(place, one.start)}"
    return (
        f"{place.address}: neither new connections nor the old one worked "
        f"for {bounds(one.closure)}, {at(place, one.start)}; datagrams, "
        "which would tell the direction, do not pass here"
    )


def bounds(failure_run: ConnectFailureRun) -> str:
    """Return how long new connections did not work: from and to."""
    if not failure_run.ended:
        return f"at least {seconds(failure_run.last_start - failure_run.start)}, until the check ended"
    return f"{seconds(failure_run.last_start - failure_run.start)} to {seconds(failure_run.end - failure_run.previous_start)}"


def restarted(place: Observations, restart: ServerRestart) -> str:
    """Say that another start of the server answers, and for how long none did."""
    return (
        f"{place.address}: another start of the server answers since "
        f"{at(place, restart.end)}; {seconds(restart.end - restart.start)} "
        "passed from the last datagram of the one before to the first of this one"
    )


def losses(place: Observations, one: Incident) -> Evidence:
    """Return what both ends say of the datagrams in an outage."""
    period = place.datagrams.period * 1000
    told: list[tuple[Side, str]] = []
    for outage in one.outages:
        if outage.where == Location.TO_SERVER:
            told += [
                (
                    Side.CLIENT,
                    f"sent {outage.lost} datagrams meanwhile, one each {period:.0f} ms",
                ),
                (
                    Side.SERVER,
                    (
                        f"its stream tells that it lacks {outage.lost} in a row, "
                        "and has those before and behind"
                    ),
                ),
            ]
        elif outage.where == Location.FROM_SERVER:
            told += [
                (
                    Side.SERVER,
                    (
                        f"sent {outage.lost} datagrams meanwhile, one each {period:.0f} ms: "
                        "the numbers and times in those before and behind tell"
                    ),
                ),
                (Side.CLIENT, f"lacks these {outage.lost}, in a row"),
            ]
        else:
            told.append(
                (Side.CLIENT, "no datagram came any more: not even which way is known")
            )
    if not one.outages:
        told += of_both_ends(place)
    return (*told, *effects(one))


def overflows(one: Incident) -> Evidence:
    """Return for which datagrams an end itself had no room; nothing if for too few."""
    return tuple(
        (
            Side.SERVER if outage.where == Location.TO_SERVER else Side.CLIENT,
            (
                f"{outage.dropped} datagrams, of whoever, arrived meanwhile, and its own "
                "socket's buffer was full"
            ),
        )
        for outage in one.overflows
    )


def effects(one: Incident) -> Evidence:
    """Return what an outage did to connections."""
    closure, pause = one.closure, one.pause
    told = []
    if closure is not None:
        told.append(
            f"{closure.failed} fresh connections in a row did not work: for "
            f"{bounds(closure)} no new work was possible ({escape(closure.reason)})"
        )
    elif one.outages:
        told.append("fresh connections worked all the while, or nearly")
    if pause is None:
        if one.outages:
            told.append("the old connection did not stand still for long")
    elif pause.broken:
        told.append(f"the old connection broke: {escape(pause.broken)}")
    elif not pause.ended:
        told.append("the old connection has not recovered yet")
    else:
        told.append(_recovery(one, pause))
    return tuple((Side.CLIENT, text) for text in told)


def _recovery(one: Incident, pause: ConnectionStall) -> str:
    said = f"the old connection stood still for {seconds(pause.seconds)}"
    longer = pause.end - one.end
    if one.outages and longer > _LESS:
        said += f": TCP took {longer:.1f} s longer to recover"
    closure = one.closure
    if closure is not None and closure.ended and pause.end - closure.end > _LESS:
        earlier = pause.end - closure.end
        said += f"; new connections worked {earlier:.1f} s before it recovered"
    return said


def of_both_ends(place: Observations) -> Evidence:
    """Return what both ends say of a time in which only TCP had trouble."""
    old, told = place.long_lived, place.datagrams
    evidence = [
        (
            Side.CLIENT,
            (
                f"{old.answered} of {old.asked} questions on the old connection were "
                f"answered; this kernel sent {old.retransmits} segments of it again"
            ),
        )
    ]
    if old.server_report is not None:
        evidence.append((Side.SERVER, _reported(old.server_report)))
    if told.passed:
        lost = told.up.lost + told.down.lost
        evidence.append(
            (
                Side.SERVER,
                (
                    "its stream of datagrams went on all the while: "
                    f"{lost} of {told.up.sent + told.down.sent} were lost, both ways together"
                ),
            )
        )
    if len(evidence) == 1:
        evidence.append((Side.SERVER, "the far end's evidence could not be had"))
    return tuple(evidence)


def _reported(report: ServerReport) -> str:
    again = "an unknown number of"
    if report.connection is not None:
        again = str(report.connection.total_retrans)
    return (
        f"its kernel sent {again} segments of the old connection again; "
        f"the server itself stood still for {report.host.stalled:.1f} s since it started"
    )
