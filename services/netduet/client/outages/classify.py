"""The classes and locations of closed outages, and what they prove. Pure.

The check ``stream`` and ``watch`` share this code; ``Rules`` are their differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.net.dial import UNROUTED, Cause, errno_meaning
from netduet.client.outages import describe
from netduet.client.outages.correlate import NEAR_SECONDS, Correlation
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    ServerRestart,
)
from netduet.client.outages.evidence import (
    blocked_evidence,
    doubt_evidence,
    effects,
    failure_evidence,
    loss_evidence,
    restart_evidence,
    stall_evidence,
)
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import (
    DATAGRAMS_ONLY,
    NEW_CONNECTIONS,
    OLD_CONNECTIONS,
    OUTAGE,
    RESTARTED,
    Outage,
)
from netduet.client.results.location import Location

STARVED_SHARE: Final = 0.5
"""Share of an outage in which an end was not running that excuses the network."""

STALL_STARVED_SHARE: Final = 0.25
"""The same for a stall in ``watch``: what waited for a starved end arrives late."""

STOPPED_TOGETHER_SECONDS: Final = 1.0
"""Seconds within which both streams must stop for both directions to be out."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the check ``stream`` and ``watch`` judge differently; by default the check."""

    max_outage: float
    """Seconds for which connections, and in the check everything, may be out."""
    tolerates_short: bool = True
    """An outage or restart no longer than ``max_outage`` passes."""
    locates_by_errors: bool = False
    """Errors of connections, and whether this client could send, show the location."""
    separates_datagrams: bool = False
    """An outage of UDP alone has a class of its own."""
    merges_stalls: bool = False
    """A stall while new connections fail is part of that outage."""
    stall_starved_share: float = STARVED_SHARE
    """Share of a stall in which an end was not running that explains the stall."""


def watch_rules(max_outage: float) -> Rules:
    """Return the rules of ``watch``."""
    return Rules(
        max_outage,
        tolerates_short=False,
        locates_by_errors=True,
        separates_datagrams=True,
        merges_stalls=True,
        stall_starved_share=STALL_STARVED_SHARE,
    )


def classify(
    observations: Observations, correlation: Correlation, rules: Rules
) -> list[Outage]:
    """Return all outages, with class and description; tolerated ones are marked."""
    outages = [
        _classify_outage(observations, outage, rules) for outage in correlation.outages
    ]
    outages += [
        replace(
            _restarted(restart),
            tolerated=rules.tolerates_short and restart.seconds <= rules.max_outage,
        )
        for restart in correlation.restarts
        if restart.is_new_process
    ]
    outages += _classify_connections(observations, correlation, rules)
    return outages


def location_by_error(error: str) -> Location:
    """Return the end at which a connection failed so; unknown for silence."""
    if errno_meaning(error).cause is Cause.REFUSED:
        return Location.SERVER
    return Location.CLIENT if error == UNROUTED else Location.UNKNOWN


def _classify_outage(
    observations: Observations, outage: Outage, rules: Rules
) -> Outage:
    restart = outage.restart
    tolerated = rules.tolerates_short and outage.seconds <= rules.max_outage
    if restart is not None and restart.is_new_process:
        classified = _restarted(restart, outage)
    elif not outage.loss_runs:
        classified = _connections_lost(observations, outage, rules)
    elif rules.locates_by_errors and _is_send_blocked(observations, outage):
        error = observations.datagrams.error
        classified = replace(
            outage,
            where=Location.CLIENT,
            description=describe.send_blocked(outage, error),
            evidence=blocked_evidence(outage),
        )
    else:
        classified = _losses(observations, outage, rules)
    return replace(classified, tolerated=tolerated)


def _losses(observations: Observations, outage: Outage, rules: Rules) -> Outage:
    """Classify an outage that loss runs show."""
    restart = outage.restart
    if (
        rules.locates_by_errors
        and outage.where == Location.TO_SERVER
        and restart is not None
        and _is_both_ways(outage, restart)
    ):
        outage = replace(outage, where=Location.INTERMEDIARY)
    starved = outage.starved_seconds >= STARVED_SHARE * outage.seconds
    doubtful = starved or bool(outage.overflows)
    evidence = (
        *loss_evidence(observations, outage),
        *doubt_evidence(outage, starved=starved),
    )
    outage = replace(outage, evidence=evidence, proven=not doubtful)
    text = describe.loss(outage)
    if starved:
        text += f"; {describe.starved(outage)}"
    elif doubtful:
        text += f"; {describe.overflowed()}"
    elif outage.failure_run is not None and outage.failure_run.rejected:
        text += f"; {describe.rejections(outage.failure_run)}"
    elif rules.separates_datagrams and _connections_kept_working(observations, outage):
        text = describe.datagrams_only(outage)
        return replace(outage, failure=DATAGRAMS_ONLY, description=text)
    return replace(outage, description=text)


