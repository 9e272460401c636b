"""Which sizes the check ``size`` tries, and in which order.

First a single packet, as long as the sender's kernel makes them. If it stalls, the
limit is searched below it. Data of many packets proves nothing about single ones: a
virtual link passes it in one piece, without the length check that a packet of 1,400
bytes fails. It is tried at the same time, so that a long round trip is waited for once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.size import service_trial
from netduet.client.checks.size.black_hole import cannot_leave
from netduet.client.checks.size.content import plan_replays
from netduet.client.checks.size.results import (
    SizeResult,
    SizeTrial,
    TrialOutcome,
    TrialPlan,
)
from netduet.client.checks.size.service_trial import (
    has_long_question,
    run_service_trial,
)
from netduet.client.checks.size.trial import run_trial
from netduet.client.results.location import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netduet.client.net.timeouts import Timeouts

    TrialFunction = Callable[[TrialPlan], Awaitable[SizeTrial]]

LARGER_BYTES: Final = (4 * 1024, 64 * 1024, 1024 * 1024)
"""Sizes of several packets."""

_MAX_TRANSIT_SECONDS: Final = 2.0
"""Seconds in which a slow path must carry the largest size."""

MIN_SEARCH_BYTES: Final = 200
"""Smallest size of the search."""

_FULL_PACKET_REPEATS: Final = 2
"""Full packets that are tried again if the first one stalled."""

_INSTANCE_REPEATS: Final = 12
"""Full packets that are tried again if several instances answer and one of them failed."""

_CONCURRENT_SIZES: Final = 11
"""Sizes tried concurrently: three rounds find the limit among 1,500."""

_MAX_SEARCH_ROUNDS: Final = 5


async def measure(context: CheckContext, answer: IdentityAnswer) -> SizeResult:
    """Try sizes to and from a netduet server concurrently; only to other services."""
    if answer.is_service:
        return await _measure_service(answer, context.timeouts)
    try_plan = partial(run_trial, answer.address, context.timeouts)
    is_slow = answer.rate < math.inf
    if is_slow:
        try_plan = partial(_try_in_turn, asyncio.Lock(), try_plan)
    sizes = fit_sizes(answer.rate)
    up, down = await asyncio.gather(
        *(
            search(try_plan, direction, sizes, is_slow=is_slow)
            for direction in Direction
        )
    )
    replays = [
        trial
        for plans in map(plan_replays, (up, down))
        for trial in await _try_concurrently(try_plan, plans)
    ]
    return SizeResult(answer.address, up, down, replays=tuple(replays))


def fit_sizes(rate: float) -> tuple[int, ...]:
    """Return the sizes of several packets to try on a path with this rate in bit/s."""
    if rate == math.inf:
        return LARGER_BYTES
    largest = max(LARGER_BYTES[0], int(rate / 8 * _MAX_TRANSIT_SECONDS))
    return tuple(dict.fromkeys(min(size, largest) for size in LARGER_BYTES))


async def _try_in_turn(
    lock: asyncio.Lock, try_plan: TrialFunction, plan: TrialPlan
) -> SizeTrial:
    """Try a plan; several packets only when no others are on their way."""
    if plan.size is None or plan.one_packet:
        return await try_plan(plan)
    async with lock:
        return await try_plan(plan)


async def _measure_service(answer: IdentityAnswer, timeouts: Timeouts) -> SizeResult:
    if not await has_long_question(answer, timeouts):
        return SizeResult(answer.address, (), (), needs_server=True)
    try_plan = partial(run_service_trial, answer, timeouts)
    up = await search(try_plan, Direction.UP, service_trial.LARGER_BYTES)
    return SizeResult(answer.address, up, ())


async def search(
    try_plan: TrialFunction,
    direction: Direction,
    larger_sizes: Sequence[int] = LARGER_BYTES,
    *,
    is_slow: bool = False,
) -> tuple[SizeTrial, ...]:
    """Return the trials that determine what passes in one direction.

    On a slow path, larger sizes would delay a single packet: they come after it.
    """
    larger = [TrialPlan(direction, size) for size in larger_sizes]
    try_larger = partial(_try_concurrently, try_plan, larger)
    in_parallel = None if is_slow else asyncio.ensure_future(try_larger())
    try:
        full = TrialPlan(direction)
        trials = [await try_plan(full)]
        if trials[0].outcome is TrialOutcome.UNOPENED:
            trials.append(await try_plan(full))
        first = trials[-1]
        if first.outcome is TrialOutcome.UNOPENED:
            return tuple(trials)
        trials += await (in_parallel or try_larger())
    finally:
        if in_parallel is not None:
            in_parallel.cancel()
    if first.delivered:
        return (*trials, *await _repeat_failed(try_plan, trials))
    trials += await _search_below(try_plan, direction, first)
    if _first_was_chance(trials):
        # Only the first one was lost, so other failures are also repeated.
        failed = [
            TrialPlan(direction, trial.size)
            for trial in trials
            if not (trial.delivered or trial.is_full_packet or trial.plan.one_packet)
        ]
        trials += await _try_concurrently(try_plan, failed)
        if len({trial.instance for trial in trials if trial.instance}) > 1:
            # Not chance, if all that fail reached the same instance.
            again = [TrialPlan(direction, brief=True)] * _INSTANCE_REPEATS
            trials += await _try_concurrently(try_plan, again)
    return tuple(trials)


async def _repeat_failed(
    try_plan: TrialFunction, trials: list[SizeTrial]
) -> list[SizeTrial]:
    """Try once more those larger than a packet that failed."""
    doubtful = (TrialOutcome.STALLED, TrialOutcome.ENDED, TrialOutcome.UNOPENED)
    failed = [
        trial.plan
        for trial in trials
        if trial.outcome in doubtful and not trial.is_full_packet
    ]
    return await _try_concurrently(try_plan, failed)


def _first_was_chance(trials: list[SizeTrial]) -> bool:
    """Whether a full packet was lost by chance, because others pass."""
    return any(
        trial.is_full_packet and trial.delivered for trial in trials
    ) and not any(map(cannot_leave, trials))


async def _search_below(
    try_plan: TrialFunction,
    direction: Direction,
    first: SizeTrial,
) -> list[SizeTrial]:
    """Try full packets again, and smaller ones."""
    plans = [TrialPlan(direction)] * _FULL_PACKET_REPEATS
    low, high = MIN_SEARCH_BYTES, first.size
    sizes = [MIN_SEARCH_BYTES, *_evenly_between(low, high, _CONCURRENT_SIZES - 1)]
    trials: list[SizeTrial] = []
    for _ in range(_MAX_SEARCH_ROUNDS):
        plans += [
            TrialPlan(direction, size, one_packet=True, brief=True) for size in sizes
        ]
        trials += await _try_concurrently(try_plan, plans)
        plans = []
        if _first_was_chance([first, *trials]):
            break
        packets = [trial for trial in trials if trial.plan.one_packet]
        passed = [trial.size for trial in packets if trial.delivered]
        if not passed:
            break
        low = max(passed)
        stalled = [
            trial.size for trial in packets if not trial.delivered and trial.size > low
        ]
        high = min(stalled, default=high)
        sizes = _evenly_between(low, high, _CONCURRENT_SIZES)
        if not sizes:
            break
    return trials


def _evenly_between(low: int, high: int, count: int) -> list[int]:
    """Return that many sizes evenly between two, excluding them, in order."""
    step = max(1.0, (high - low) / (count + 1))
    sizes = (low + max(1, round(number * step)) for number in range(1, count + 1))
    return sorted({size for size in sizes if size < high})


async def _try_concurrently(
    try_plan: TrialFunction, plans: Iterable[TrialPlan]
) -> list[SizeTrial]:
    return await asyncio.gather(*(try_plan(plan) for plan in plans))
