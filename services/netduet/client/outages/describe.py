"""Descriptions of outages, for the check ``stream`` and for ``watch``. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from netduet.client.net.dial import errno_text
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ServerRestart,
)
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import Outage
from netduet.client.results.location import Location
from netduet.wire.untrusted import escape

_ARRIVAL_PHRASES: Final = {
    Location.TO_SERVER: "reached the server",
    Location.FROM_SERVER: "arrived from the server",
    Location.INTERMEDIARY: "passed in either direction",
    Location.UNKNOWN: "came back",
}
"""What lost data did not do, by the location of the loss."""

_END_REASONS: Final = {
    "draining": "the old process announced it was draining",
    "lease": "the old process had ended the stream because it had received nothing for a long time",
}


# Times and amounts


def seconds(value: float) -> str:
    """Return a time in seconds."""
    return f"{value:.2f} s"


def at(observations: Observations, instant: float) -> str:
    """Return a time as seconds into the check and as time of day."""
    into_check = f"{max(0.0, instant - observations.start):.1f} s into the check"
    if observations.utc_offset is None:
        return into_check
    day = datetime.fromtimestamp(instant + observations.utc_offset, UTC)
    return f"{into_check} (at {day:%H:%M:%S} UTC)"


def bounds(run: ConnectFailureRun) -> str:
    """Return the lower and upper limit of how long new connections failed."""
    if not run.ended:
        return f"at least {seconds(run.min_seconds)}, until the check ended"
    return f"{seconds(run.min_seconds)} to {seconds(run.max_seconds)}"


# Closed outages


def loss(outage: Outage) -> str:
    """Describe an outage that loss runs show."""
    return f"nothing {_ARRIVAL_PHRASES[outage.where]} {_length(outage)}"


def datagrams_only(outage: Outage) -> str:
    """Describe an outage of UDP alone."""
    lost = f"no datagrams {_ARRIVAL_PHRASES[outage.where]} {_length(outage)}"
    return f"{lost}, while TCP connections kept working"


def datagrams_only_in_part(outage: Outage) -> str:
    """Describe an outage of UDP in which only some new connections failed."""
    lost = f"no datagrams {_ARRIVAL_PHRASES[outage.where]} {_length(outage)}"
    return f"{lost}, while part of the new TCP connections kept working"


def partly_failing(share: float, failed: int, attempts: int, reason: str) -> str:
    """Describe a partial failure; ``share`` is that of the failed connections."""
    return (
        f"{percent(share)} of new connections fail ({failed} of {attempts}: "
        f"{escape(reason)}), the others work"
    )


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.0f} %"


def send_blocked(outage: Outage, error: str) -> str:
    """Describe an outage in which this client's kernel sent nothing."""
    return f"this client could not send to it ({errno_text(error)}) {_length(outage)}"


def starved(outage: Outage) -> str:
    """Describe that an end was not running for most of an outage."""
    return f"for {seconds(outage.starved_seconds)} of that time {_starved_end(outage)} was suspended or starved of CPU, so this proves nothing about the network"


def overflowed() -> str:
    """Describe that an end had no room for what arrived."""
    return "a receive buffer was full at the time, so this proves nothing about the network"


def rejections(run: ConnectFailureRun) -> str:
    """Describe why new connections failed during the outage."""
    return f"new connections: {escape(run.reason)}"


def connections_lost(run: ConnectFailureRun) -> str:
    """Describe an outage that only connections show."""
    return (
        f"neither new connections nor the existing one worked for {bounds(run)} "
        f"({escape(run.reason)}); UDP does not get through, so the direction is unknown"
    )


def restarted(restart: ServerRestart) -> str:
    """Describe a restart of the server."""
    text = f"the server restarted: no response for {seconds(restart.seconds)}"
    if not restart.end_reason:
        return text
    reason = escape(restart.end_reason)
    return f"{text}; {_END_REASONS.get(reason, f'the old process ended the stream: {reason}')}"


def new_connections_failed(
    run: ConnectFailureRun, *, stalled: bool, in_use: bool
) -> str:
    """Describe new connections that failed while the datagrams passed.

    ``in_use``: the existing connection had requests that were answered.
    """
    text = f"{failed_in_a_row(run)}, over a period of {bounds(run)}"
    if stalled:
        return f"{text}; the existing connection stalled too"
    return f"{text}; the existing connection kept working" if in_use else text


