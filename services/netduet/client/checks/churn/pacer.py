"""Makes connections at a fixed rate, and holds many open at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from netduet.client.checks.churn.attempt import (
    ChurnConnection,
    end_connection,
    make_attempt,
)
from netduet.client.checks.churn.results import (
    Attempt,
    AttemptOutcome,
    ChurnPlan,
    HoldResult,
    PacedRun,
)
from netduet.client.net.dialer import Dialer

MAX_START_DELAY_SECONDS: Final = 0.1
"""Maximum delay of a start; later ones are skipped and counted."""

HOLD_GAP_SECONDS: Final = 0.01
"""Seconds between two connections that are held open."""

PROBE_COUNT: Final = 4
"""Connections that confirm a limit on open connections, and its end."""

_PROBE_GAP_SECONDS: Final = 0.3
"""Seconds between two of these; a rate limit lets one pass meanwhile."""

_PROBE_TIMEOUT_SECONDS: Final = 1.5
"""Seconds for each; its SYN is retransmitted once meanwhile."""

_MIN_TROUBLED_SHARE: Final = 0.08
"""Share of failing connections among the first half from which more are made: of 82, a
loss of 20 % shows in 12 of 13 runs, of 157 in nearly all."""

_MAX_PASSED_SHARE: Final = 0.1
"""Share of connections after the first failure that may still pass at such a limit."""

_SETTLE_SECONDS: Final = 0.1
"""Seconds for whatever counts connections to notice their end."""

_RELEASE_TRIES: Final = 3
"""Times that the end of a limit is tried: ends are noticed late where hosts are busy, and
unlike a lost SYN, a refused connection is not tried again by the kernel. A rate that lets
none of four pass before has no four to give by then."""


@dataclass(slots=True)
class Pacer:
    """Makes the connections to one address."""

    dialer: Dialer
    answer_timeout: float
    plan: ChurnPlan
    held: list[ChurnConnection] = field(default_factory=list)

    async def run(self) -> PacedRun:
        """Make short connections at the plan's rate."""
        plan = self.plan
        short = partial(self._attempt_short, connect_timeout=plan.connect_timeout)
        return await _run_paced(
            short, plan.count, plan.gap, plan.max_concurrent, plan.extra_count
        )

    async def hold(self) -> HoldResult:
        """Hold up to the plan's number of connections open; probe why fewer can be."""
        plan = self.plan
        await asyncio.sleep(_SETTLE_SECONDS)
        try:
            run = await _run_paced(
                self._attempt_and_hold,
                plan.hold_count,
                HOLD_GAP_SECONDS,
                plan.max_concurrent,
            )
            held = HoldResult(run, self._open_count)
            if not reaches_limit(run):
                await self._release()
                return held
            while_held = await self._probe_limit()
            answered = False
            for connection in self.held[:1]:
                connection.ask()
                answered = await connection.answers(self.answer_timeout) is not None
            alive = self._open_count
            await self._release()
            after_release = await self._probe_release()
            return HoldResult(
                run, held.held_count, alive, answered, while_held, after_release
            )
        except BaseException:  # cancelled: close without ending the stream
            for connection in self.held:
                connection.close()
            raise

    @property
    def _open_count(self) -> int:
        return sum(connection.ending is None for connection in self.held)

    async def _probe_limit(self) -> tuple[Attempt, ...]:
        attempt_short = partial(
            self._attempt_short,
            connect_timeout=min(_PROBE_TIMEOUT_SECONDS, self.plan.connect_timeout),
        )
        return (
            await _run_paced(
                attempt_short, PROBE_COUNT, _PROBE_GAP_SECONDS, PROBE_COUNT
            )
        ).attempts

    async def _probe_release(self) -> tuple[Attempt, ...]:
        """Probe until all pass, a few times at most."""
        attempts: tuple[Attempt, ...] = ()
        for _ in range(_RELEASE_TRIES):
            await asyncio.sleep(_SETTLE_SECONDS)
            attempts = await self._probe_limit()
            if all(each.outcome is AttemptOutcome.SERVED for each in attempts):
                break
        return attempts

    async def _attempt_short(self, offset: float, connect_timeout: float) -> Attempt:
        attempt, connection = await make_attempt(
            self.dialer, offset, connect_timeout, self.answer_timeout
        )
        if connection is not None:
            await end_connection(connection)
        return attempt

    async def _attempt_and_hold(self, offset: float) -> Attempt:
        connect_timeout = self.plan.connect_timeout
        attempt, connection = await make_attempt(
            self.dialer, offset, connect_timeout, self.answer_timeout
        )
        if connection is not None:
            self.held.append(connection)
        return attempt

    async def _release(self) -> None:
        """End all held connections, and close them in any case."""
        released, self.held = self.held, []
        try:
            await asyncio.gather(
                *(end_connection(connection) for connection in released)
            )
        finally:
            for connection in released:
                connection.close()


def reaches_limit(run: PacedRun) -> bool:
    """Whether connections were made up to some number, and almost none after it.

    A connection of another check that ends meanwhile makes room for one more.
    """
    established = [attempt.outcome is AttemptOutcome.SERVED for attempt in run.attempts]
    if all(established):
        return False
    first = established.index(False)
    after_failure = established[first:]
    return first > 0 and sum(after_failure) <= _MAX_PASSED_SHARE * len(after_failure)


def _many_troubled(tasks: Sequence[asyncio.Task[Attempt]]) -> bool:
    """Whether many fail; the second half may still be in progress."""
    first_tasks = tasks[: len(tasks) // 2]
    troubled = sum(
        attempt.done() and not attempt.result().passed_cleanly for attempt in tasks
    )
    troubled += sum(not attempt.done() for attempt in first_tasks)
    return troubled > _MIN_TROUBLED_SHARE * len(first_tasks)


async def _run_paced(
    start_attempt: Callable[[float], Coroutine[None, None, Attempt]],
    count: int,
    gap: float,
    max_concurrent: int,
    extra_count: int = 0,
) -> PacedRun:
    """Start each attempt when it is due; skip those that cannot start in time."""
    tasks: list[asyncio.Task[Attempt]] = []
    planned, unstarted, max_delay, running = 0, 0, 0.0, 0

    def done(_: object) -> None:
        nonlocal running
        running -= 1

    start = time.monotonic()
    try:
        for number in range(count + extra_count):
            if number == count and not _many_troubled(tasks):
                break
            planned = number + 1
            due = start + number * gap
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            lateness = now - due
            if lateness > MAX_START_DELAY_SECONDS or running >= max_concurrent:
                unstarted += 1
                continue
            max_delay = max(max_delay, lateness)
            running += 1
            task = asyncio.create_task(start_attempt(now - start))
            task.add_done_callback(done)
            tasks.append(task)
        tries = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return PacedRun(planned, gap, tuple(tries), unstarted, max_delay)
