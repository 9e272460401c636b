"""When an outage of a peer starts and ends: states and events in, notices out. Pure.

The state is what is wrong now; an event is something that has happened and is certain.
Consecutive events with at most a short quiet time between them form an episode. Its
events are correlated and classified when it is over, as in the check ``stream``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.outages.classify import STALL_STARVED_SHARE, classify, watch_rules
from netduet.client.outages.correlate import correlate
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    LossRun,
    ProbeEvent,
    ServerRestart,
    of_kind,
)
from netduet.client.outages.open_outage import (
    MIN_ANSWERED,
    ProbeState,
    as_datagrams_only,
    as_left,
    as_shut_down,
    as_stuck_flow,
    classify_ongoing,
    close_at_first_answer,
    close_by_chance,
    close_without_loss,
)
from netduet.client.outages.outage import (
    DATAGRAMS_ONLY,
    OLD_CONNECTIONS,
    OUTAGE,
    REFUSED,
    Outage,
    OutageEnded,
    OutageNotice,
    OutageOpen,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.watch.recent_counts import ProbeTotals, RecentCounts
from netduet.net.time_span import Timed, TimeSpan

QUIET_SECONDS: Final = 1.8
"""Seconds of quiet after which an episode is over; by then all losses are certain."""

UPDATE_SECONDS: Final = (5.0, 30.0)
"""Seconds into an outage after which it is updated, if more is known about it."""

SPLIT_SECONDS: Final = 1.25
"""Seconds between an end and a start that separate two episodes. A peer that fails
every few seconds is never quiet for long, and all losses are certain by then."""

SHARE_SECONDS: Final = 20.0
"""Seconds for which a short run of failed connections waits until it is known whether it
is an outage, or part of a partial failure."""

MAX_EVENTS: Final = 200
"""Maximum events of an episode; then it is reported in parts."""

MAX_RECENT_OUTAGES: Final = 8
"""Outages whose aftermath is recognised."""

SILENCES: Final = frozenset({OUTAGE, REFUSED, DATAGRAMS_ONLY})
"""Classes of an ongoing outage in which no datagrams arrive."""


class OutageTracker:
    """Tracks the outages of one peer."""

    def __init__(
        self,
        address: Address,
        period: float,
        connect_period: float,
        max_outage: float,
        numbers: Iterator[int],
    ) -> None:
        """Track an address.

        ``period`` and ``connect_period`` are the seconds between datagrams and between
        new connections, ``max_outage`` is how long connections may be out, and
        ``numbers`` yields the numbers of outages.
        """
        self.ongoing: Outage | None = None
        """The ongoing outage as it was last reported."""
        self._connect_period = connect_period
        self._rules = watch_rules(max_outage)
        self._numbers = numbers
        self._number = 0
        self._announced: list[str] = []
        """The descriptions of the ongoing outage so far."""
        self._events: list[ProbeEvent] = []
        self._last_activity = 0.0
        self._was_up = True
        """Whether nothing was wrong at the last update."""
        self._recent_outages: deque[Outage] = deque(maxlen=MAX_RECENT_OUTAGES)
        self._new_port_at = float("-inf")
        self._never_answered = False
        """Whether the peer had never answered when the ongoing outage started."""
        self._worked_before_silence: int | None = None
        """The number of new connections that had worked when the streams fell silent."""
        self._was_silent = False
        """Whether the streams were silent in this episode."""
        self._was_partial = False
        """Whether new connections failed in part in this episode."""
        self._worked_in_silence = 0
        """The number of new connections that worked in the latest silence."""
        self._late_stall: ConnectionStall | None = None
        """An ongoing stall that a closed outage caused."""
        self._recent = RecentCounts(address, period, connect_period)

    def update(
        self,
        now: float,
        state: ProbeState,
        events: Iterable[ProbeEvent],
        totals: ProbeTotals,
    ) -> list[OutageNotice]:
        """Add the latest state and events; return what to report."""
        self._recent.rotate(now, totals)
        for event in events:
            self._events.append(event)
            self._last_activity = now
            self._recent.add(event, now)
        state = self._without_late_stall(state)
        notices: list[OutageNotice] = []
        start = state.start
        if start is not None and self._was_up:
            notices += self._split(start - SPLIT_SECONDS, now, totals)
        self._was_up = start is None
        self._was_silent = self._was_silent or state.stream is not None
        if state.partial_since is not None:
            self._was_partial = True
            self._drop_partial_runs(state.partial_since)
        worked = totals.connections_worked
        if state.stream is None:
            self._worked_before_silence = None
        else:
            if self._worked_before_silence is None:
                self._worked_before_silence = worked
            self._worked_in_silence = worked - self._worked_before_silence
        if state.start is not None:
            self._last_activity = now
            notices += self._announce(state, now)
        elif state.unreachable and self._events:
            self._last_activity = now  # whether new connections work is not known yet
        quiet = now - self._last_activity >= QUIET_SECONDS
        due = quiet and not self._awaits_share(state, now)
        due = due or len(self._events) >= MAX_EVENTS
        if due and (self._events or self.ongoing is not None):
            notices += self._close(now, totals)
        return notices

    def _split(
        self, split_at: float, now: float, totals: ProbeTotals
    ) -> list[OutageNotice]:
        """Close the episode that was over by ``split_at``, if any."""
        earlier = [event for event in self._events if event.end <= split_at]
        later = [event for event in self._events if event.end > split_at]
        if not earlier or any(event.start <= split_at for event in later):
            return []
        self._events = earlier
        notices = self._close(now, totals)
        self._events = later
        return notices

    def _awaits_share(self, state: ProbeState, now: float) -> bool:
        """Whether it will soon be known if a part of the connections fails.

        Then a short run of them is no outage, but a part of that.
        """
        undecided = state.suspected and state.partial_since is None
        return (
            undecided
            and self.ongoing is None
            and now - self._last_activity < SHARE_SECONDS
            and all(isinstance(event, ConnectFailureRun) for event in self._events)
        )

    def _drop_partial_runs(self, since: float) -> None:
        """Drop unreported runs of a partial failure, which began at ``since``."""
        if self.ongoing is None:
            self._events = [
                event
                for event in self._events
                if event.start < since or not isinstance(event, ConnectFailureRun)
            ]

    def scattered_losses(self, totals: ProbeTotals) -> tuple[int, int]:
        """Return how many recent datagrams were lost outside of runs, and of how many."""
        up, down = self._recent.scattered(totals)
        return up.lost + down.lost, up.sent + down.sent

    def note_new_port(self, now: float) -> None:
        """Note that the stream continues from a new port, which is answered."""
        self._new_port_at = now

    def finish(
        self,
        now: float,
        *,
        left: bool,
        shutdown_at: float | None = None,
        stalled: float = 0.0,
    ) -> list[OutageNotice]:
        """Return what to report when the peer is no longer watched.

        ``left``: the name has dropped it. ``shutdown_at`` is when its server shut down,
        as announced, ``stalled`` for how many seconds this client was not running.
        """
        ongoing, self.ongoing = self.ongoing, None
        if ongoing is None:
            return []
        outage = as_left(ongoing, now) if left else replace(ongoing, end=now)
        if shutdown_at is not None:
            outage = as_shut_down(ongoing, shutdown_at)
        if stalled >= STALL_STARVED_SHARE * outage.seconds:
            outage = replace(outage, proven=False)
        return [(OutageEnded if outage.ended else OutageOpen)(self._number, outage)]

    def _announce(self, state: ProbeState, now: float) -> list[OutageNotice]:
        disturbed = any(isinstance(event, ConnectionStall) for event in self._events)
        current = classify_ongoing(state, now, disturbed=disturbed)
        ongoing = self.ongoing
        if ongoing is None:
            self._never_answered = not state.answered_before
            self._number = next(self._numbers)
            self.ongoing = current
            self._announced = [current.description]
            return [OutageStarted(self._number, current)]
        start = min(ongoing.start, current.start)
        # A class that proves less must not replace one that proves more.
        replaces = current.failure in SILENCES | {ongoing.failure}
        replaces = replaces or ongoing.failure in {OLD_CONNECTIONS, DATAGRAMS_ONLY}
        self.ongoing = outage = replace(
            current if replaces else ongoing, start=start, end=now, proven=state.proven
        )
        due = sum(outage.seconds >= later for later in UPDATE_SECONDS)
        # An outage that is about to end may look different for a moment.
        stable = ongoing.description == outage.description
        if len(self._announced) > due or not stable:
            return []
        changed = not self._announced[-1].startswith(outage.description)
        self._announced += [outage.description] * (1 + due - len(self._announced))
        return [OutageUpdated(self._number, outage)] if changed else []

    def _without_late_stall(self, state: ProbeState) -> ProbeState:
        """Return the state without a stall that an outage left behind.

        TCP's back-off makes an outage up to twice as long for an existing connection:
        the peer is up when datagrams arrive and new connections work.
        """
        stall, self._late_stall = state.stall, None
        if stall is None or state.stream is not None or state.failure_run is not None:
            return state
        spans = *of_kind(self._events, LossRun), *self._recent_outages
        if not any(self._near(stall.start, span) for span in spans):
            return state
        self._late_stall = stall
        return replace(state, stall=None)

    def _near(self, instant: float, span: Timed) -> bool:
        margin = self._connect_period
        return span.start - margin <= instant <= span.end + margin

    def _close(self, now: float, totals: ProbeTotals) -> list[OutageNotice]:
        late = () if self._late_stall is None else (self._late_stall,)
        observations = self._recent.observations(now, totals, (*self._events, *late))
        classified = classify(observations, correlate(observations), self._rules)
        outages = [
            outage
            for outage in classified
            if not outage.tolerated and not self._is_aftermath(outage)
        ]
        ongoing, number = self.ongoing, self._number
        if self._never_answered and ongoing is not None:
            failure_runs = of_kind(self._events, ConnectFailureRun)
            first = close_at_first_answer(ongoing, failure_runs)
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
            as_stuck_flow(outage)
            if outage.start < self._new_port_at <= outage.end
            else outage
            for outage in outages
        ]
        if self._was_partial and self._worked_in_silence >= MIN_ANSWERED:
            outages = [
                as_datagrams_only(outage)
                if outage.failure in {OUTAGE, DATAGRAMS_ONLY} and outage.loss_runs
                else outage
                for outage in outages
            ]
        self._events, self.ongoing = [], None
        self._was_silent = self._was_partial = False
        outages.sort(key=lambda outage: (outage.start, -outage.seconds))
        self._recent_outages.extend(outages)
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
        """Return the outage that was reported but that no event proves."""
        loss_runs = of_kind(self._events, LossRun)
        failure_runs = of_kind(self._events, ConnectFailureRun)
        stalls = of_kind(self._events, ConnectionStall)
        silent = ongoing.failure in SILENCES
        if loss_runs or ((failure_runs or stalls) and not silent):
            return close_by_chance(ongoing, end, loss_runs, failure_runs, stalls)
        silence = TimeSpan(ongoing.start, end)
        return close_without_loss(
            silence, totals.server_stalls, self._worked_in_silence
        )

    def _prefer_server_pause(
        self, ongoing: Outage, outages: list[Outage], totals: ProbeTotals
    ) -> list[Outage]:
        """Return a pause of the server instead if it was silent throughout."""
        if any(isinstance(event, LossRun | ServerRestart) for event in self._events):
            return outages
        silence = TimeSpan(ongoing.start, max(outage.end for outage in outages))
        pause = close_without_loss(
            silence, totals.server_stalls, self._worked_in_silence
        )
        return [pause] if pause.proven else outages

    def _is_aftermath(self, outage: Outage) -> bool:
        """Whether an earlier outage explains the stall of the existing connection."""
        return outage.failure == OLD_CONNECTIONS and any(
            self._near(outage.start, earlier) for earlier in self._recent_outages
        )
