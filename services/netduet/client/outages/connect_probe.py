"""A fresh connection each tick: when was new work possible?

A connection is made, opened and ended. It works, opened, at once or not: a SYN that is
lost is sent again after a second (RFC 6298 §2), and says nothing of the time between.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import Cause
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.outages.events import ConnectFailureRun, Met, Tell

if TYPE_CHECKING:
    from netduet.client.checks.base import Timeouts
    from netduet.client.net.dial import Address
    from netduet.runtime.stall_monitor import StallMonitor

AT_ONCE: Final = 0.8
"""Seconds in which a connection must be done to have worked at once."""

LEAST: Final = 3
"""Connections one behind the other that must fail to be told of."""

MOST: Final = 16
"""Connections under way at once."""

_STALLED: Final = 0.1
_FAREWELL: Final = 0.3


@dataclass(frozen=True, slots=True)
class Tick:
    """A fresh connection. ``void``: it failed by this end itself, and proves nothing.

    ``turned_away``: something answered, and it was no welcome, or there was no route.
    """

    start: float
    end: float
    why: str = ""
    void: bool = False
    turned_away: bool = False

    @property
    def worked(self) -> bool:
        """It worked at once."""
        return not self.why


class ConnectFailureTracker:
    """Finds the runs of connections that did not work. Pure; ticks come in order."""

    def __init__(self, tell: Tell) -> None:
        """Say who hears of a run that is over."""
        self.started = 0
        self.failed = 0
        self.void = 0
        self.longest_void = 0.0
        """Seconds for which void ones came one behind the other, with no other that worked."""
        self._void_since: float | None = None
        self.why = ""
        """Why the latest one did not work, "" where it did."""
        self.least = LEAST
        """From how many on a run that is over is told of."""
        self._tell = tell
        self._run: ConnectFailureRun | None = None
        self.worked = 0.0
        """When the latest that worked was begun; 0 before the first."""

    def take(self, tick: Tick) -> None:
        """Take the next one."""
        run = self._run
        if tick.void:
            self.void += 1
            if self._void_since is None:
                self._void_since = tick.start if run is None else run.start
            span = tick.start - self._void_since
            self.longest_void = max(self.longest_void, span)
            return
        self.started += 1
        self.why = tick.why
        if tick.worked:
            self._void_since = None
            self._run, self.worked = None, tick.start
            if run is not None and run.failed >= self.least:
                self._tell(replace(run, end=tick.start, ended=True))
            return
        self.failed += 1
        if run is None:
            before = self.worked or tick.start
            self._run = ConnectFailureRun(
                tick.start,
                tick.end,
                before,
                tick.start,
                1,
                tick.why,
                ended=False,
                turned_away=tick.turned_away,
            )
        else:
            self._run = replace(
                run,
                end=tick.end,
                last=tick.start,
                failed=run.failed + 1,
                turned_away=run.turned_away or tick.turned_away,
            )

    @property
    def standing(self) -> ConnectFailureRun | None:
        """The run that is not over."""
        run = self._run
        return run if run is not None and run.failed >= LEAST else None

    def finish(self) -> None:
        """Tell of a run that is not over."""
        if self.standing is not None:
            self._tell(self.standing)
        self._run = None


class ConnectProbe:
    """Begins one every so often; ``closures`` has the totals."""

    def __init__(
        self,
        address: Address,
        patience: Timeouts,
        period: float,
        stalls: StallMonitor,
        tell: Tell,
        *,
        at_once: float = AT_ONCE,
        met: Met = lambda _: None,
    ) -> None:
        """Say where to, how often (in seconds), who watches us, and who hears of events.

        ``at_once`` is in how many seconds a connection must be done; ``met`` hears who
        welcomed it.
        """
        self.closures = ConnectFailureTracker(tell)
        self.skipped = 0
        self.at_once = at_once
        self._address = address
        self._patience = patience
        self._period = period
        self._stalls = stalls
        self._met = met
        self._pending: deque[asyncio.Task[Tick]] = deque()

    async def run(self, seconds: float) -> None:
        """Go on for so long; then wait for those under way."""
        try:
            await self._run(time.monotonic() + seconds)
            for task in self._pending:
                self.closures.take(await task)
            self.closures.finish()
        finally:
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)

    async def _run(self, until: float) -> None:
        due = time.monotonic()
        while (now := time.monotonic()) < until:
            while self._pending and self._pending[0].done():
                self.closures.take(self._pending.popleft().result())
            if len(self._pending) < MOST:
                self._pending.append(asyncio.create_task(self._tick()))
            else:
                self.skipped += 1
            due = max(due + self._period, now)
            await asyncio.sleep(max(0.0, min(due, until) - time.monotonic()))

    async def _tick(self) -> Tick:
        start = time.monotonic()
        bound = self.at_once
        patience = replace(
            self._patience,
            connect=min(bound, self._patience.connect),
            answer=min(bound, self._patience.answer),
        )
        async with open_connection(self._address, patience) as (opening, conversation):
            end = time.monotonic()
            if conversation is not None:
                self._met(conversation.welcome)
                # Whether ends arrive is for the check close to say.
                await conversation.end(_FAREWELL)
        why = _why(opening)
        if not why and end - start > bound:
            why = "it took too long"
        ours = _ours(opening) or self._stalls.stalled(start, end) > _STALLED
        return Tick(start, end, why, bool(why) and ours, _turned_away(opening))


def _ours(opening: Handshake) -> bool:
    """Tell whether this host itself had no descriptor, port or memory for it."""
    return opening.cause is Cause.OTHER and not opening.accepted


def _turned_away(opening: Handshake) -> bool:
    """Tell whether something answered, and not as a server does, or nothing could leave."""
    if opening.welcome is not None:
        return False
    told = {None, Cause.REFUSED, Cause.RESET, Cause.NO_ROUTE}
    return opening.closed or opening.cause in told


def _why(opening: Handshake) -> str:
    """Return why a connection did not work, "" if it did."""
    if opening.welcome is not None:
        return ""
    if opening.refused is not None:
        return f"the server said {opening.refused.code}"
    if opening.foreign or opening.broken is not None:
        return "something else than a netduet server answered"
    if not opening.accepted:
        return opening.detail
    if opening.closed:
        return "accepted, and closed without an answer"
    return f"accepted, and not answered: {opening.detail}"
