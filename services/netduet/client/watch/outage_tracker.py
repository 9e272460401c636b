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
    Event,
    LossRun,
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
from netduet.client.results.failure import BACK

HOLD: Final = 1.8
"""Seconds of quiet after which an episode is over: by then what was lost is certain."""

LATER: Final = (5.0, 30.0)
"""Seconds of trouble after which is told what has been learnt of it since, if it differs."""

APART: Final = 1.25
"""Seconds between an end and a begin that make two episodes: who comes and goes every few
seconds is never quiet for long, and what was lost is certain by then, too.
"""

MOST: Final = 200
"""Events of an episode; with more it is told in parts."""

WINDOW: Final = 300.0
"""Seconds, once or twice that, whose losses say what chance may bring."""

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class ProbeTotals:
    """What a peer's streams and connections have counted since the watch began."""

    up: LossCounts
    down: LossCounts
    started: int = 0
    failed: int = 0
    asked: int = 0
    answered: int = 0
    stalls: tuple[tuple[float, float], ...] = ()
    withheld: tuple[tuple[float, float], ...] = ()
    error: str = ""

    @property
    def worked(self) -> int:
        """How many fresh connections worked."""
        return self.started - self.failed


class OutageTracker:
    """Follows one peer."""

    def __init__(
        self,
        address: Address,
        period: float,
        fresh: float,
        tolerance: float,
        numbers: Iterator[int],
    ) -> None:
        """Say whom, at which paces, what connections may bear, and who numbers."""
        self.standing: Outage | None = None
        """What goes on, as it was told."""
        self._address = address
        self._period = period
        self._fresh = fresh
        self._tolerance = tolerance
        self._numbers = numbers
        self._number = 0
        self._said: list[str] = []
        """What was told of the trouble that goes on: when it began, and later."""
        self._batch: list[Event] = []
        self._stirred = 0.0
        self._clear = True
        """Nothing went on at the last look."""
        self._over: deque[Outage] = deque(maxlen=8)
        self._turned = float("-inf")
        self._before = self._base = ProbeTotals(LossCounts(), LossCounts())
        self._afresh = float("-inf")
        self._unseen = False
        """The peer had never answered when what goes on began."""
        self._silent: int | None = None
        """How many new connections had worked when the streams fell silent."""
        self._mute = False
        """The streams have been silent in this episode."""
        self._answered = 0
        """How many worked in the latest silence."""
        self._late: ConnectionStall | None = None
        """What the old connection still suffers from an outage that is over."""
        self._out: deque[tuple[float, LossRun | ConnectFailureRun]] = deque(maxlen=MOST)

    def look(
        self,
        now: float,
        signs: ProbeState,
        events: Iterable[Event],
        totals: ProbeTotals,
    ) -> list[OutageNotice]:
        """Take what is new; return what is to be told."""
        self._turn(now, totals)
        for event in events:
            self._batch.append(event)
            self._stirred = now
            if isinstance(event, LossRun | ConnectFailureRun):
                self._out.append((now, event))
        signs = self._settled(signs)
        told: list[OutageNotice] = []
        start = signs.start
        if start is not None and self._clear:
            told += self._part(start - APART, now, totals)
        self._clear = start is None
        self._mute = self._mute or signs.stream is not None
        if signs.stream is None:
            self._silent = None
        elif self._silent is None:
            self._silent, self._answered = totals.worked, 0
        else:
            self._answered = totals.worked - self._silent
        if signs.start is not None:
            self._stirred = now
            told += self._announce(signs, now)
        elif signs.gone and self._batch:
            self._stirred = now  # whether new ones can be made is yet to be seen
        quiet = now - self._stirred >= HOLD
        if (self._batch or self.standing is not None) and (
            quiet or len(self._batch) >= MOST
        ):
            told += self._close(now, totals)
        return told

    def _part(self, at: float, now: float, totals: ProbeTotals) -> list[OutageNotice]:
        """End the episode that was over by then, if one was, as another has begun."""
        earlier = [event for event in self._batch if event.end <= at]
        later = [event for event in self._batch if event.end > at]
        if not earlier or any(event.start <= at for event in later):
            return []
        self._batch = earlier
        told = self._close(now, totals)
        self._batch = later
        return told

    def afresh(self, now: float) -> None:
        """Note that the stream goes on from another port, for that one is answered."""
        self._afresh = now

    def finish(
        self, now: float, *, left: bool, away: float = 0.0
    ) -> list[OutageNotice]:
        """Return what is to be told when nobody watches any more.

        ``left``: the name has dropped the peer. ``away`` is for how many seconds of
        what goes on this end did not run.
        """
        standing, self.standing = self.standing, None
        if standing is None:
            return []
        over = replace(standing, end=now)
        if left:
            over = conclusions.left(standing.start, now, standing)
        if away >= classify.QUARTER * over.seconds:
            over = replace(over, proven=False)
        return [OutageEnded(self._number, over)]

    def _announce(self, signs: ProbeState, now: float) -> list[OutageNotice]:
        shaken = any(isinstance(event, ConnectionStall) for event in self._batch)
        trouble = classify.provisional(signs, now, shaken=shaken)
        standing = self.standing
        if standing is None:
            self._unseen = not signs.seen
            self._number = next(self._numbers)
            self.standing = trouble
            self._said = [trouble.description]
            return [OutageStarted(self._number, trouble)]
        start = min(standing.start, trouble.start)
        told = {standing.failure, "stream.outage", "watch.refused", classify.DATAGRAMS}
        least = {"stream.old_connections", classify.DATAGRAMS}
        latest = trouble.failure in told or standing.failure in least
        self.standing = outage = replace(
            trouble if latest else standing, start=start, end=now, proven=signs.proven
        )
        due = sum(outage.seconds >= later for later in LATER)
        # What is over shows for a moment as what it is not.
        lasts = standing.description == outage.description
        if len(self._said) > due or not lasts:
            return []
        news = not self._said[-1].startswith(outage.description)
        self._said += [outage.description] * (1 + due - len(self._said))
        return [OutageUpdated(self._number, outage)] if news else []

    def _settled(self, signs: ProbeState) -> ProbeState:
        """Return the signs without a pause that an outage left behind.

        TCP's back-off stretches an outage to twice its length for the old connection:
        when datagrams arrive and new connections work, the peer is back.
        """
        pause, self._late = signs.pause, None
        if pause is None or signs.stream is not None or signs.closure is not None:
            return signs
        outages: list[LossRun | Outage] = [*_only(self._batch, LossRun), *self._over]
        if not any(self._near(pause.start, one) for one in outages):
            return signs
        self._late = pause
        return replace(signs, pause=None)

    def _near(self, at: float, one: LossRun | Outage) -> bool:
        return one.start - self._fresh <= at <= one.end + self._fresh

    def _close(self, now: float, totals: ProbeTotals) -> list[OutageNotice]:
        place = self._place(now, totals)
        found = [
            outage
            for outage in classify.final(place, self._tolerance)
            if not self._known(outage)
        ]
        standing, number = self.standing, self._number
        if self._unseen and standing is not None:
            first = conclusions.answers_at_last(
                standing, _only(self._batch, ConnectFailureRun)
            )
            found = [first, *(outage for outage in found if outage.start >= first.end)]
        elif not found and standing is not None:
            end = max((event.end for event in self._batch), default=standing.end)
            end = max(end, standing.end)
            found = [self._unfounded(standing, end, totals)]
        elif self._mute and standing is not None:
            found = self._still(standing, found, totals)
        found = [
            conclusions.stuck(outage)
            if outage.start < self._afresh <= outage.end
            else outage
            for outage in found
        ]
        self._batch, self.standing, self._mute = [], None, False
        self._over.extend(found)
        found.sort(key=lambda outage: outage.start)
        if standing is None:
            return [OutageEnded(0, outage) for outage in found]
        start = standing.start
        told = min(found, key=lambda outage: abs(outage.start - start))
        return [
            OutageEnded(number if outage is told else 0, outage) for outage in found
        ]

    def _unfounded(self, standing: Outage, end: float, totals: ProbeTotals) -> Outage:
        """Say what it was that was told, and in the end was none of the network's."""
        outages = _only(self._batch, LossRun)
        closures, pauses = (
            _only(self._batch, ConnectFailureRun),
            _only(self._batch, ConnectionStall),
        )
        others: conclusions.Spans = (*closures, *pauses)
        silences = {"stream.outage", "watch.refused", classify.DATAGRAMS}
        silent = standing.failure in silences
        if outages or (others and not silent):
            return conclusions.by_chance(standing, end, outages, others)
        start, answered = standing.start, self._answered
        return conclusions.nothing_lost(start, end, totals.stalls, answered)

    def _still(
        self, standing: Outage, found: list[Outage], totals: ProbeTotals
    ) -> list[Outage]:
        """Return what was found, unless its server was silent all the while: then that."""
        if any(isinstance(event, LossRun | ServerRestart) for event in self._batch):
            return found
        start, end = standing.start, max(outage.end for outage in found)
        still = conclusions.nothing_lost(start, end, totals.stalls, self._answered)
        return [still] if still.proven else found

    def _known(self, outage: Outage) -> bool:
        """Tell whether it is what an outage that was told of did to the old connection."""
        return outage.failure == "stream.old_connections" and any(
            self._near(outage.start, earlier) for earlier in self._over
        )

    def _turn(self, now: float, totals: ProbeTotals) -> None:
        """Let go of what was counted long ago: the streams' sums go on, so copies."""
        if now - self._turned < WINDOW:
            return
        self._turned = now
        self._base = self._before
        up, down = replace(totals.up), replace(totals.down)
        self._before = replace(totals, up=up, down=down)
        while self._out and self._out[0][0] < now - 2 * WINDOW:
            self._out.popleft()

    def _place(self, now: float, totals: ProbeTotals) -> Observations:
        """Return the episode as the check ``stream`` takes it, with recent losses."""
        out = [event for _, event in self._out]
        lost = [one for one in out if isinstance(one, LossRun)]
        base = self._base
        pauses = _only(self._batch, ConnectionStall)
        up = sum(loss_run.lost for loss_run in lost if loss_run.where != BACK)
        down = sum(run.lost for run in lost if run.where == BACK)
        failed = sum(one.failed for one in out if isinstance(one, ConnectFailureRun))
        return Observations(
            self._address,
            min((event.start for event in self._batch), default=now),
            now,
            DatagramObservations(
                self._period,
                up=_scattered(totals.up, base.up, up),
                down=_scattered(totals.down, base.down, down),
                error=totals.error,
                server_stalls=totals.stalls,
                withheld=totals.withheld,
            ),
            NewConnections(
                self._fresh,
                totals.started - base.started,
                max(0, totals.failed - base.failed - failed),
            ),
            LongLivedConnection(
                totals.asked - base.asked, totals.answered - base.answered
            ),
            _only(self._batch, LossRun),
            _only(self._batch, ServerRestart),
            _only(self._batch, ConnectFailureRun),
            pauses if self._late is None else (*pauses, self._late),
        )


def _scattered(now: LossCounts, base: LossCounts, out: int) -> LossCounts:
    """Return what was sent lately, and lost besides what outages took."""
    return LossCounts(now.sent - base.sent, max(0, now.lost - base.lost - out))


def _only(events: list[Event], kind: type[One]) -> tuple[One, ...]:
    return tuple(event for event in events if isinstance(event, kind))
