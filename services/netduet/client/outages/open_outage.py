"""Ongoing outages as they are known so far, and outages that no event proves. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from netduet.client.outages import describe
from netduet.client.outages.classify import (
    STALL_STARVED_SHARE,
    STARVED_SHARE,
    location_by_error,
)
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
)
from netduet.client.outages.outage import (
    DATAGRAMS_ONLY,
    LEFT,
    NEVER_ANSWERED,
    NEW_CONNECTIONS,
    OLD_CONNECTIONS,
    OUTAGE,
    PAUSED,
    REFUSED,
    STUCK_FLOW,
    Outage,
)
from netduet.client.results.location import Location
from netduet.net.time_span import TimeSpan

MIN_PAUSE_SECONDS: Final = 0.2
"""Seconds for which a server must have sent nothing to be called paused."""

MIN_ANSWERED: Final = 2
"""New connections that work only if an outage is none: one may come after its end."""


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What is wrong now with the stream, new connections, and the long-lived connection.

    ``connect_error`` is why the latest new connection failed, "" if it worked;
    ``answered_before`` whether the peer has ever answered; ``connections_work`` whether
    a connection worked that was started after the datagrams stopped. ``unreachable``:
    no datagrams pass, and the long-lived connection broke and cannot be opened again.
    ``in_use``: the long-lived connection has requests that are answered.
    ``send_error`` is why our kernel sends nothing, "" if it does. ``partial_since`` is
    when new connections began to fail in part, None if they do not; ``suspected``: they
    may.
    """

    stream: LossRun | None = None
    failure_run: ConnectFailureRun | None = None
    stall: ConnectionStall | None = None
    connect_error: str = ""
    answered_before: bool = True
    unreachable: bool = False
    send_error: str = ""
    connections_work: bool = False
    in_use: bool = True
    partial_since: float | None = None
    suspected: bool = False

    @property
    def proven(self) -> bool:
        """Whether both ends were running, with room, for most of the loss run."""
        run = self.stream
        if run is None:
            return True
        stalled = run.sender_stalled + run.receiver_stalled
        return stalled < STARVED_SHARE * run.seconds and not run.overflowed

    @property
    def start(self) -> float | None:
        """The start of the first problem; None if there is none."""
        events = (self.stream, self.failure_run, self.stall)
        return min((event.start for event in events if event is not None), default=None)


def without_starvation(
    state: ProbeState, client_stalled: float, server_stalled: float, seconds: float
) -> ProbeState:
    """Return the state without what the starvation of an end explains.

    Of the ``seconds`` since the problem started, this client was not running for
    ``client_stalled``, and the server, as its stream shows, for ``server_stalled``.
    """
    if client_stalled >= STARVED_SHARE * seconds:
        return ProbeState()
    if client_stalled + server_stalled >= STALL_STARVED_SHARE * seconds:
        return replace(state, stall=None)
    return state


def classify_ongoing(
    state: ProbeState, now: float, *, disturbed: bool = False
) -> Outage:
    """Return the ongoing outage as it is known so far.

    ``disturbed``: the long-lived connection has stalled or broken recently.
    """
    failure, where, text = _classify(state, disturbed=disturbed)
    start = now if state.start is None else state.start
    # The stream's thread may have noticed it after the time of this poll.
    return Outage(failure, where, start, max(start, now), text, ended=False)


def _classify(state: ProbeState, *, disturbed: bool) -> tuple[str, Location, str]:
    """Return the class, the location and the description."""
    stream, run = state.stream, state.failure_run
    if stream is not None and not state.send_error:
        if state.connections_work:
            where = stream.where
            return DATAGRAMS_ONLY, where, describe.ongoing_datagrams_only(where)
        if stream.where == Location.TO_SERVER:
            return OUTAGE, Location.TO_SERVER, describe.ongoing_to_server()
    where = location_by_error(state.connect_error)
    if run is not None and not state.answered_before:
        return NEVER_ANSWERED, where, describe.never_answered(run.reason)
    if stream is not None:
        return _classify_silence(state)
    if run is not None and state.unreachable:
        failure = REFUSED if where == Location.SERVER else OUTAGE
        text = describe.connections_fail(run, "and the existing one broke")
        return failure, where, text
    if run is not None:
        keeps_working = state.in_use and not disturbed
        existing = "and the existing one keeps working" if keeps_working else ""
        if state.stall is not None:
            existing = "and the existing one is stalled"
        return NEW_CONNECTIONS, where, describe.connections_fail(run, existing)
    return OLD_CONNECTIONS, Location.INTERMEDIARY, describe.stalling()


