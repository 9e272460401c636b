"""When trouble of a peer begins and is over: signs and events in, what to tell out. Pure.

Signs say what goes on now, and events what has been, once it is certain. All that
happens with no more than a little quiet in between is one episode, and is judged as
the check ``stream`` judges, when it is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from netduet.client.net.dial import Address
from netduet.client.outages import classify, conclusions
from netduet.client.outages.classify import ProbeState
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ProbeEvent,
    ServerRestart,
)
from netduet.client.outages.loss_tracker import LossCounts
from netduet.client.outages.observations import (
    DatagramObservations,
    LongLivedConnection,
    NewConnections,
    Observations,
)
from netduet.client.outages.outage import (
    Outage,
    OutageEnded,
    OutageNotice,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.results.location import Location

QUIET_SECONDS: Final = 1.8
"""Seconds of quiet after which an episode is over: by then what was lost is certain."""

UPDATE_SECONDS: Final = (5.0, 30.0)
"""Seconds of trouble after which is told what has been learnt of it since, if it differs."""

SPLIT_SECONDS: Final = 1.25
"""Seconds between an end and a begin that make two episodes: who comes and goes every few
seconds is never quiet for long, and what was lost is certain by then, too.
"""

MAX_EVENTS: Final = 200
"""Events of an episode; with more it is told in parts."""

WINDOW_SECONDS: Final = 300.0
"""Seconds, once or twice that, whose losses say what chance may bring."""

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class ProbeTotals:
    """What a peer's streams and connections have counted since the watch began."""

    up: LossCounts
    down: LossCounts
    connections_started: int = 0
    connections_failed: int = 0
    questions_asked: int = 0
    questions_answered: int = 0
    server_stalls: tuple[tuple[float, float], ...] = ()
    send_blocked: tuple[tuple[float, float], ...] = ()
    send_error: str = ""

    @property
    def connections_worked(self) -> int:
        """How many fresh connections worked."""
        return self.connections_started - self.connections_failed