def _is_send_blocked(observations: Observations, outage: Outage) -> bool:
    """Whether this client's kernel sent nothing for most of the outage."""
    blocked = observations.datagrams.send_blocked
    return outage.covered_seconds(blocked) >= STARVED_SHARE * outage.seconds


def _is_both_ways(outage: Outage, restart: ServerRestart) -> bool:
    """Whether both directions were out, although the old stream cannot show it.

    A server ends a stream when it receives nothing for long. If its direction had
    worked, its datagrams would have arrived until then.
    """
    return restart.start - outage.start < STOPPED_TOGETHER_SECONDS


def _connections_kept_working(observations: Observations, outage: Outage) -> bool:
    """Whether the outage was long enough for connections to show it, but none did.

    The existing connection has two requests per new connection.
    """
    affected = outage.failure_run is not None or outage.stall is not None
    connections = observations.new_connections
    long_enough = outage.seconds >= 2 * connections.period
    connections_worked = (
        observations.long_lived.answered > 0
        and connections.started > connections.failed
    )
    return long_enough and connections_worked and not affected


def _connections_lost(
    observations: Observations, outage: Outage, rules: Rules
) -> Outage:
    """Classify an outage that only connections show."""
    run = outage.failure_run
    if run is None:
        return outage  # never: such an outage consists of one
    where = location_by_error(run.reason) if rules.locates_by_errors else outage.where
    return replace(
        outage,
        where=where,
        description=describe.connections_lost(run),
        evidence=loss_evidence(observations, outage),
    )


def _restarted(restart: ServerRestart, outage: Outage | None = None) -> Outage:
    """Classify a restart, and the outage around it, if any."""
    text, evidence = describe.restarted(restart), restart_evidence(restart)
    restarted = Outage(
        RESTARTED,
        Location.SERVER,
        restart.start,
        restart.end,
        text,
        evidence,
        restart=restart,
    )
    if outage is None:
        return restarted
    if outage.failure_run is not None:
        text += f"; {describe.rejections(outage.failure_run)}"
    return replace(
        restarted,
        description=text,
        evidence=(*evidence, *effects(outage)),
        loss_runs=outage.loss_runs,
        failure_run=outage.failure_run,
        stall=outage.stall,
    )


def _classify_connections(
    observations: Observations, correlation: Correlation, rules: Rules
) -> Iterator[Outage]:
    """Classify the events of connections outside of outages."""
    for run in correlation.failure_runs:
        stall = next(
            (stall for stall in correlation.stalls if _overlaps(stall, run)), None
        )
        failure, where = NEW_CONNECTIONS, Location.UNKNOWN
        if rules.locates_by_errors:
            where = location_by_error(run.reason)
        if rules.merges_stalls and stall and not observations.datagrams.passed:
            failure = OUTAGE  # and nothing shows the direction
        yield Outage(
            failure,
            where,
            run.start,
            run.end,
            describe.new_connections_failed(
                run,
                stalled=stall is not None,
                in_use=observations.long_lived.answered > 0,
            ),
            failure_evidence(observations, run),
            tolerated=run.min_seconds <= rules.max_outage,
            failure_run=run,
        )
    for stall in correlation.stalls:
        if rules.merges_stalls and any(
            _overlaps(stall, run) for run in correlation.failure_runs
        ):
            continue
        starved = observations.starved_seconds(stall)
        proven = (
            bool(stall.broken) or starved < rules.stall_starved_share * stall.seconds
        )
        failed = sum(
            run.failed for run in observations.failure_runs if _overlaps(stall, run)
        )
        too_short = stall.seconds - starved <= rules.max_outage and not stall.broken
        yield Outage(
            OLD_CONNECTIONS,
            Location.INTERMEDIARY,
            stall.start,
            stall.end,
            describe.connection_stalled(stall, failed),
            stall_evidence(observations, starved=None if proven else starved),
            proven=proven,
            tolerated=too_short,
            stall=stall,
        )


def _overlaps(stall: ConnectionStall, run: ConnectFailureRun) -> bool:
    if stall.broken and run.previous_start <= stall.end <= run.end:
        return True
    return stall.is_near(run, NEAR_SECONDS)
