"""The summary, the remarks on loss and the figures of an address. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netduet.client.outages.correlate import Correlation
from netduet.client.outages.loss_tracker import LossCounts
from netduet.client.outages.observations import Observations
from netduet.client.results.location import Location
from netduet.client.results.verdict import Figures

SLOW_SECONDS: Final = 0.3
"""Seconds beyond the quickest one that a datagram takes, which are worth a remark."""


def summary(place: Observations, told: Correlation) -> str:
    """Return what came of it in a line."""
    datagrams, fresh = place.datagrams, place.new_connections
    many = f"{place.seconds:.0f} s with {place.address}: "
    if told.incidents:
        longest = max(told.incidents, key=lambda incident: incident.seconds)
        count = len(told.incidents)
        times = "once" if count == 1 else f"{count} times"
        many += f"out {times}, for up to {longest.seconds:.2f} s"
    elif datagrams.passed:
        many += (
            f"{datagrams.up.sent} datagrams there and {datagrams.down.sent} back, "
            "never out"
        )
    else:
        many += "never out, as far as connections tell"
    return f"{many}; {fresh.started - fresh.failed} of {fresh.started} new connections worked at once"


def losses(place: Observations) -> Iterator[str]:
    """Say what datagrams cannot tell, and what was lost, doubled or late each way."""
    told = place.datagrams
    yield from _silence(place)
    for way, to, counted in (
        (Location.TO_SERVER, "on the way to the server", told.up),
        (Location.FROM_SERVER, "on the way back", told.down),
    ):
        out = sum(
            loss_run.lost for loss_run in place.loss_runs if loss_run.where == way
        )
        for count, what in (
            (counted.lost - out, "were lost, each by itself or a few in a row"),
            (counted.duplicated, "came more than once"),
            (counted.late, "came behind a later one"),
        ):
            if told.passed and count > 0:
                yield f"{place.address}: {count} of {counted.sent} datagrams {what} {to}"
    if told.lateness > SLOW_SECONDS:
        yield (
            f"{place.address}: a datagram took {told.lateness:.2f} s longer on the way "
            "back than the quickest: it was held up, and not lost"
        )
    fresh = place.new_connections
    if fresh.void:
        yield (
            f"{place.address}: {fresh.void} of {fresh.started + fresh.void} new connections "
            "failed by this end itself (it did not run, or had no descriptor, port or "
            "memory for them), and are not counted"
        )
    if place.long_lived.connect_error:
        yield f"{place.address}: an old connection could not be had: {place.long_lived.connect_error}"


def _silence(place: Observations) -> Iterator[str]:
    told = place.datagrams
    if told.passed:
        return
    if not told.supported:
        why = "the server is of a version that does not stream datagrams"
    elif told.refused:
        why = f"the server streams no datagrams: {told.refused}"
    elif told.answered:
        why = "datagrams were answered at first, and no stream came"
    elif told.error or told.notice:
        why = f"datagrams do not pass ({told.error or told.notice})"
    else:
        why = "datagrams do not pass: no answer came to any"
    yield (
        f"{place.address}: {why}; so the direction of an outage cannot be told, and its "
        f"length only by the new connections, one each {place.new_connections.period * 1000:.0f} ms"
    )


def figures(place: Observations, told: Correlation) -> Figures:
    """Return the numbers."""
    datagrams, fresh = place.datagrams, place.new_connections
    found: Figures = {
        "seconds": round(place.seconds, 1),
        "outages": len(told.incidents),
        "longest_outage": round(
            max((incident.seconds for incident in told.incidents), default=0.0), 3
        ),
        "new_connections": fresh.started,
        "new_failed": fresh.failed,
        "new_void": fresh.void,
        "old_asked": place.long_lived.asked,
        "old_answered": place.long_lived.answered,
        "old_longest_pause": round(
            max((stall.seconds for stall in place.stalls), default=0.0), 3
        ),
    }
    if datagrams.passed:
        for name, way in (("up", datagrams.up), ("down", datagrams.down)):
            found |= _counted(name, way)
        found |= {
            "unsent": datagrams.unsent,
            "dropped_here": datagrams.dropped,
            "latest_ms": round(datagrams.lateness * 1000, 1),
        }
    return found


def _counted(name: str, way: LossCounts) -> Figures:
    return {
        f"{name}_sent": way.sent,
        f"{name}_lost": way.lost,
        f"{name}_duplicated": way.duplicated,
        f"{name}_late": way.late,
        f"{name}_untold": way.unknown,
    }
