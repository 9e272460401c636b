"""What trouble is, while it goes on and when it is over, in words. Pure."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.net.dial import UNROUTED
from netduet.client.outages import describe
from netduet.client.outages.correlate import (
    HALF,
    NEAR_SECONDS,
    Incident,
    correlate,
    is_new_process,
    overflowed,
    starved_seconds,
)
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
    covered_seconds,
)
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import NEVER_ANSWERED, Outage
from netduet.client.results.location import Location, Side
from netduet.wire.untrusted import escape

REFUSED: Final = "ECONNREFUSED"

DATAGRAMS_ONLY: Final = "watch.datagrams"

QUARTER: Final = 0.25
"""Share of a pause in which an end did not run that explains it: what waited comes late."""

_AT_ONCE: Final = 1.0
"""Seconds within which the server's stream must have stopped with ours to be out too."""

_WAYS: Final = {
    Location.TO_SERVER: "nothing arrived on the way to the server",
    Location.FROM_SERVER: "nothing arrived on the way back from the server",
    Location.INTERMEDIARY: "nothing arrived either way",
    Location.UNKNOWN: "nothing came back",
}


_DATAGRAMS: Final = {
    Location.TO_SERVER: "no datagrams arrive on the way to the server",
    Location.UNKNOWN: "no datagrams come back",
}
_WITHHELD: Final = "this end itself could not send there"


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What goes on now, by the stream, by fresh connections, by the old one.

    ``why`` is what the latest fresh connection said, "" where it worked; ``seen``
    whether this peer has ever answered; ``worked`` whether a connection begun since
    datagrams stay away worked. ``gone``: no datagrams pass that could tell,
    and the old connection broke and could not be made again. ``withheld`` is why our
    own kernel sends nothing there, "" where it does.
    """

    stream: LossRun | None = None
    failure_run: ConnectFailureRun | None = None
    stall: ConnectionStall | None = None
    connect_error: str = ""
    answered_before: bool = True
    unreachable: bool = False
    send_error: str = ""
    connections_work: bool = False

    @property
    def proven(self) -> bool:
        """Both ends ran, and had room, for most of what the stream shows."""
        loss_run = self.stream
        if loss_run is None:
            return True
        return (
            loss_run.sender_stalled + loss_run.receiver_stalled
            < HALF * loss_run.seconds
            and not overflowed(loss_run)
        )

    @property
    def start(self) -> float | None:
        """When the first of them began; None: all is well."""
        spans = (self.stream, self.failure_run, self.stall)
        return min((one.start for one in spans if one is not None), default=None)


def without_starvation(
    signs: ProbeState, ours: float, theirs: float, seconds: float
) -> ProbeState:
    """Return the signs without what an end that did not run explains.

    In ``seconds`` since they began this end did not run for ``ours``, and the server,
    as its stream shows, for ``theirs``.
    """
    if ours >= HALF * seconds:
        return ProbeState()
    if ours + theirs >= QUARTER * seconds:
        return replace(signs, stall=None)
    return signs


def classify_ongoing(signs: ProbeState, now: float, *, shaken: bool = False) -> Outage:
    """Say what can be said while it goes on.

    ``shaken``: the old connection has stood still or broken lately.
    """
    start = signs.start
    start = now if start is None else start
    where = _blamed(signs.connect_error)
    stream, closure = signs.stream, signs.failure_run
    if stream is not None and signs.connections_work and not signs.send_error:
        seen = f"{_DATAGRAMS[stream.where]}; connections work"
        return _going_on(DATAGRAMS_ONLY, stream.where, start, now, seen)
    if (
        stream is not None
        and stream.where == Location.TO_SERVER
        and not signs.send_error
    ):
        seen = "nothing arrives on the way to the server; what it sends comes"
        return _going_on("stream.outage", Location.TO_SERVER, start, now, seen)
    if closure is not None and not signs.answered_before:
        seen = f"no netduet has answered there yet: {escape(closure.reason)}"
        return _going_on(NEVER_ANSWERED, where, start, now, seen)
    if stream is not None:
        return _silence(signs, start, now)
    if closure is not None and signs.unreachable:
        seen = f"new connections do not work ({escape(closure.reason)}), and the old one broke"
        failure = "watch.refused" if where == Location.SERVER else "stream.outage"
        return _going_on(failure, where, start, now, seen)
    if closure is not None:
        seen = f"new connections do not work ({escape(closure.reason)})"
        if signs.stall is not None:
            seen += ", and the old one stands still"
        elif not shaken:
            seen += ", and what is there goes on"
        return _going_on("stream.new_connections", where, start, now, seen)
    seen = "the old connection stands still, and new ones work"
    return _going_on("stream.old_connections", Location.INTERMEDIARY, start, now, seen)


def _silence(signs: ProbeState, start: float, now: float) -> Outage:
    """Say what it is that no datagrams come."""
    if signs.send_error:
        seen = f"this end itself cannot send there ({_spelt(signs.send_error)})"
        return _going_on("stream.outage", Location.CLIENT, start, now, seen)
    if REFUSED in signs.connect_error:
        seen = "nothing listens there any more: its host refuses connections"
        return _going_on("watch.refused", Location.SERVER, start, now, seen)
    seen = "nothing comes back"
    if signs.connect_error:
        seen += f"; new connections: {escape(signs.connect_error)}"
    else:
        seen += " to datagrams; new connections have not failed so far"
    return _going_on("stream.outage", _blamed(signs.connect_error), start, now, seen)


def _blamed(why: str) -> Location:
    """Return at which end it is that a connection failed so; unknown for silence."""
    if REFUSED in why:
        return Location.SERVER
    return Location.CLIENT if why == UNROUTED else Location.UNKNOWN


def _spelt(code: str) -> str:
    """Return an error's name with the kernel's words for it."""
    number = getattr(errno, code, None)
    return code if number is None else f"{code}: {os.strerror(number)}"


def _going_on(
    failure: str, where: Location, start: float, now: float, seen: str
) -> Outage:
    # The stream's thread may have seen it begin after the look's time was taken.
    return Outage(failure, where, start, max(start, now), seen, ended=False)


def classify_closed(place: Observations, tolerance: float) -> list[Outage]:
    """Say what all that happened comes to; nothing where chance explains it.

    What connections alone had to bear counts when it is longer than ``tolerance``
    seconds. The longest comes first.
    """
    told = correlate(place)
    found = [_incident(place, incident) for incident in told.incidents]
    found += [
        _restarted(restart) for restart in told.restarts if is_new_process(restart)
    ]
    found += _connections(place, told.closures, told.pauses, tolerance)
    return sorted(found, key=lambda outage: -outage.seconds)


def _incident(place: Observations, incident: Incident) -> Outage:
    restart = incident.restart
    if restart is not None and is_new_process(restart):
        again = _restarted(restart)
        seen = again.description
        if incident.closure is not None:
            seen += f"; new connections: {escape(incident.closure.reason)}"
        return replace(again, description=seen, evidence=describe.effects(incident))
    if not incident.outages:
        return _by_connections(place, incident)
    where = incident.where
    if where == Location.TO_SERVER and restart is not None and _both(incident, restart):
        where = Location.INTERMEDIARY
    flow = place.datagrams
    if (
        covered_seconds(flow.send_blocked, incident.start, incident.end)
        >= HALF * incident.seconds
    ):
        seen = _lasted(f"{_WITHHELD} ({_spelt(flow.error)})", incident)
        evidence = (
            (Side.CLIENT, "its own kernel let none out"),
            *describe.effects(incident),
        )
        return Outage(
            "stream.outage",
            Location.CLIENT,
            incident.start,
            incident.end,
            seen,
            evidence,
        )
    told = replace(incident, where=where)
    evidence = (*describe.losses(place, told), *describe.overflows(told))
    seen, failure = _lasted(_WAYS[where], incident), "stream.outage"
    doubt = _doubt(incident)
    if doubt:
        seen += f"; {doubt}, so nothing is proven"
    elif incident.closure is not None and incident.closure.rejected:
        seen += f"; new connections: {escape(incident.closure.reason)}"
    elif _connections_went_on(place, incident):
        failure = DATAGRAMS_ONLY
        seen += ", of datagrams alone: connections worked all the while"
    proven = not doubt
    return Outage(
        failure, where, incident.start, incident.end, seen, evidence, proven=proven
    )


def _lasted(seen: str, incident: Incident) -> str:
    off = max(outage.precision for outage in incident.outages)
    return f"{seen} for {incident.seconds:.2f} s (±{off:.2f} s)"


def _doubt(incident: Incident) -> str:
    """Return why an outage proves nothing of the network; "" if it does."""
    starved = max(incident.starved, 0.0)
    if starved >= HALF * incident.seconds:
        return f"for {starved:.2f} s of it {_starved(incident)} itself did not run"
    return "an end's own buffer was full meanwhile" if incident.overflows else ""


def _connections_went_on(place: Observations, incident: Incident) -> bool:
    """Tell whether it was long enough for connections to show it, and none did.

    On the old one there are two questions in the time from one fresh one to the next.
    """
    shown = incident.closure is not None or incident.pause is not None
    long = incident.seconds >= 2 * place.new_connections.period
    tried = (
        place.long_lived.answered > 0
        and place.new_connections.started > place.new_connections.failed
    )
    return long and tried and not shown


def _starved(incident: Incident) -> str:
    """Say which end it was that did not run for the longest."""
    ours = max(
        loss_run.receiver_stalled
        if loss_run.where == Location.FROM_SERVER
        else loss_run.sender_stalled
        for loss_run in incident.outages
    )
    theirs = max(
        run.sender_stalled
        if run.where == Location.FROM_SERVER
        else run.receiver_stalled
        for run in incident.outages
    )
    return "the server" if theirs > ours else "this end"


def _both(incident: Incident, restart: ServerRestart) -> bool:
    """Tell whether both ways were out, though the server's old stream is not there to tell.

    A server ends a stream that hears nothing for long. Had its way been open, its
    datagrams would have come until then.
    """
    return restart.start - incident.start < _AT_ONCE


def _by_connections(place: Observations, incident: Incident) -> Outage:
    why = "" if incident.closure is None else f" ({escape(incident.closure.reason)})"
    seen = (
        "neither new connections nor the old one worked"
        f"{_bounds(incident.closure)}{why}; datagrams, which would tell the direction, do not pass"
    )
    evidence = describe.losses(place, incident)
    where = (
        incident.where if incident.closure is None else _blamed(incident.closure.reason)
    )
    return Outage("stream.outage", where, incident.start, incident.end, seen, evidence)


def _restarted(restart: ServerRestart) -> Outage:
    seen = (
        f"another start of the server answers after {restart.end - restart.start:.2f} s "
        "without one"
    )
    if restart.end_reason:
        seen += f"; the one before took its leave: {escape(restart.end_reason)}"
    said = f"boot id {escape(restart.boot_ids[0])[:8]}… before, {escape(restart.boot_ids[1])[:8]}… now"
    evidence = ((Side.SERVER, said),)
    return Outage(
        "stream.restarted", Location.SERVER, restart.start, restart.end, seen, evidence
    )


def _connections(
    place: Observations,
    closures: tuple[ConnectFailureRun, ...],
    pauses: tuple[ConnectionStall, ...],
    tolerance: float,
) -> Iterator[Outage]:
    for closure in closures:
        if closure.last_start - closure.start <= tolerance:
            continue
        also = [stall for stall in pauses if _meet(stall, closure)]
        where, kept = _blamed(closure.reason), "what was there went on"
        if also:
            kept = "the old one did not go on either"
        seen = (
            f"{closure.failed} new connections in a row did not work"
            f"{_bounds(closure)} ({escape(closure.reason)}); {kept}"
        )
        failure = "stream.new_connections"
        if also and not place.datagrams.passed:
            failure = "stream.outage"  # and nothing tells which way
        yield Outage(failure, where, closure.start, closure.end, seen)
    for pause in pauses:
        starved = starved_seconds(place, pause)
        if any(_meet(pause, failure_run) for failure_run in closures):
            continue
        if pause.seconds - starved <= tolerance and not pause.broken:
            continue
        seen = f"the old connection stood still for {pause.seconds:.2f} s"
        if pause.broken:
            seen = f"the old connection broke: {escape(pause.broken)}"
        proven = bool(pause.broken) or starved < QUARTER * pause.seconds
        yield Outage(
            "stream.old_connections",
            Location.INTERMEDIARY,
            pause.start,
            pause.end,
            f"{seen}, {_beside(pause, place.failure_runs)}",
            proven=proven,
        )


def _beside(pause: ConnectionStall, closures: tuple[ConnectFailureRun, ...]) -> str:
    """Say what new connections did meanwhile."""
    failed = sum(
        failure_run.failed for failure_run in closures if _meet(pause, failure_run)
    )
    if not failed:
        return "while new ones worked"
    return f"and {failed} new ones in a row did not work"


def _meet(pause: ConnectionStall, closure: ConnectFailureRun) -> bool:
    if pause.broken and closure.previous_start <= pause.end <= closure.end:
        return True
    return (
        pause.start < closure.end + NEAR_SECONDS
        and pause.end > closure.start - NEAR_SECONDS
    )


def _bounds(closure: ConnectFailureRun | None) -> str:
    if closure is None:
        return ""
    return f" for {describe.bounds(closure)}" if closure.ended else ""
