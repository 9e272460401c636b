"""Keeps connections busy beside the silent ones, for as long as those are held.

A connection that ends although it is used has no idle timer, but a lifetime. Each one
that ends is followed by another, and a second series begins a little later: what ends
at the same age, and at different times, was ended because of its age.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from netduet.client.checks.idle.results import BusyConnection
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.server_evidence import server_view
from netduet.client.net.timeouts import Timeouts

MAX_PERIOD_SECONDS: Final = 1.0
MIN_PERIOD_SECONDS: Final = 0.1
PERIODS_PER_RUNG: Final = 8
"""Questions in the time of the shortest rung, so that no such timer expires."""

MAX_QUESTIONS: Final = 500
"""Half of what a server answers on a connection."""

MAX_CONNECTIONS: Final = 3
"""Connections of one series."""

_WITNESS_SECONDS: Final = 2.0
"""Seconds by which a second connection must outlive the first, to show no lifetime."""

_STAGGER_SHARE: Final = 0.25
_MAX_STAGGER_SECONDS: Final = 3.0


async def keep_busy(
    address: Address, timeouts: Timeouts, rungs: Sequence[float], over: asyncio.Event
) -> tuple[BusyConnection, ...]:
    """Use connections until it is ``over``; return them in the order of their starts.

    If one has ended by then, a younger one goes on until it is as old.
    """
    if not rungs:
        return ()
    shortest, longest = min(rungs), max(rungs)
    period = min(MAX_PERIOD_SECONDS, shortest / PERIODS_PER_RUNG)
    period = max(MIN_PERIOD_SECONDS, period, longest / MAX_QUESTIONS)
    stagger = min(_MAX_STAGGER_SECONDS, _STAGGER_SHARE * shortest)
    user = _BusyUser(address, timeouts, period, over)
    await asyncio.gather(user.use_in_turn(0.0), user.use_in_turn(stagger))
    return tuple(sorted(user.used, key=lambda busy: busy.start))


class _BusyUser:
    """Uses connections periodically; ``used`` are those that it has done with."""

    def __init__(
        self, address: Address, timeouts: Timeouts, period: float, over: asyncio.Event
    ) -> None:
        self.used: list[BusyConnection] = []
        self._address = address
        self._timeouts = timeouts
        self._period = period
        self._over = over

    async def use_in_turn(self, delay: float) -> None:
        """Use one connection after the other, from a delay in seconds on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._over.wait()
        for _ in range(MAX_CONNECTIONS):
            if self._over.is_set() or not await self._use_next():
                return

    async def _use_next(self) -> bool:
        """Use a new connection until its end; return whether it ended by itself."""
        timeout = self._timeouts.answer
        async with open_connection(self._address, self._timeouts) as (_, connection):
            if connection is None:
                return False
            start = time.monotonic()
            end = await self._use(connection, start)
            ending = connection.ending
            if end is None:
                await connection.end(timeout)
                self.used.append(BusyConnection(start, time.monotonic(), is_alive=True))
                return False
            # Before the server's record is read, for the younger one looks at it.
            self.used.append(BusyConnection(start, end, ending=ending))
            place = len(self.used) - 1
            view = await server_view(
                self._address, connection.welcome, self._timeouts, inspect=False
            )
        self.used[place] = replace(self.used[place], server=view)
        return True

    async def _use(self, connection: FramedConnection, start: float) -> float | None:
        """Ask periodically; return when it was last alive, None if it is no longer needed."""
        alive = start
        while self._is_needed(start):
            connection.ask()
            if not await connection.answers(self._timeouts.answer):
                return alive if connection.ending is None else time.monotonic()
            alive = time.monotonic()
            # Its end is noticed when it happens, not with the next question.
            if not await connection.answers(self._period) and connection.ending:
                return time.monotonic()
        return None

    def _is_needed(self, start: float) -> bool:
        """Whether a connection that began at ``start`` may still show something."""
        ages = [busy.seconds for busy in self.used if not busy.is_alive]
        age = time.monotonic() - start
        return not self._over.is_set() or (
            len(ages) == 1 and age < ages[0] + _WITNESS_SECONDS
        )