def _classify_silence(state: ProbeState) -> tuple[str, Location, str]:
    if state.send_error:
        return OUTAGE, Location.CLIENT, describe.cannot_send(state.send_error)
    where = location_by_error(state.connect_error)
    if where is Location.SERVER:
        return REFUSED, where, describe.refused()
    return OUTAGE, where, describe.silent(state.connect_error)


# Closed outages


def close_without_loss(
    silence: TimeSpan, server_stalls: tuple[TimeSpan, ...], answered: int
) -> Outage:
    """Return an outage without datagrams after which none was missing.

    ``server_stalls`` are the times in which, as its stream shows, the server sent
    nothing; ``answered`` is how many new connections it answered meanwhile.
    """
    start, end = silence.start, silence.end
    spans = [span for span in server_stalls if span.is_near(silence)]
    paused = silence.covered_seconds(spans)
    if paused < max(MIN_PAUSE_SECONDS, STARVED_SHARE * silence.seconds):
        text = describe.held_up(silence.seconds)
        return Outage(PAUSED, Location.UNKNOWN, start, end, text, proven=False)
    # Both its start and its end were noticed late.
    start = max(start, min(span.start for span in spans))
    end = min(end, max(span.end for span in spans))
    if answered >= MIN_ANSWERED:
        text = describe.server_paused(paused, answered)
        return Outage(OUTAGE, Location.SERVER, start, end, text)
    return Outage(
        PAUSED, Location.SERVER, start, end, describe.server_paused(paused, 0)
    )


def close_by_chance(
    ongoing: Outage,
    end: float,
    loss_runs: tuple[LossRun, ...],
    failure_runs: tuple[ConnectFailureRun, ...],
    stalls: tuple[ConnectionStall, ...],
) -> Outage:
    """Return a reported outage that chance explains or that was too short."""
    events = [describe.lost_in_a_row(run) for run in loss_runs[:1]]
    events += [describe.failed_in_a_row(run) for run in failure_runs[:1]]
    if not events:
        longest = max(stalls, key=lambda stall: stall.seconds)
        events.append(describe.stalled_for(longest))
    text = describe.by_chance(events)
    return replace(ongoing, end=end, description=text, proven=False, ended=True)


def close_at_first_answer(
    ongoing: Outage, failure_runs: tuple[ConnectFailureRun, ...]
) -> Outage:
    """Return the outage of a peer that had not answered since the watch began.

    Connections determine it, because lost datagrams count only from the first answer
    on.
    """
    end = max((run.end for run in failure_runs), default=ongoing.end)
    text = describe.first_answer(sum(run.failed for run in failure_runs))
    where, start, proven = ongoing.where, ongoing.start, ongoing.proven
    return Outage(NEVER_ANSWERED, where, start, end, text, proven=proven)


def as_stuck_flow(outage: Outage) -> Outage:
    """Return an outage that ended when datagrams were sent from another port."""
    text = describe.stuck_flow(outage.seconds)
    return replace(
        outage, failure=STUCK_FLOW, where=Location.INTERMEDIARY, description=text
    )


def as_datagrams_only(outage: Outage) -> Outage:
    """Return an outage of the streams in which part of the new connections worked."""
    text = describe.datagrams_only_in_part(outage)
    return replace(outage, failure=DATAGRAMS_ONLY, description=text)


def as_left(ongoing: Outage, now: float) -> Outage:
    """Return the outage of a peer that stopped answering and left the DNS."""
    text = describe.left(now - ongoing.start, ongoing.description)
    return Outage(LEFT, Location.SERVER, ongoing.start, now, text)


def as_shut_down(ongoing: Outage, at: float) -> Outage:
    """Return the outage of a peer whose server then shut down, as it announced."""
    text = describe.then_shut_down(ongoing.description)
    end = max(ongoing.start, at)
    return replace(ongoing, end=end, description=text, ended=True)
