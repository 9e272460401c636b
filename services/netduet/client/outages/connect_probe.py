"""New connections at intervals: when was new work possible?

A connection is made, opened and ended. Only one that works at once counts as working: a
lost SYN is retransmitted after a second (RFC 6298 §2), which says nothing about the
time in between.

Further connections may be made between the regular ones, when some of them fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from netduet.client.net.dial import Cause
from netduet.client.net.handshake import Handshake
from netduet.client.outages.events import (
    ConnectFailureRun,
    EventHandler,
    WelcomeHandler,
)
from netduet.client.results.instance import UNKNOWN_INSTANCE, Instance, instance_of
from netduet.client.stats.instances import InstanceTrial
from netduet.net.time_span import Timed

if TYPE_CHECKING:
    from netduet.client.net.dialer import Dialer
    from netduet.client.net.timeouts import Timeouts
    from netduet.runtime.stall_monitor import StallMonitor

MAX_CONNECT_SECONDS: Final = 0.8
"""Seconds within which a connection must be welcomed to count as working."""

MIN_FAILURES: Final = 3
"""Consecutive failures that are reported."""

MAX_TRIALS: Final = 1000
"""Attempts that are kept to compare instances."""

FURTHER_PERIOD_SECONDS: Final = 0.2
"""Seconds between two further connections."""

MAX_PENDING: Final = 16
"""Maximum concurrent attempts."""

_MAX_STALLED_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class ConnectAttempt(Timed):
    """A new connection. ``void``: it failed because of this client, and proves nothing.

    ``rejected``: something other than a server answered, or there was no route.
    ``instance`` is the server's, if it was welcomed. ``further``: it is not one of the
    regular ones. ``late``: it was accepted, and the welcome was late or did not come.
    """

    start: float
    end: float
    error: str = ""
    void: bool = False
    rejected: bool = False
    instance: Instance = UNKNOWN_INSTANCE
    further: bool = False
    late: bool = False

    @property
    def worked(self) -> bool:
        """Whether it worked at once."""
        return not self.error


class AttemptFollower(Protocol):
    """What follows the attempts of a probe, and may want further ones."""

    @property
    def wants_attempts(self) -> bool:
        """Whether further connections would show more."""

    @property
    def max_by_chance(self) -> int:
        """Failures in a row that are no run; see ``ConnectFailureTracker``."""

    def take(self, now: float) -> bool:
        """Whether a further connection may be made at a monotonic second: count it."""

    def record(self, attempt: ConnectAttempt) -> None:
        """Add the next attempt."""


class ConnectFailureTracker:
    """Finds runs of failed connections. Pure; attempts must be in order."""

    def __init__(self, on_event: EventHandler) -> None:
        """Report runs that are over to ``on_event``."""
        self.started = 0
        self.failed = 0
        self.void = 0
        self.longest_void = 0.0
        """Longest time in seconds in which all attempts were void or failed."""
        self._void_since: float | None = None
        self.last_error = ""
        """Why the latest attempt failed, "" if it worked."""
        self.min_failures = MIN_FAILURES
        """Fewest regular connections of a run that is reported when it is over."""
        self.max_by_chance = 0
        """Failures in a row, further connections included, that are no run."""
        self.patient_until = float("-inf")
        """Until when failures before the first success are not reported."""
        self._regular = 0
        """The regular connections of the run."""
        self._on_event = on_event
        self._run: ConnectFailureRun | None = None
        self.last_success = 0.0
        """Start of the latest attempt that worked; 0 before the first."""
        self.trials: deque[InstanceTrial] = deque(maxlen=MAX_TRIALS)
        """The latest attempts that were welcomed, by instance."""

    def record(self, attempt: ConnectAttempt) -> None:
        """Add the next attempt."""
        run = self._run
        if attempt.void:
            self.void += 1
            if self._void_since is None:
                self._void_since = attempt.start if run is None else run.start
            span = attempt.start - self._void_since
            self.longest_void = max(self.longest_void, span)
            return
        self.started += 1
        if str(attempt.instance):
            self.trials.append(InstanceTrial(attempt.instance, not attempt.worked))
        self.last_error = attempt.error
        if attempt.worked:
            self._void_since = None
            reported = self._is_reported(self.min_failures)
            self._run, self.last_success = None, attempt.start
            self._regular = 0
            if run is not None and reported:
                self._on_event(replace(run, end=attempt.start, ended=True))
            return
        self.failed += 1
        self._regular += not attempt.further
        if run is None:
            before = self.last_success or attempt.start
            self._run = ConnectFailureRun(
                attempt.start,
                attempt.end,
                before,
                attempt.start,
                1,
                attempt.error,
                ended=False,
                rejected=attempt.rejected,
                late=attempt.late,
            )
        else:
            self._run = replace(
                run,
                end=attempt.end,
                last_start=attempt.start,
                failed=run.failed + 1,
                rejected=run.rejected or attempt.rejected,
                late=run.late and attempt.late,
            )

    @property
    def ongoing(self) -> ConnectFailureRun | None:
        """The run that is not over."""
        return self._run if self._is_reported(MIN_FAILURES) else None

    def finish(self) -> None:
        """Report a run that is not over."""
        if self.ongoing is not None:
            self._on_event(self.ongoing)
        self._run = None

    def _is_reported(self, min_regular: int) -> bool:
        run = self._run
        if run is None or run.failed <= self.max_by_chance:
            return False
        is_due = bool(self.last_success) or run.last_start >= self.patient_until
        return is_due and self._regular >= min_regular


class ConnectProbe:
    """Starts a new connection at each period; ``tracker`` has the totals."""

    def __init__(
        self,
        dialer: Dialer,
        timeouts: Timeouts,
        period: float,
        stalls: StallMonitor,
        on_event: EventHandler,
        *,
        max_seconds: float = MAX_CONNECT_SECONDS,
        on_welcome: WelcomeHandler = lambda _: None,
        follower: AttemptFollower | None = None,
    ) -> None:
        """Prepare; ``period`` is in seconds.

        ``max_seconds`` is how long a connection may take, and ``on_welcome`` gets each
        welcome. ``follower`` gets each attempt, and may want further ones.
        """
        self.tracker = ConnectFailureTracker(on_event)
        self.max_seconds = max_seconds
        self._dialer = dialer
        self._timeouts = timeouts
        self._period = period
        self._stalls = stalls
        self._on_welcome = on_welcome
        self._follower = follower
        self._failed = asyncio.Event()
        """Set when an attempt has failed, so that it is recorded at once."""
        self._pending: deque[asyncio.Task[ConnectAttempt]] = deque()

    async def run(self, seconds: float) -> None:
        """Run for that many seconds; then wait for pending attempts."""
        try:
            await self._run(time.monotonic() + seconds)
            for task in self._pending:
                self._record(await task)
            self.tracker.finish()
        finally:
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)

    async def _run(self, until: float) -> None:
        due = further_due = time.monotonic()
        while (now := time.monotonic()) < until:
            while self._pending and self._pending[0].done():
                self._record(self._pending.popleft().result())
            further_period = max(FURTHER_PERIOD_SECONDS, self._dialer.min_period)
            if now >= due:
                self._start(further=False)
                due = max(due + max(self._period, self._dialer.min_period), now)
                further_due = now + further_period
            elif now >= further_due and self._wants_further:
                if self._follower is not None and self._follower.take(now):
                    self._start(further=True)
                further_due = now + further_period
            wake_at = min(due, further_due) if self._wants_further else due
            await self._wait(min(wake_at, until) - time.monotonic())

    @property
    def _wants_further(self) -> bool:
        return self._follower is not None and self._follower.wants_attempts

    def _start(self, *, further: bool) -> None:
        if len(self._pending) < MAX_PENDING:
            attempt = self._attempt(further=further)
            self._pending.append(asyncio.create_task(attempt))

    def _record(self, attempt: ConnectAttempt) -> None:
        self.tracker.record(attempt)
        if self._follower is not None:
            self._follower.record(attempt)
            self.tracker.max_by_chance = self._follower.max_by_chance

    async def _wait(self, seconds: float) -> None:
        """Wait; if somebody may want further connections, only until one has failed."""
        if self._follower is None:
            await asyncio.sleep(max(0.0, seconds))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._failed.wait()
        self._failed.clear()

    async def _attempt(self, *, further: bool) -> ConnectAttempt:
        start = time.monotonic()
        max_seconds = self.max_seconds
        timeouts = replace(
            self._timeouts,
            connect=min(max_seconds, self._timeouts.connect),
            answer=min(max_seconds, self._timeouts.answer),
        )
        async with self._dialer.open(timeouts) as (handshake, connection):
            end = time.monotonic()
            if connection is not None:
                if handshake.welcome is not None:
                    self._on_welcome(handshake.welcome)
                # Whether the end arrives is up to the check ``close``.
                await connection.end(_CLOSE_SECONDS)
            error = "" if connection is not None else _describe_failure(handshake)
        if not error and end - start > max_seconds:
            error = "it took too long"
        if error:
            self._failed.set()
        rejected = connection is None and _is_rejected(handshake)
        no_resources = handshake.cause is Cause.OTHER and not handshake.accepted
        stalled = self._stalls.stalled(start, end) > _MAX_STALLED_SECONDS
        return ConnectAttempt(
            start,
            end,
            error,
            bool(error) and (no_resources or stalled),
            rejected,
            UNKNOWN_INSTANCE
            if handshake.welcome is None
            else instance_of(handshake.welcome),
            further,
            bool(error) and handshake.accepted and not rejected,
        )


def _is_rejected(handshake: Handshake) -> bool:
    """Whether something other than a server answered, or nothing could be sent."""
    rejections = {None, Cause.REFUSED, Cause.RESET, Cause.NO_ROUTE}
    return handshake.closed or handshake.cause in rejections


def _describe_failure(handshake: Handshake) -> str:
    """Return why a connection failed."""
    if handshake.recognition is not None:
        return handshake.failure
    if handshake.refused is not None:
        return f"the server said {handshake.refused.code}"
    if handshake.foreign or handshake.broken is not None:
        return "something other than the expected server responded"
    if not handshake.accepted:
        return handshake.detail
    if handshake.closed:
        return "accepted, then closed without a response"
    word = "but" if handshake.cause is Cause.TIMEOUT else "then"
    return f"accepted, {word} {handshake.detail}"
