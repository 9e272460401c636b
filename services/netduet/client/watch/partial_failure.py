"""When a part of the new connections to a peer fails, and which. Pure.

If all fail, that is an outage, which ``outage_tracker`` reports. If some fail and others
work, as when one of several endpoints behind a virtual address is dead, no moment of it
is an outage: it is a state of its own, with a share, and independent of outages.

As long as a share is suspected, ``wants_attempts`` asks for further connections, from
other source ports, so that it is certain within seconds.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from netduet.client.outages import describe
from netduet.client.outages.classify import location_by_error
from netduet.client.outages.connect_probe import ConnectAttempt
from netduet.client.outages.outage import (
    OUTAGE,
    PAUSED,
    REFUSED,
    RESTARTED,
    OutageEnded,
    OutageNotice,
)
from netduet.client.results.location import Location
from netduet.client.stats.cusum import Cusum, threshold
from netduet.client.stats.proportions import upper_bound
from netduet.client.watch.connection_budget import ConnectionBudget
from netduet.net.time_span import Timed

BASE_SHARE: Final = 0.04
"""Share of new connections that may fail for no reason: at 1 % loss each way, 2 % of them
lose their SYN or its answer, and do not work at once."""

MIN_BASE_CHANGE: Final = 0.1
"""Change of that share, as a part of it, that counts."""

MAX_BASE_SHARE: Final = 0.3
"""Highest such share, however many datagrams are lost."""

RAISED_FACTOR: Final = 3.0
"""Multiple of the base share that is looked for. Shares above about 1.8 times the base
share are found: one dead endpoint of eight is 12.5 %."""

MAX_RAISED_SHARE: Final = 0.9

START_SCORE: Final = threshold(1e-7)
"""Score at which the state begins: by chance once in ten million connections."""

END_SCORE: Final = threshold(1e-6)
"""Score at which it ends: 28 that work in a row if 42 % failed, 160 if 12 % did."""

WEAK_SCORE: Final = threshold(0.01)
"""Score below which a failure shows that it has not ended: the end is after the last one,
not before a few that happened to work."""

MAX_COUNTED_RUN: Final = 3
"""Failures in a row that count. More of them at once are an outage's, and the failures of
a part of the connections are spread."""

MAX_RUN: Final = 10
"""Failures in a row after which further connections show nothing that an outage would
not."""

OUTAGE_PROBABILITY: Final = 1e-6
"""Probability that the failures of a run are those of a part of the connections."""

SHARE_ERROR: Final = 0.01
"""Probability that the failing share is higher than assumed for that."""

PACKETS_THAT_DELAY: Final = 2
"""Packets of which none may be lost if a connection is to work at once: the SYN and its
answer. Others are sent again soon enough (RFC 6298 §5.7)."""

MAX_ATTEMPTS: Final = 1000
"""Attempts that are remembered while a share is suspected."""

RECENT_ATTEMPTS: Final = 100
"""Attempts of which the present share is that of the failed ones."""

TOTAL_CLASSES: Final = frozenset({OUTAGE, RESTARTED, PAUSED, REFUSED})
"""Classes of outages in which all new connections fail."""

UPDATE_SECONDS: Final = 30.0
"""Seconds into a partial failure after which its share is reported again."""


@dataclass(frozen=True, slots=True)
class PartialFailure(Timed):
    """A time in which some new connections failed and others worked.

    It starts with the first failed connection, and ends with the first that worked
    after the last failed one. ``reason`` is why most of the failed ones failed.
    """

    start: float
    end: float
    attempts: int
    failed: int
    reason: str
    ended: bool = False

    @property
    def share(self) -> float:
        """The share of the connections that failed."""
        return self.failed / self.attempts

    @property
    def description(self) -> str:
        """What fails, and how much of it."""
        counts = self.failed, self.attempts
        return describe.partly_failing(self.share, *counts, self.reason)

    @property
    def where(self) -> Location:
        """Where they failed, as far as the error shows it."""
        return location_by_error(self.reason)


class PartialPhase(Enum):
    """What a notice says of a partial failure."""

    BEGAN = "began"
    LEARNT = "learnt"
    ENDED = "ended"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class PartialNotice:
    """A partial failure that begins, is known better, is over, or is left open."""

    number: int
    phase: PartialPhase
    partial: PartialFailure


class PartialFailureTracker:
    """Tracks one peer: ``record`` attempts in order, and ``poll`` for notices."""

    def __init__(self, numbers: Iterator[int], budget: ConnectionBudget) -> None:
        """Track a peer; its partial failures take the next ``numbers``.

        ``budget`` is that of the further connections of all peers.
        """
        self._numbers = numbers
        self._number = 0
        self._budget = budget
        self.ongoing: PartialFailure | None = None
        self.max_by_chance = 0
        """Failures in a row that the failing share explains: more of them are an outage."""
        self._base_share = BASE_SHARE
        self._rise = self._rise_test()
        self._fall: Cusum | None = None
        self._attempts: list[ConnectAttempt] = []
        """Those since the first suspicious failure."""
        self._recent: deque[bool] = deque(maxlen=RECENT_ATTEMPTS)
        self._errors: Counter[str] = Counter()
        self._run = 0
        self._counts = 0, 0
        """Attempts and failures of the ongoing partial failure so far."""
        self._certain: PartialFailure | None = None
        """The partial failure up to the first sign of its end."""
        self._notices: list[PartialNotice] = []
        self._updated = False

    @property
    def since(self) -> float | None:
        """When the partial failure began; None if there is none."""
        return None if self.ongoing is None else self.ongoing.start

    @property
    def suspected(self) -> bool:
        """Whether a failing share is suspected, or certain."""
        return self.ongoing is not None or self._rise.score > 0.0

    @property
    def wants_attempts(self) -> bool:
        """Whether further connections would show more."""
        return self.suspected and self._run <= max(MAX_RUN, self.max_by_chance)

    def take(self, now: float) -> bool:
        """Whether a further connection may be made at a monotonic second: count it."""
        return self._budget.take(now)

    @property
    def share(self) -> float:
        """The share that fails at present; 0 if there is no partial failure."""
        if self.ongoing is None or not self._recent:
            return 0.0
        return sum(self._recent) / len(self._recent)

    def _set_loss(self, lost: int, sent: int) -> None:
        """Set how many datagrams are lost outside of runs: it makes connections fail."""
        loss = upper_bound(min(lost, sent), sent) if lost > 0 else 0.0
        share = 1.0 - (1.0 - loss) ** PACKETS_THAT_DELAY
        share = min(MAX_BASE_SHARE, max(BASE_SHARE, share))
        if abs(share - self._base_share) > MIN_BASE_CHANGE * self._base_share:
            self._base_share = share
            if self.ongoing is None:
                self._replay(self._attempts)

    def record(self, attempt: ConnectAttempt) -> None:
        """Add the next attempt."""
        if attempt.void:
            return
        failed = not attempt.worked
        if failed and not self._run:
            self.max_by_chance = self._explained_run()
        self._run = self._run + 1 if failed else 0
        self._recent.append(failed)
        if self.ongoing is None:
            self._suspect(attempt)
        else:
            self._continue(self.ongoing, attempt)

    def _exclude_span(self, span: Timed) -> None:
        """Forget what failed during an outage, or while an end was not running.

        Only where all failed, and as long as the partial failure is only suspected.
        """
        attempts = self._attempts
        inside = [attempt for attempt in attempts if attempt.is_near(span)]
        partly = any(
            attempt.worked and attempt.start >= span.start and attempt.end <= span.end
            for attempt in inside
        )
        failed = any(not attempt.worked for attempt in inside)
        if self.ongoing is not None or partly or not failed:
            return
        self._replay([each for each in attempts if each.worked or each not in inside])

    def exclude(
        self,
        notices: Iterable[OutageNotice],
        server_stalls: Iterable[Timed],
        losses: tuple[int, int],
    ) -> None:
        """Exclude what something else explains.

        These are the outages that have ended, the times in which the server did not run,
        and the ``losses``: how many datagrams were lost outside of runs, and of how many.
        """
        if not self.suspected:
            return
        self._set_loss(*losses)
        for notice in notices:
            failure = notice.outage.failure
            if isinstance(notice, OutageEnded) and failure in TOTAL_CLASSES:
                self._exclude_span(notice.outage)
        for stall in server_stalls:
            self._exclude_span(stall)

    def poll(self, now: float) -> list[PartialNotice]:
        """Return the notices that are due."""
        ongoing = self.ongoing
        due = ongoing is not None and now - ongoing.start >= UPDATE_SECONDS
        if ongoing is not None and due and not self._updated:
            self._updated = True
            self._notify(PartialPhase.LEARNT, ongoing)
        notices, self._notices = self._notices, []
        return notices

    def finish(self, now: float) -> list[PartialNotice]:
        """Return the notices when the peer is no longer watched."""
        if self.ongoing is not None:
            self._notify(PartialPhase.OPEN, replace(self.ongoing, end=now))
            self.ongoing = None
        return self.poll(now)

    # Helpers

    def _replay(self, attempts: list[ConnectAttempt]) -> None:
        self._reset()
        self._recent.clear()
        for attempt in attempts:
            self.record(attempt)

    def _suspect(self, attempt: ConnectAttempt) -> None:
        if attempt.worked and not self._attempts:
            return
        if not self._attempts:
            self._rise = self._rise_test()
        self._attempts.append(attempt)
        if self._run <= MAX_COUNTED_RUN:
            self._rise.add(hit=not attempt.worked)
        if self._rise.score <= 0.0 or len(self._attempts) >= MAX_ATTEMPTS:
            self._reset()
        elif self._rise.score >= START_SCORE:
            self._begin()

    def _begin(self) -> None:
        attempts = self._attempts
        failures = [attempt for attempt in attempts if not attempt.worked]
        self._errors = Counter(attempt.error for attempt in failures)
        self._counts = len(attempts), len(failures)
        self._number, self._updated = next(self._numbers), False
        self._fall = self._certain = None
        ongoing = self.ongoing = self._counted(failures[0].start, attempts[-1].end)
        self._notify(PartialPhase.BEGAN, ongoing)

    def _continue(self, ongoing: PartialFailure, attempt: ConnectAttempt) -> None:
        if not attempt.worked:
            self._errors[attempt.error] += 1
            if len(self._errors) > MAX_RUN:
                self._errors = Counter(dict(self._errors.most_common(MAX_RUN // 2)))
        fall = self._fall
        if attempt.worked or (fall is not None and fall.score >= WEAK_SCORE):
            fall = fall or self._begin_end(ongoing, attempt)
            fall.add(hit=attempt.worked)
        else:
            fall = None
        self._fall = fall
        count, failed = self._counts
        self._counts = count + 1, failed + (not attempt.worked)
        self.ongoing = self._counted(ongoing.start, attempt.end)
        if fall is not None and fall.score >= END_SCORE and self._certain is not None:
            self._notify(PartialPhase.ENDED, self._certain)
            self.ongoing = None
            self._reset()

    def _begin_end(self, ongoing: PartialFailure, attempt: ConnectAttempt) -> Cusum:
        """Return a test whether it ended before this attempt."""
        self._certain = replace(ongoing, end=attempt.start, ended=True)
        raised = min(MAX_RAISED_SHARE, max(ongoing.share, self._raised_share))
        return Cusum(1.0 - raised, 1.0 - self._base_share)

    def _counted(self, start: float, end: float) -> PartialFailure:
        [(reason, _)] = self._errors.most_common(1)
        return PartialFailure(start, end, *self._counts, reason)

    def _explained_run(self) -> int:
        """Return how many failures in a row the share before them explains."""
        known = list(self._recent)
        if self.ongoing is None:
            known = known[-len(self._attempts) :] if self._attempts else []
        if not any(known):
            return 0
        share = upper_bound(sum(known), len(known), SHARE_ERROR)
        share = min(MAX_RAISED_SHARE, share)
        return int(math.log(OUTAGE_PROBABILITY) / math.log(share))

    @property
    def _raised_share(self) -> float:
        return min(MAX_RAISED_SHARE, RAISED_FACTOR * self._base_share)

    def _rise_test(self) -> Cusum:
        return Cusum(self._base_share, self._raised_share)

    def _reset(self) -> None:
        self._attempts = []
        self._run = self.max_by_chance = 0
        self._rise = self._rise_test()

    def _notify(self, phase: PartialPhase, partial: PartialFailure) -> None:
        self._notices.append(PartialNotice(self._number, phase, partial))
