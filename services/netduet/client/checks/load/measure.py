"""The course of the check ``load``: a time of rest, then up, down, and both at once.

Echoes are asked all the while (the idea of draft-ietf-ippm-responsiveness: what a
loaded path does to small exchanges counts, not the rate alone).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netduet.client.checks.identity.results import IdentityResult
from netduet.client.checks.load.latency_probe import LatencyProbe
from netduet.client.checks.load.results import Load, LoadResult, Phase, TransferFlow
from netduet.client.checks.load.transfer import Transfer, TransferExtent
from netduet.client.net.dial import Address, in_thread
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.results.location import Direction
from netduet.config.units import MIB

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext, Timeouts
    from netduet.client.checks.identity.results import IdentityAnswer

FEATURES: Final = ("echo", "report", "sink", "source")


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to do: seconds of rest, extents of transfers, seconds between echoes."""

    rest: float
    each: TransferExtent
    both: TransferExtent | None
    connections: int
    interval: float
    addresses: int


PLANS: Final = {
    "quick": LoadPlan(0.25, TransferExtent(0.4, 24 * MIB), None, 2, 0.01, 1),
    "full": LoadPlan(
        2.0, TransferExtent(4.0, 512 * MIB), TransferExtent(3.0, 256 * MIB), 4, 0.02, 1
    ),
    "soak": LoadPlan(
        10.0,
        TransferExtent(20.0, 2048 * MIB),
        TransferExtent(20.0, 1024 * MIB),
        4,
        0.02,
        2,
    ),
}
"""By profile: quick takes about a second and 48 MiB at most."""

_CALM: Final = 1.0
"""Seconds for a queue to drain, at most, before the path is filled anew."""

_LOOK: Final = 0.02
_NEAR: Final = 0.005


async def measure(context: CheckContext) -> Load:
    """Load one address after the other: side by side they would share the path."""
    plan = PLANS[context.profile]
    places = [
        await _at(context.timeouts, answer, plan)
        for answer in context.earlier(IdentityResult).known[: plan.addresses]
    ]
    return Load(tuple(places), context.options.min_rate)


async def _at(patience: Timeouts, answer: IdentityAnswer, plan: LoadPlan) -> LoadResult:
    address, welcome = answer.address, answer.opening.welcome
    offered = () if welcome is None else welcome.features
    lacking = [name for name in FEATURES if name not in offered]
    if lacking:
        said = f"the server does not offer {' and '.join(lacking)}"
        return LoadResult(address, skipped=said)
    with LatencyProbe(address, plan.interval, patience.answer) as echoing:
        course = _LoadRun(address, patience, plan, echoing)
        await course.run()
        await in_thread(echoing.finish)
        return course.place()


class _LoadRun:
    """The phases at one address."""

    def __init__(
        self,
        address: Address,
        patience: Timeouts,
        plan: LoadPlan,
        echoing: LatencyProbe,
    ) -> None:
        """Prepare."""
        self._address = address
        self._patience = patience
        self._plan = plan
        self._echoing = echoing
        self._phases: list[Phase] = []
        self._skipped = ""

    def place(self) -> LoadResult:
        """Return what was measured, with the echoes of each phase."""
        phases = [
            Phase(
                phase.name,
                phase.start,
                phase.end,
                phase.flows,
                self._echoing.between(phase.start, phase.end),
                phase.cpu,
            )
            for phase in self._phases
        ]
        return LoadResult(
            self._address, tuple(phases), self._skipped, self._echoing.detail
        )

    async def run(self) -> None:
        """Go through all phases; one that went wrong is the last."""
        plan = self._plan
        await self._rest()
        steps: list[tuple[tuple[Direction, ...], TransferExtent]]
        steps = [((Direction.UP,), plan.each), ((Direction.DOWN,), plan.each)]
        if plan.both is not None:
            steps.append(((Direction.UP, Direction.DOWN), plan.both))
        for directions, extent in steps:
            if not await self._phase(directions, extent):
                return

    async def _rest(self) -> None:
        start, used = time.monotonic(), time.process_time()
        until = start + self._patience.answer
        while self._echoing.latest() is None and self._echoing.alive:
            if time.monotonic() >= until:
                break
            await asyncio.sleep(_LOOK)
        start = time.monotonic()
        await asyncio.sleep(self._plan.rest)
        self._add("idle", start, used, ())

    def _add(
        self, name: str, start: float, used: float, flows: tuple[TransferFlow, ...]
    ) -> None:
        end = time.monotonic()
        cpu = (time.process_time() - used) / max(_LOOK, end - start)
        self._phases.append(Phase(name, start, end, flows, cpu=cpu))

    async def _phase(
        self, directions: tuple[Direction, ...], extent: TransferExtent
    ) -> bool:
        """Fill the path these ways; tell whether all went as it should."""
        await self._calm()
        async with contextlib.AsyncExitStack() as stack:
            transfers = []
            for direction in directions:
                conversations = await self._open(stack, len(directions))
                if not conversations:
                    return False
                transfers.append(Transfer(direction, conversations, extent))
            start, used = time.monotonic(), time.process_time()
            flows = await asyncio.gather(
                *(one.run(self._address, self._patience) for one in transfers)
            )
            end = max(one.end for one in flows)
            name = "both" if len(flows) > 1 else directions[0].value
            cpu = (time.process_time() - used) / max(_LOOK, time.monotonic() - start)
            self._phases.append(Phase(name, start, end, tuple(flows), cpu=cpu))
        return all(not (one.halt or one.cut or one.refused) for one in flows)

    async def _open(
        self, stack: contextlib.AsyncExitStack, ways: int
    ) -> list[FramedConnection]:
        """Open the connections of a transfer; as many as can be."""
        opened = []
        count = max(1, self._plan.connections // ways)
        met = [open_connection(self._address, self._patience) for _ in range(count)]
        for opening, conversation in await asyncio.gather(
            *(stack.enter_async_context(one) for one in met)
        ):
            if conversation is not None:
                opened.append(conversation)
            elif not opened:
                detail = opening.detail or "it was not welcomed"
                self._skipped = f"a connection for bulk data: {detail}"
        return opened

    async def _calm(self) -> None:
        """Wait until what the last phase left behind has drained."""
        idle = self._phases[0]
        echoes = self._echoing.between(idle.start, idle.end)
        times = sorted(echo.arrived - echo.due for echo in echoes if echo.arrived)
        usual = times[len(times) * 9 // 10] if times else 0.0
        until = time.monotonic() + _CALM
        while time.monotonic() < until and self._echoing.alive:
            latest = self._echoing.latest()
            if latest is not None and latest <= 2 * usual + _NEAR:
                return
            await asyncio.sleep(_LOOK)
