"""The only sentences about outages, for the check ``stream`` and for ``watch``. Pure."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import Final

from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
)
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import Outage
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Evidence
from netduet.wire.messages import ServerReport
from netduet.wire.untrusted import escape

_DID_NOT_HAPPEN: Final = {
    Location.TO_SERVER: "reached the server",
    Location.FROM_SERVER: "arrived from the server",
    Location.INTERMEDIARY: "passed in either direction",
    Location.UNKNOWN: "came back",
}
"""What nothing did, or no datagrams, by the location of their loss."""

_END_REASONS: Final = {
    "draining": "the old process announced it was draining",
    "lease": "the old process had ended the stream: it received nothing for long",
}

_LATER_SECONDS: Final = 0.1
"""Seconds by which a recovery must be later than another to be called later."""


# Times and amounts


def seconds(value: float) -> str:
    """Return a time in seconds."""
    return f"{value:.2f} s"


def at(observations: Observations, instant: float) -> str:
    """Return when something happened: the time into the check, and the time of day."""
    into_check = f"{max(0.0, instant - observations.start):.1f} s into the check"
    if observations.utc_offset is None:
        return into_check
    day = datetime.fromtimestamp(instant + observations.utc_offset, UTC)
    return f"{into_check} (at {day:%H:%M:%S} UTC)"


def bounds(run: ConnectFailureRun) -> str:
    """Return for how long new connections failed: at least, and at most."""
    if not run.ended:
        return f"at least {seconds(run.min_seconds)}, until the check ended"
    return f"{seconds(run.min_seconds)} to {seconds(run.max_seconds)}"


def error_text(code: str) -> str:
    """Return an error's name with the kernel's text for it."""
    number = getattr(errno, code, None)
    return code if number is None else f"{code}: {os.strerror(number)}"


# Closed outages


def loss(outage: Outage) -> str:
    """Describe an outage that loss runs show."""
    return f"nothing {_DID_NOT_HAPPEN[outage.where]} {_length(outage)}"


def datagrams_only(outage: Outage) -> str:
    """Describe an outage of UDP alone."""
    lost = f"no datagrams {_DID_NOT_HAPPEN[outage.where]} {_length(outage)}"
    return f"{lost}, while TCP connections kept working"


def send_blocked(outage: Outage, error: str) -> str:
    """Describe an outage in which this client's own kernel sent nothing."""
    return f"this client could not send to it ({error_text(error)}) {_length(outage)}"


def starved(outage: Outage) -> str:
    """Say that an end was not running for most of an outage."""
    return (
        f"for {seconds(outage.starved_seconds)} of it {_starved_end(outage)} itself was "
        "not running, so nothing is proven"
    )


def overflowed() -> str:
    """Say that an end had no room for what arrived."""
    return "a receive buffer was full meanwhile, so nothing is proven"


def rejections(run: ConnectFailureRun) -> str:
    """Say why new connections failed meanwhile."""
    return f"new connections: {escape(run.reason)}"


def connections_lost(run: ConnectFailureRun) -> str:
    """Describe an outage that only connections show."""
    return (
        f"neither new connections nor the existing one worked for {bounds(run)} "
        f"({escape(run.reason)}); UDP does not pass, so the direction is unknown"
    )


def restarted(restart: ServerRestart) -> str:
    """Describe a restart of the server."""
    text = f"the server restarted: no answer for {seconds(restart.seconds)}"
    if not restart.end_reason:
        return text
    reason = escape(restart.end_reason)
    return f"{text}; {_END_REASONS.get(reason, f'the old process ended the stream: {reason}')}"


def new_connections_failed(run: ConnectFailureRun, *, stalled: bool) -> str:
    """Describe new connections that failed while the datagrams passed."""
    existing = "the existing connection kept working"
    if stalled:
        existing = "the existing connection stalled too"
    return f"{failed_in_a_row(run)}, for {bounds(run)}; {existing}"


def failed_in_a_row(run: ConnectFailureRun) -> str:
    """Say how many new connections failed, and why."""
    return f"{run.failed} new connections in a row failed ({escape(run.reason)})"


def connection_stalled(stall: ConnectionStall, failed: int) -> str:
    """Describe a stall of the existing connection; ``failed`` new ones failed meanwhile."""
    text = stalled_for(stall)
    if stall.broken:
        text = f"the existing connection broke ({escape(stall.broken)})"
    if failed:
        return f"{text}, and {failed} new connections in a row failed"
    return f"{text} while new connections worked"


def stalled_for(stall: ConnectionStall) -> str:
    """Say for how long the existing connection stalled."""
    return f"the existing connection stalled for {seconds(stall.seconds)}"