def failed_in_a_row(run: ConnectFailureRun) -> str:
    """Describe how many new connections failed, and why."""
    return f"{count_failed(run.failed)} ({escape(run.reason)})"


def count_failed(failed: int) -> str:
    """Say that so many consecutive new connections failed."""
    if failed == 1:
        return "1 new connection failed"
    return f"{failed} new connections in a row failed"


def connection_stalled(stall: ConnectionStall, failed: int) -> str:
    """Describe a stall of the existing connection while ``failed`` new ones failed."""
    text = stalled_for(stall)
    if stall.broken:
        text = f"the existing connection broke ({escape(stall.broken)})"
    if failed:
        return f"{text}, and {count_failed(failed)}"
    return f"{text} while new connections worked"


def stalled_for(stall: ConnectionStall) -> str:
    """Describe how long the existing connection stalled."""
    return f"the existing connection stalled for {seconds(stall.seconds)}"


def lost_in_a_row(run: LossRun) -> str:
    """Describe how many consecutive datagrams were lost."""
    return f"{run.lost} datagrams in a row were lost"


def _length(outage: Outage) -> str:
    if not outage.ended:
        return f"for {seconds(outage.seconds)}, until the check ended"
    precision = max(run.precision for run in outage.loss_runs)
    return f"for {seconds(outage.seconds)} (±{seconds(precision)})"


def _starved_end(outage: Outage) -> str:
    """Return the end that was not running for longest."""
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
    return f"the expected server has not responded there yet: {escape(reason)}"


def cannot_send(error: str) -> str:
    """Describe that this client's kernel sends nothing there."""
    return f"this client cannot send to it ({errno_text(error)})"


def refused() -> str:
    """Describe a host that refuses connections."""
    return "nothing is listening there any more: its host refuses connections"


def silent(reason: str) -> str:
    """Describe silence; ``reason`` is why new connections fail, "" if they do not."""
    if reason:
        return f"nothing comes back; new connections: {escape(reason)}"
    return "nothing comes back over UDP; no new connection has failed so far"


def connections_fail(run: ConnectFailureRun, existing: str) -> str:
    """Describe failing new connections; ``existing`` is the existing one's state."""
    text = f"new connections fail ({escape(run.reason)})"
    return f"{text}, {existing}" if existing else text


def stalling() -> str:
    """Describe an existing connection that stalls."""
    return "the existing connection is stalled; new connections work"


# Outages that no event proves


def held_up(length: float) -> str:
    """Describe silence after which nothing was missing."""
    return f"nothing arrived for {seconds(length)}, but nothing was lost: packets were delayed, or this client was suspended or starved of CPU; this proves nothing about the network"


def server_paused(length: float, answered: int) -> str:
    """Describe that the server sent nothing, but answered so many new connections."""
    text = f"the server itself sent no datagrams for {seconds(length)}, as the timestamps in its UDP stream show"
    if answered:
        return f"{text}, but answered {answered} new connections in the meantime: something on its own host blocked outgoing datagrams"
    return f"{text}: it was paused, or its own host blocked outgoing packets"


def by_chance(events: list[str]) -> str:
    """Describe a reported outage that chance explains."""
    return f"{' and '.join(events)}: too few to rule out chance, so this proves nothing"


def first_answer(failed: int) -> str:
    """Describe a peer's first answer, after so many failed connections."""
    text = "first response since the watch began"
    return f"{text}; before that, {count_failed(failed)}" if failed else text


def stuck_flow(length: float) -> str:
    """Describe datagrams that passed once they were sent from another port."""
    return (
        f"for {seconds(length)} datagrams from one port did not get through, while new "
        "connections worked; datagrams from another port get through"
    )


def left(length: float, description: str) -> str:
    """Describe a peer that DNS dropped while it did not answer."""
    return (
        f"DNS dropped it only after {seconds(length)} without a response "
        f"({description})"
    )


def then_shut_down(description: str) -> str:
    """Describe an outage during which the server announced its shutdown."""
    return f"{description}; then the server shut down, as it announced"
