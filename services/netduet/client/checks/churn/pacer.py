"""Connections at a fixed rate, each at its time; and as many as may be at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from netduet.client.checks.churn.attempt import attempt, part
from netduet.client.checks.churn.results import Attempt, ChurnPlan, HoldResult, Run
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection

LATE: Final = 0.1
"""Seconds by which a connection may start late; then it is left out, and said."""

KEEPING_GAP: Final = 0.01
"""Seconds between two connections that are kept."""

PROBES: Final = 4
"""Connections with which a limit on those at once is confirmed, and its end is."""

_PROBING_GAP: Final = 0.3
"""Seconds between two of these: a limit by rate lets one pass meanwhile."""

_PROBING: Final = 1.5
"""Seconds for each: its SYN is sent once more meanwhile."""

_TROUBLE: Final = 0.2
"""Share of the first connections from which on further ones are made."""

_HARDLY: Final = 0.1
"""Share of those behind the first failure that may yet be made at a limit by count."""

_SETTLE: Final = 0.1
"""Seconds for whoever counts connections to see that they were ended."""


@dataclass(slots=True)
class Pacer:
    """Makes the connections of one address."""

    address: Address
    answering: float
    plan: ChurnPlan
    kept: list[FramedConnection] = field(default_factory=list)

    async def run(self) -> Run:
        """Make short connections at the plan's rate."""
        plan = self.plan
        short = partial(self._short, patience=plan.patience)
        return await _paced(short, plan.count, plan.gap, plan.most, plan.longer)

    async def hold(self) -> HoldResult:
        """Keep connections up to the plan's number; find out what ends that."""
        plan = self.plan
        try:
            run = await _paced(self._keep, plan.held, KEEPING_GAP, plan.most)
            held = HoldResult(run, len(self.kept))
            if not stops(run):
                await self._release()
                return held
            beside = await self._probes()
            answered = False
            for framed_connection in self.kept[:1]:
                answered = await framed_connection.report(self.answering) is not None
            alive = sum(not framed_connection.gone for framed_connection in self.kept)
            await self._release()
            await asyncio.sleep(_SETTLE)
            after = await self._probes()
            return HoldResult(run, held.kept, alive, answered, beside, after)
        except BaseException:  # told to stop: without a word to the server
            for framed_connection in self.kept:
                framed_connection.close()
            raise

    async def _probes(self) -> tuple[Attempt, ...]:
        short = partial(self._short, patience=min(_PROBING, self.plan.patience))
        return (await _paced(short, PROBES, _PROBING_GAP, PROBES)).attempts

    async def _short(self, at: float, patience: float) -> Attempt:
        one, conversation = await attempt(self.address, at, patience, self.answering)
        if conversation is not None:
            await part(conversation)
        return one

    async def _keep(self, at: float) -> Attempt:
        patience = self.plan.patience
        one, conversation = await attempt(self.address, at, patience, self.answering)
        if conversation is not None:
            self.kept.append(conversation)
        return one

    async def _release(self) -> None:
        """End all that are kept; in any case close them."""
        released, self.kept = self.kept, []
        try:
            await asyncio.gather(
                *(part(framed_connection) for framed_connection in released)
            )
        finally:
            for one in released:
                one.close()


def stops(run: Run) -> bool:
    """Tell whether the connections were made up to some number, and hardly any from there.

    Where another one ends elsewhere meanwhile, as those of the check idle do, it makes
    room for one more.
    """
    made = [one.boot_id != "" for one in run.attempts]
    if not made or made[-1]:
        return False
    first = made.index(False)
    behind = made[first:]
    return first > 0 and sum(behind) <= _HARDLY * len(behind)


def _troubled(tasks: Sequence[asyncio.Task[Attempt]]) -> bool:
    """Tell whether many have trouble; a late half may still be on its way."""
    early = tasks[: len(tasks) // 2]
    bad = sum(one.done() and not one.result().smooth for one in tasks)
    bad += sum(not one.done() for one in early)
    return bad > _TROUBLE * len(early)


async def _paced(
    one: Callable[[float], Coroutine[None, None, Attempt]],
    count: int,
    gap: float,
    most: int,
    longer: int = 0,
) -> Run:
    """Start each at its time; what could not be is left out, not caught up with."""
    tasks: list[asyncio.Task[Attempt]] = []
    planned, unstarted, late, under_way = 0, 0, 0.0, 0

    def done(_: object) -> None:
        nonlocal under_way
        under_way -= 1

    start = time.monotonic()
    try:
        for number in range(count + longer):
            if number == count and not _troubled(tasks):
                break
            planned = number + 1
            due = start + number * gap
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            behind = now - due
            if behind > LATE or under_way >= most:
                unstarted += 1
                continue
            late = max(late, behind)
            under_way += 1
            task = asyncio.create_task(one(now - start))
            task.add_done_callback(done)
            tasks.append(task)
        tries = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Run(planned, gap, tuple(tries), unstarted, late)