def lost_in_a_row(run: LossRun) -> str:
    """Say how many datagrams were lost in a row."""
    return f"{run.lost} datagrams in a row were lost"


def _length(outage: Outage) -> str:
    if not outage.ended:
        return f"for {seconds(outage.seconds)}, until the check ended"
    precision = max(run.precision for run in outage.loss_runs)
    return f"for {seconds(outage.seconds)} (±{seconds(precision)})"


def _starved_end(outage: Outage) -> str:
    """Return which end was not running for longest."""
    client = max(
        run.receiver_stalled
        if run.where == Location.FROM_SERVER
        else run.sender_stalled
        for run in outage.loss_runs
    )
    server = max(
        run.sender_stalled
        if run.where == Location.FROM_SERVER
        else run.receiver_stalled
        for run in outage.loss_runs
    )
    return "the server" if server > client else "this client"


# Ongoing outages


def ongoing_datagrams_only(where: Location) -> str:
    """Describe an ongoing outage of UDP alone."""
    lost = "reach the server" if where == Location.TO_SERVER else "come back"
    return f"no datagrams {lost}; TCP connections work"


def ongoing_to_server() -> str:
    """Describe an ongoing outage on the path to the server."""
    return "nothing reaches the server; its own datagrams still arrive"


def never_answered(reason: str) -> str:
    """Describe an address at which no netduet has answered since the watch began."""
    return f"no netduet has answered there yet: {escape(reason)}"


def cannot_send(error: str) -> str:
    """Describe that this client's own kernel sends nothing there."""
    return f"this client cannot send to it ({error_text(error)})"


def refused() -> str:
    """Describe a host that refuses connections."""
    return "nothing listens there any more: its host refuses connections"


def silent(reason: str) -> str:
    """Describe silence; ``reason`` is how new connections fail, "" where they do not."""
    if reason:
        return f"nothing comes back; new connections: {escape(reason)}"
    return "nothing comes back over UDP; new connections have not failed so far"


def connections_fail(run: ConnectFailureRun, existing: str) -> str:
    """Describe new connections that fail; ``existing`` is how the existing one fares."""
    text = f"new connections fail ({escape(run.reason)})"
    return f"{text}, {existing}" if existing else text


def stalling() -> str:
    """Describe an existing connection that stalls."""
    return "the existing connection is stalled; new connections work"


# Outages that no event proves


def held_up(length: float) -> str:
    """Describe silence after which nothing was missing."""
    return (
        f"nothing came for {seconds(length)}, and nothing was lost: it was delayed, or "
        "this client was not running; nothing is proven"
    )


def server_paused(length: float, answered: int) -> str:
    """Describe that the server sent nothing; it answered so many new connections."""
    text = f"the server itself sent no datagrams for {seconds(length)}, as its stream shows"
    if answered:
        return (
            f"{text}, but answered {answered} new connections meanwhile: something on its "
            "own host blocked outgoing datagrams"
        )
    return f"{text}: it was paused, or its own host blocked outgoing packets"


def by_chance(events: list[str]) -> str:
    """Describe an outage that was reported, and that chance explains."""
    return f"{' and '.join(events)}: too few to rule out chance, so nothing is proven"


def first_answer(failed: int) -> str:
    """Describe a peer that answers for the first time; so many connections failed before."""
    text = "first answer since the watch began"
    return (
        f"{text}; {failed} new connections in a row failed before" if failed else text
    )


def stuck_flow(length: float) -> str:
    """Describe datagrams that passed as soon as they left from another port."""
    return (
        f"for {seconds(length)} datagrams from one port did not pass, while new "
        "connections worked; datagrams from another port pass"
    )


def left(length: float, description: str) -> str:
    """Describe a peer that its name dropped while it did not answer."""
    return (
        f"DNS dropped it only after {seconds(length)} without an answer ({description})"
    )


# Evidence


def loss_evidence(observations: Observations, outage: Outage) -> Evidence:
    """Return what both ends report of an outage."""
    period = observations.datagrams.period * 1000
    evidence: list[tuple[Side, str]] = []
    for run in outage.loss_runs:
        sent = f"sent {run.lost} datagrams meanwhile, one every {period:.0f} ms"
        if run.where == Location.TO_SERVER:
            evidence += [
                (Side.CLIENT, sent),
                (
                    Side.SERVER,
                    f"reports {run.lost} missing in a row, and those before and after received",
                ),
            ]
        elif run.where == Location.FROM_SERVER:
            evidence += [
                (
                    Side.SERVER,
                    f"{sent}, as the numbers and times in those before and after show",
                ),
                (Side.CLIENT, f"did not receive these {run.lost}, in a row"),
            ]
        else:
            evidence.append(
                (Side.CLIENT, "no more datagrams arrived; the direction is unknown")
            )
    if not outage.loss_runs:
        evidence += connection_evidence(observations)
    return (*evidence, *effects(outage))