class OutageTracker:
    """Follows one peer."""

    def __init__(
        self,
        address: Address,
        period: float,
        connect_period: float,
        tolerance: float,
        numbers: Iterator[int],
    ) -> None:
        """Say whom, at which paces, what connections may bear, and who numbers."""
        self.ongoing: Outage | None = None
        """What goes on, as it was told."""
        self._address = address
        self._period = period
        self._connect_period = connect_period
        self._tolerance = tolerance
        self._numbers = numbers
        self._number = 0
        self._announced: list[str] = []
        """What was told of the trouble that goes on: when it began, and later."""
        self._events: list[ProbeEvent] = []
        self._last_activity = 0.0
        self._was_well = True
        """Nothing went on at the last look."""
        self._recent_outages: deque[Outage] = deque(maxlen=8)
        self._rotated = float("-inf")
        self._latest_totals = self._base_totals = ProbeTotals(
            LossCounts(), LossCounts()
        )
        self._new_port_at = float("-inf")
        self._never_answered = False
        """The peer had never answered when what goes on began."""
        self._worked_before_silence: int | None = None
        """How many new connections had worked when the streams fell silent."""
        self._was_silent = False
        """The streams have been silent in this episode."""
        self._worked_in_silence = 0
        """How many worked in the latest silence."""
        self._late_stall: ConnectionStall | None = None
        """What the old connection still suffers from an outage that is over."""
        self._recent_runs: deque[tuple[float, LossRun | ConnectFailureRun]] = deque(
            maxlen=MAX_EVENTS
        )

    def update(
        self,
        now: float,
        state: ProbeState,
        events: Iterable[ProbeEvent],
        totals: ProbeTotals,
    ) -> list[OutageNotice]:
        """Take what is new; return what is to be told."""
        self._rotate(now, totals)
        for event in events:
            self._events.append(event)
            self._last_activity = now
            if isinstance(event, LossRun | ConnectFailureRun):
                self._recent_runs.append((now, event))
        state = self._without_late_stall(state)
        notices: list[OutageNotice] = []
        start = state.start
        if start is not None and self._was_well:
            notices += self._split(start - SPLIT_SECONDS, now, totals)
        self._was_well = start is None
        self._was_silent = self._was_silent or state.stream is not None
        if state.stream is None:
            self._worked_before_silence = None
        elif self._worked_before_silence is None:
            self._worked_before_silence, self._worked_in_silence = (
                totals.connections_worked,
                0,
            )
        else:
            self._worked_in_silence = (
                totals.connections_worked - self._worked_before_silence
            )
        if state.start is not None:
            self._last_activity = now
            notices += self._announce(state, now)
        elif state.unreachable and self._events:
            self._last_activity = now  # whether new ones can be made is yet to be seen
        quiet = now - self._last_activity >= QUIET_SECONDS
        if (self._events or self.ongoing is not None) and (
            quiet or len(self._events) >= MAX_EVENTS
        ):
            notices += self._close(now, totals)
        return notices

    def _split(self, at: float, now: float, totals: ProbeTotals) -> list[OutageNotice]:
        """End the episode that was over by then, if one was, as another has begun."""
        earlier = [event for event in self._events if event.end <= at]
        later = [event for event in self._events if event.end > at]
        if not earlier or any(event.start <= at for event in later):
            return []
        self._events = earlier
        notices = self._close(now, totals)
        self._events = later
        return notices

    def note_new_port(self, now: float) -> None:
        """Note that the stream goes on from another port, for that one is answered."""
        self._new_port_at = now

    def finish(
        self, now: float, *, left: bool, stalled: float = 0.0
    ) -> list[OutageNotice]:
        """Return what is to be told when nobody watches any more.

        ``left``: the name has dropped the peer. ``away`` is for how many seconds of
        what goes on this end did not run.
        """
        ongoing, self.ongoing = self.ongoing, None
        if ongoing is None:
            return []
        outage = replace(ongoing, end=now)
        if left:
            outage = conclusions.left(ongoing.start, now, ongoing)
        if stalled >= classify.QUARTER * outage.seconds:
            outage = replace(outage, proven=False)
        return [OutageEnded(self._number, outage)]

    def _announce(self, state: ProbeState, now: float) -> list[OutageNotice]:
        shaken = any(isinstance(event, ConnectionStall) for event in self._events)
        trouble = classify.classify_ongoing(state, now, shaken=shaken)
        ongoing = self.ongoing
        if ongoing is None:
            self._never_answered = not state.answered_before
            self._number = next(self._numbers)
            self.ongoing = trouble
            self._announced = [trouble.description]
            return [OutageStarted(self._number, trouble)]
        start = min(ongoing.start, trouble.start)
        told = {
            ongoing.failure,
            "stream.outage",
            "watch.refused",
            classify.DATAGRAMS_ONLY,
        }
        least = {"stream.old_connections", classify.DATAGRAMS_ONLY}
        latest = trouble.failure in told or ongoing.failure in least
        self.ongoing = outage = replace(
            trouble if latest else ongoing, start=start, end=now, proven=state.proven
        )
        due = sum(outage.seconds >= later for later in UPDATE_SECONDS)
        # What is over shows for a moment as what it is not.
        lasts = ongoing.description == outage.description
        if len(self._announced) > due or not lasts:
            return []
        news = not self._announced[-1].startswith(outage.description)
        self._announced += [outage.description] * (1 + due - len(self._announced))
        return [OutageUpdated(self._number, outage)] if news else []

    def _without_late_stall(self, state: ProbeState) -> ProbeState:
        """Return the signs without a pause that an outage left behind.

        TCP's back-off stretches an outage to twice its length for the old connection:
        when datagrams arrive and new connections work, the peer is back.
        """
        stall, self._late_stall = state.stall, None
        if stall is None or state.stream is not None or state.failure_run is not None:
            return state
        outages: list[LossRun | Outage] = [
            *_only(self._events, LossRun),
            *self._recent_outages,
        ]
        if not any(self._near(stall.start, one) for one in outages):
            return state
        self._late_stall = stall
        return replace(state, stall=None)

    def _near(self, instant: float, span: LossRun | Outage) -> bool:
        return (
            span.start - self._connect_period
            <= instant
            <= span.end + self._connect_period
        )

    def _close(self, now: float, totals: ProbeTotals) -> list[OutageNotice]:
        observations = self._observations(now, totals)
        outages = [
            outage
            for outage in classify.classify_closed(observations, self._tolerance)
            if not self._is_aftermath(outage)
        ]
        ongoing, number = self.ongoing, self._number
        if self._never_answered and ongoing is not None:
            first = conclusions.answers_at_last(
                ongoing, _only(self._events, ConnectFailureRun)
            )
            outages = [
                first,
                *(outage for outage in outages if outage.start >= first.end),
            ]
        elif not outages and ongoing is not None:
            end = max((event.end for event in self._events), default=ongoing.end)
            end = max(end, ongoing.end)
            outages = [self._explain_without_outage(ongoing, end, totals)]
        elif self._was_silent and ongoing is not None:
            outages = self._prefer_server_pause(ongoing, outages, totals)
        outages = [
            conclusions.stuck(outage)
            if outage.start < self._new_port_at <= outage.end
            else outage
            for outage in outages
        ]
        self._events, self.ongoing, self._was_silent = [], None, False
        self._recent_outages.extend(outages)
        outages.sort(key=lambda outage: outage.start)
        if ongoing is None:
            return [OutageEnded(0, outage) for outage in outages]
        start = ongoing.start
        numbered = min(outages, key=lambda outage: abs(outage.start - start))
        return [
            OutageEnded(number if outage is numbered else 0, outage)
            for outage in outages
        ]

    def _explain_without_outage(
        self, ongoing: Outage, end: float, totals: ProbeTotals
    ) -> Outage:
        """Say what it was that was told, and in the end was none of the network's."""
        outages = _only(self._events, LossRun)
        closures, pauses = (
            _only(self._events, ConnectFailureRun),
            _only(self._events, ConnectionStall),
        )
        others: conclusions.Spans = (*closures, *pauses)
        silences = {"stream.outage", "watch.refused", classify.DATAGRAMS_ONLY}
        silent = ongoing.failure in silences
        if outages or (others and not silent):
            return conclusions.by_chance(ongoing, end, outages, others)
        start, answered = ongoing.start, self._worked_in_silence
        return conclusions.nothing_lost(start, end, totals.server_stalls, answered)

    def _prefer_server_pause(
        self, ongoing: Outage, outages: list[Outage], totals: ProbeTotals
    ) -> list[Outage]:
        """Return what was found, unless its server was silent all the while: then that."""
        if any(isinstance(event, LossRun | ServerRestart) for event in self._events):
            return outages
        start, end = ongoing.start, max(outage.end for outage in outages)
        still = conclusions.nothing_lost(
            start, end, totals.server_stalls, self._worked_in_silence
        )
        return [still] if still.proven else outages

    def _is_aftermath(self, outage: Outage) -> bool:
        """Tell whether it is what an outage that was told of did to the old connection."""
        return outage.failure == "stream.old_connections" and any(
            self._near(outage.start, earlier) for earlier in self._recent_outages
        )

    def _rotate(self, now: float, totals: ProbeTotals) -> None:
        """Let go of what was counted long ago: the streams' sums go on, so copies."""
        if now - self._rotated < WINDOW_SECONDS:
            return
        self._rotated = now
        self._base_totals = self._latest_totals
        up, down = replace(totals.up), replace(totals.down)
        self._latest_totals = replace(totals, up=up, down=down)
        while self._recent_runs and self._recent_runs[0][0] < now - 2 * WINDOW_SECONDS:
            self._recent_runs.popleft()

    def _observations(self, now: float, totals: ProbeTotals) -> Observations:
        """Return the episode as the check ``stream`` takes it, with recent losses."""
        runs = [event for _, event in self._recent_runs]
        loss_runs = [one for one in runs if isinstance(one, LossRun)]
        base = self._base_totals
        stalls = _only(self._events, ConnectionStall)
        up = sum(
            loss_run.lost
            for loss_run in loss_runs
            if loss_run.where != Location.FROM_SERVER
        )
        down = sum(run.lost for run in loss_runs if run.where == Location.FROM_SERVER)
        failed = sum(one.failed for one in runs if isinstance(one, ConnectFailureRun))
        return Observations(
            self._address,
            min((event.start for event in self._events), default=now),
            now,
            DatagramObservations(
                self._period,
                up=_scattered(totals.up, base.up, up),
                down=_scattered(totals.down, base.down, down),
                error=totals.send_error,
                server_stalls=totals.server_stalls,
                send_blocked=totals.send_blocked,
            ),
            NewConnections(
                self._connect_period,
                totals.connections_started - base.connections_started,
                max(0, totals.connections_failed - base.connections_failed - failed),
            ),
            LongLivedConnection(
                totals.questions_asked - base.questions_asked,
                totals.questions_answered - base.questions_answered,
            ),
            _only(self._events, LossRun),
            _only(self._events, ServerRestart),
            _only(self._events, ConnectFailureRun),
            stalls if self._late_stall is None else (*stalls, self._late_stall),
        )


def _scattered(now: LossCounts, base: LossCounts, out: int) -> LossCounts:
    """Return what was sent lately, and lost besides what outages took."""
    return LossCounts(now.sent - base.sent, max(0, now.lost - base.lost - out))


def _only(events: list[ProbeEvent], kind: type[One]) -> tuple[One, ...]:
    return tuple(event for event in events if isinstance(event, kind))
