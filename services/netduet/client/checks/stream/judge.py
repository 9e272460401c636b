"""Which outages are too long, and which prove nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.stream.notes import notes
from netduet.client.checks.stream.recurrence import flapping_finding, recurring
from netduet.client.checks.stream.summary import figures, summary
from netduet.client.outages import describe
from netduet.client.outages.classify import STARVED_SHARE, Rules, classify
from netduet.client.outages.correlate import correlate
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import OUTAGE, RESTARTED, Outage
from netduet.client.results.location import Side
from netduet.client.results.verdict import (
    Figures,
    Finding,
    Judgement,
    Outcome,
)
from netduet.client.stats.instances import name_instance
from netduet.net.time_span import TimeSpan

MIN_SENT_SHARE: Final = 0.25
"""Share of our datagrams that must have been sent to prove anything."""


def judge(observations: Observations, options: CheckOptions) -> Judgement:
    """Judge one address: outages longer than ``max_outage`` are failures."""
    max_outage = options.max_outage
    correlation = correlate(observations)
    outages = classify(observations, correlation, Rules(max_outage))
    findings = [*_unsent(observations, max_outage)]
    flapping = recurring(outages)
    if flapping is not None:
        findings.append(flapping_finding(observations, flapping))
    findings += [
        _finding(observations, outage) for outage in outages if not outage.tolerated
    ]
    noted = [
        outage
        for outage in outages
        if flapping is None or outage not in flapping.outages
    ]
    return Judgement(
        summary(observations, correlation.outages),
        tuple(findings),
        tuple(notes(observations, correlation, noted)),
        figures(observations, correlation.outages),
    )


def _unsent(observations: Observations, max_outage: float) -> Iterator[Finding]:
    """Report that too little was sent for a verdict about the network."""
    datagrams = observations.datagrams
    planned = datagrams.up.sent + datagrams.unsent
    if not datagrams.passed:
        yield from _unconnected(observations, max_outage)
        return
    if datagrams.up.sent >= MIN_SENT_SHARE * planned:
        return
    reason = "because it was suspended or starved of CPU"
    if datagrams.error:
        reason = f"({datagrams.error})"
    text = (
        f"{observations.address}: this client itself sent only {datagrams.up.sent} of "
        f"{planned} datagrams, {reason}"
    )
    stalled = f"was suspended or starved of CPU for {datagrams.stalled:.1f} s of {observations.seconds:.1f} s"
    evidence = ((Side.CLIENT, stalled),)
    yield Finding("stream.unsent", text, evidence, outcome=Outcome.INCONCLUSIVE)


def _unconnected(observations: Observations, max_outage: float) -> Iterator[Finding]:
    """Report that only connections could show outages, and too few were made."""
    connections = observations.new_connections
    attempted = connections.started + connections.void
    enough = connections.started >= max(1.0, MIN_SENT_SHARE * attempted)
    if enough and connections.longest_void <= max_outage:
        return
    prefix = (
        "" if observations.datagrams.of_service else "UDP does not get through, and "
    )
    text = (
        f"{observations.address}: {prefix}{connections.void} of {attempted} new "
        "connections failed because of this client itself"
    )
    reason = "it was suspended or starved of CPU, or had no file descriptor, port or memory for them"
    evidence = ((Side.CLIENT, reason),)
    yield Finding("stream.unsent", text, evidence, outcome=Outcome.INCONCLUSIVE)


def _finding(observations: Observations, outage: Outage) -> Finding:
    when = describe.at(observations, outage.start)
    finding = Finding(
        outage.failure,
        f"{observations.address}: {when}, {outage.description}",
        outage.evidence,
        _figures(observations, outage),
        outage.where,
        _missed_deadline(observations, outage),
        Outcome.FAIL if outage.proven else Outcome.INCONCLUSIVE,
    )
    if outage.failure_run is None:
        return finding  # it is about flows that each met a single instance
    return name_instance(finding, observations.new_connections.trials)


def _figures(observations: Observations, outage: Outage) -> Figures:
    seconds = round(outage.seconds, 3)
    if outage.failure == OUTAGE:
        return {
            "begin": round(outage.start - observations.start, 3),
            "seconds": seconds,
            "lost": sum(run.lost for run in outage.loss_runs),
        }
    run = outage.failure_run
    if run is None or outage.failure == RESTARTED:
        return {"seconds": seconds}
    return {
        "failed": run.failed,
        "seconds_at_least": round(run.min_seconds, 3),
        "seconds_at_most": round(run.max_seconds, 3),
    }


def _missed_deadline(observations: Observations, outage: Outage) -> TimeSpan | None:
    """Return the outage's time if an end's stall would look the same, else None."""
    if outage.failure == RESTARTED:
        return None
    if outage.failure == OUTAGE:
        # If both streams show that their ends were running, no stall excuses the
        # outage.
        shown = bool(outage.loss_runs) and outage.ended
    elif outage.stall is not None and outage.stall.broken:
        shown = True
    else:
        event = outage.failure_run or outage.stall
        starved = 0.0 if event is None else observations.starved_seconds(event)
        running = starved < STARVED_SHARE * outage.seconds
        # A server that runs now and then answers some datagrams, and connections late.
        late = outage.failure_run is not None and outage.failure_run.late
        shown = observations.datagrams.passed and running and not late
    return None if shown else outage.span