def blocked_evidence(outage: Outage) -> Evidence:
    """Return the evidence of an outage in which this client's own kernel sent nothing."""
    return ((Side.CLIENT, "its own kernel sent none of them"), *effects(outage))


def doubt_evidence(outage: Outage, *, starved: bool) -> Evidence:
    """Return why an outage proves nothing about the network; nothing if it does."""
    if starved:
        text = (
            f"one of the ends itself was not running for {outage.starved_seconds:.1f} s of "
            "it: its own starvation may be the only cause"
        )
        return ((Side.CLIENT, text),)
    return tuple(
        (
            Side.SERVER if run.where == Location.TO_SERVER else Side.CLIENT,
            (
                f"{run.dropped} datagrams, from any sender, arrived meanwhile and were "
                "dropped: the receive buffer of its own socket was full"
            ),
        )
        for run in outage.overflows
    )


def restart_evidence(restart: ServerRestart) -> Evidence:
    """Return how both processes of the server identified themselves."""
    old, new = (escape(boot_id)[:8] for boot_id in restart.boot_ids)
    before = f"the process before had the boot ID {old}…"
    if restart.end_reason:
        before += f", and ended its stream: {escape(restart.end_reason)}"
    return (
        (Side.SERVER, before),
        (Side.SERVER, f"the process that answers now has the boot ID {new}…"),
    )


def failure_evidence(observations: Observations, run: ConnectFailureRun) -> Evidence:
    """Return the evidence of new connections that failed."""
    first = (Side.CLIENT, f"the first of them failed with: {escape(run.reason)}")
    return (first, *connection_evidence(observations))


def stall_evidence(
    observations: Observations, *, starved: float | None = None
) -> Evidence:
    """Return the evidence of a stall; ``starved`` are the seconds that make it doubtful."""
    evidence = connection_evidence(observations)
    if starved is None:
        return evidence
    text = f"an end itself was not running for up to {starved:.1f} s of it"
    return (*evidence, (Side.CLIENT, text))


def effects(outage: Outage) -> Evidence:
    """Return what an outage did to connections."""
    run, stall = outage.failure_run, outage.stall
    texts = []
    if run is not None:
        texts.append(
            f"{run.failed} new connections in a row failed: for {bounds(run)} no new work "
            f"was possible ({escape(run.reason)})"
        )
    elif outage.loss_runs:
        texts.append("new connections kept working, or nearly all did")
    if stall is None:
        if outage.loss_runs:
            texts.append("the existing connection did not stall for long")
    elif stall.broken:
        texts.append(f"the existing connection broke: {escape(stall.broken)}")
    elif not stall.ended:
        texts.append("the existing connection has not recovered yet")
    else:
        texts.append(_recovery(outage, stall))
    return tuple((Side.CLIENT, text) for text in texts)


def _recovery(outage: Outage, stall: ConnectionStall) -> str:
    text = stalled_for(stall)
    later = stall.end - outage.end
    if outage.loss_runs and later > _LATER_SECONDS:
        text += f": TCP took {later:.1f} s longer to recover"
    run = outage.failure_run
    if run is not None and run.ended and stall.end - run.end > _LATER_SECONDS:
        earlier = stall.end - run.end
        text += f"; new connections worked {earlier:.1f} s before it recovered"
    return text


def connection_evidence(observations: Observations) -> Evidence:
    """Return what both ends report of a time in which only TCP had trouble."""
    connection, datagrams = observations.long_lived, observations.datagrams
    text = (
        f"{connection.answered} of {connection.asked} requests on the existing connection "
        "were answered"
    )
    if connection.retransmits is not None:
        text += f"; this kernel retransmitted {connection.retransmits} of its segments"
    evidence = [(Side.CLIENT, text)]
    if connection.server_report is not None:
        evidence.append((Side.SERVER, _server_report(connection.server_report)))
    if datagrams.passed:
        lost = datagrams.up.lost + datagrams.down.lost
        sent = datagrams.up.sent + datagrams.down.sent
        evidence.append(
            (
                Side.SERVER,
                (
                    "its UDP stream went on all the time: "
                    f"{lost} of {sent} datagrams were lost, both directions together"
                ),
            )
        )
    if len(evidence) == 1:
        evidence.append((Side.SERVER, "no evidence is available from the server"))
    return tuple(evidence)


def _server_report(report: ServerReport) -> str:
    retransmits = "an unknown number of"
    if report.connection is not None:
        retransmits = str(report.connection.total_retrans)
    return (
        f"its kernel retransmitted {retransmits} segments of the existing connection; the "
        f"server process was stalled for {report.host.stalled:.1f} s since it started"
    )
