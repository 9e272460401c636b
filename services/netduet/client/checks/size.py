"""Does everything get through, whatever its size? Which sizes are tried, and when.

First a single packet as long as the sender's kernel makes them. Where that stalls,
the limit is searched below it. Amounts of many packets prove nothing about one: a
virtual link hands them on in one piece, past the checks of length that a packet of
1,400 bytes fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.declaration import Check, Context
from netduet.client.checks.identity import Answer, Identity
from netduet.client.checks.passage import Course, Size, judge
from netduet.client.checks.trial import Direction, Fate, Plan, Trial, carry

if TYPE_CHECKING:
    from collections.abc import Iterable

    Carry = Callable[[Plan], Awaitable[Trial]]

MOST: Final = 4
"""Addresses whose passage is looked at."""

LARGER: Final = (4 * 1024, 64 * 1024, 1024 * 1024)
"""Sizes of many packets."""

FLOOR: Final = 200
"""The least size at which the limit is searched."""

NEEDED: Final = ("sink", "source")

_AGAIN: Final = 2
"""Full packets that are tried again when the first has stalled."""

_SIDE_BY_SIDE: Final = 11
"""Sizes that are tried at the same time: three rounds find one of 1,500."""

_ROUNDS: Final = 5


async def measure(context: Context) -> Size:
    """Try sizes to each netduet and back, both at the same time."""
    known = context.earlier(Identity).known[:MOST]
    return Size(tuple(await asyncio.gather(*(_course(context, one) for one in known))))


async def _course(context: Context, answer: Answer) -> Course:
    address, welcome = answer.address, answer.opening.welcome
    features = [] if welcome is None else welcome.features
    lacking = tuple(name for name in NEEDED if name not in features)
    if lacking:
        return Course(address, lacking=lacking)
    try_one = partial(carry, address, context.patience)
    up, down = await asyncio.gather(
        *(search(try_one, direction) for direction in Direction)
    )
    return Course(address, up, down)


async def search(try_one: Carry, direction: Direction) -> tuple[Trial, ...]:
    """Return the trials that it takes to know what gets through one way."""
    full = Plan(direction)
    first = await try_one(full)
    if first.fate is Fate.UNOPENED:
        return first, await try_one(full)
    if first.through:
        return first, *await _repeated(try_one, [Plan(direction, n) for n in LARGER])
    trials = [first, *await _below(try_one, direction, first.size)]
    if any(one.whole and one.through for one in trials):
        # The first was lost, no more: what failed beside it counts once as well.
        failed = [Plan(direction, one.size) for one in trials if _failed_larger(one)]
        trials += await _together(try_one, failed)
    return tuple(trials)


def _failed_larger(trial: Trial) -> bool:
    return not (trial.through or trial.whole or trial.plan.one_packet)


async def _repeated(try_one: Carry, plans: list[Plan]) -> list[Trial]:
    """Try all at the same time, and those that fail a second time."""
    trials = await _together(try_one, plans)
    doubtful = (Fate.STALLED, Fate.ENDED, Fate.UNOPENED)
    failed = [one.plan for one in trials if one.fate in doubtful]
    return [*trials, *await _together(try_one, failed)]


async def _below(try_one: Carry, direction: Direction, size: int) -> list[Trial]:
    """Try a full packet again, larger amounts, and what less gets through."""
    plans = [Plan(direction)] * _AGAIN
    plans += [Plan(direction, larger, brief=True) for larger in LARGER]
    low, high = FLOOR - 1, size
    trials: list[Trial] = []
    for _ in range(_ROUNDS):
        sizes = between(low, high, _SIDE_BY_SIDE)
        plans += [Plan(direction, one, one_packet=True, brief=True) for one in sizes]
        trials += await _together(try_one, plans)
        plans = []
        if any(one.whole and one.through for one in trials):
            break
        packets = [one for one in trials if one.plan.one_packet]
        passed = [one.size for one in packets if one.through]
        if not passed:
            break
        low = max(passed)
        high = min(one.size for one in (*trials, _wall(size)) if _stops(one, low))
        if high - low <= 1:
            break
    return trials
