"""What outages mean: which are too long, whose they are, which prove nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.stream.notes import notes
from netduet.client.checks.stream.summary import figures, summary
from netduet.client.outages import describe
from netduet.client.outages.correlate import (
    HALF,
    Correlation,
    Incident,
    correlate,
    is_new_process,
    starved_seconds,
)
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    ServerRestart,
)
from netduet.client.outages.observations import Observations
from netduet.client.results.location import Side
from netduet.client.results.verdict import (
    Evidence,
    Finding,
    Judgement,
    Outcome,
    Window,
)
from netduet.wire.untrusted import escape

MIN_SENT_SHARE: Final = 0.25
"""Share of our own datagrams that must have left, or nothing is proven."""


def judge(place: Observations, options: CheckOptions) -> Judgement:
    """Judge one address: outages longer than ``max_outage`` are failures."""
    longest = options.max_outage
    told = correlate(place)
    findings = tuple(_findings(place, told, longest))
    return Judgement(
        summary(place, told),
        findings,
        tuple(notes(place, told, longest)),
        figures(place, told),
    )


def _findings(
    place: Observations, told: Correlation, longest: float
) -> Iterator[Finding]:
    yield from _unsent(place, longest)
    for incident in told.incidents:
        if incident.seconds > longest:
            yield _incident(place, incident)
    for restart in told.restarts:
        if is_new_process(restart) and restart.end - restart.start > longest:
            yield _restarted(place, restart)
    for closure in told.closures:
        if closure.last_start - closure.start > longest:
            yield _closed(place, closure)
    for pause in told.pauses:
        if pause.seconds - starved_seconds(place, pause) > longest or pause.broken:
            yield _paused(place, pause)


def _unsent(place: Observations, longest: float) -> Iterator[Finding]:
    """Say that too little was measured: no verdict about the network."""
    told = place.datagrams
    planned = told.up.sent + told.unsent
    if not told.passed:
        yield from _untried(place, longest)
        return
    if told.up.sent >= MIN_SENT_SHARE * planned:
        return
    why = f"({told.error})" if told.error else "because it did not run often enough"
    seen = (
        f"{place.address}: this end itself sent only {told.up.sent} of {planned} "
        f"datagrams, {why}"
    )
    said = f"did not run for {told.stalled:.1f} s of {place.seconds:.1f} s"
    evidence = ((Side.CLIENT, said),)
    yield Finding("stream.unsent", seen, evidence, outcome=Outcome.INCONCLUSIVE)


def _untried(place: Observations, longest: float) -> Iterator[Finding]:
    """Say so where connections alone could tell, and this end could make none for long."""
    fresh = place.new_connections
    tried = fresh.started + fresh.void
    enough = fresh.started >= max(1.0, MIN_SENT_SHARE * tried)
    if enough and fresh.longest_void <= longest:
        return
    seen = (
        f"{place.address}: datagrams do not pass, and {fresh.void} of {tried} new "
        "connections failed by this end itself"
    )
    said = "it did not run, or had no descriptor, port or memory for them"
    evidence = ((Side.CLIENT, said),)
    yield Finding("stream.unsent", seen, evidence, outcome=Outcome.INCONCLUSIVE)


def _incident(place: Observations, incident: Incident) -> Finding:
    if incident.restart is not None and is_new_process(incident.restart):
        return _restarted(place, incident.restart)
    evidence = describe.losses(place, incident)
    numbers: dict[str, int | float | str | bool | None] = {
        "begin": round(incident.start - place.start, 3),
        "seconds": round(incident.seconds, 3),
        "lost": sum(outage.lost for outage in incident.outages),
    }
    why = _excuse(incident)
    outcome = Outcome.INCONCLUSIVE if why else Outcome.FAIL
    # Where both streams show that their ends ran, no stall elsewhere excuses anything.
    shown = incident.outages and incident.ended
    missed = None if shown else Window(incident.start, incident.end)
    return Finding(
        "stream.outage",
        describe.incident(place, incident),
        (*evidence, *why),
        numbers,
        incident.where,
        missed,
        outcome,
    )


def _excuse(incident: Incident) -> Evidence:
    """Return why an outage proves nothing about the network; nothing if it does."""
    if incident.starved >= HALF * incident.seconds:
        said = (
            f"one of the ends itself did not run for {incident.starved:.1f} s of it: "
            "its own starvation may be all there is"
        )
        return ((Side.CLIENT, said),)
    return describe.overflows(incident)


def _restarted(place: Observations, restart: ServerRestart) -> Finding:
    seen = describe.restarted(place, restart)
    said = f"the server that answers now has the boot id {escape(restart.boot_ids[1])[:8]}…"
    was = f"the one before had {escape(restart.boot_ids[0])[:8]}…"
    if restart.end_reason:
        was += f", and took its leave: {restart.end_reason}"
    evidence = ((Side.SERVER, was), (Side.SERVER, said))
    length = {"seconds": round(restart.end - restart.start, 3)}
    return Finding("stream.restarted", seen, evidence, {**length})


def _closed(place: Observations, failure_run: ConnectFailureRun) -> Finding:
    seen = (
        f"{place.address}: {failure_run.failed} new connections in a row did not work, for "
        f"{describe.bounds(failure_run)}, {describe.at(place, failure_run.start)}, while what was there "
        "went on"
    )
    evidence = (
        (Side.CLIENT, f"of the last of them: {escape(failure_run.reason)}"),
        *describe.of_both_ends(place),
    )
    numbers: dict[str, int | float | str | bool | None] = {
        "failed": failure_run.failed,
        "seconds_at_least": round(failure_run.last_start - failure_run.start, 3),
        "seconds_at_most": round(failure_run.end - failure_run.previous_start, 3),
    }
    missed = _unproven(place, failure_run)
    return Finding(
        "stream.new_connections", seen, evidence, numbers, missed_deadline=missed
    )


def _paused(place: Observations, stall: ConnectionStall) -> Finding:
    when = describe.at(place, stall.start)
    if stall.broken:
        seen = (
            f"{place.address}: the old connection broke {when}: {escape(stall.broken)}"
        )
    else:
        seen = (
            f"{place.address}: the old connection stood still for "
            f"{describe.seconds(stall.seconds)}, {when}, while new ones worked"
        )
    numbers = {"seconds": round(stall.seconds, 3)}
    evidence = describe.of_both_ends(place)
    outcome = Outcome.FAIL
    starved = starved_seconds(place, stall)
    if starved >= HALF * stall.seconds > 0 and not stall.broken:
        outcome = Outcome.INCONCLUSIVE
        said = f"an end itself did not run for up to {starved:.1f} s of it"
        evidence = (*evidence, (Side.CLIENT, said))
    missed = None if stall.broken else _unproven(place, stall)
    return Finding(
        "stream.old_connections",
        seen,
        evidence,
        {**numbers},
        missed_deadline=missed,
        outcome=outcome,
    )


def _unproven(
    place: Observations, one: ConnectFailureRun | ConnectionStall
) -> Window | None:
    """Return its time, unless the server's own stream shows that it ran in it."""
    shown = place.datagrams.passed and starved_seconds(place, one) < HALF * one.seconds
    return None if shown else Window(one.start, one.end)
