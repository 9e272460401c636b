"""Runs a check at each address at which a netduet answers, and merges what it finds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from netduet.client.checks.identity.results import IdentityResult
from netduet.client.results.verdict import Judgement, merge_judgements

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from netduet.client.checks.base import CheckContext, CheckOptions
    from netduet.client.checks.identity.results import IdentityAnswer

Result = TypeVar("Result")

MAX_ADDRESSES: Final = 4
"""Addresses at which a check runs, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class AddressResults(Generic[Result]):
    """The results of a check by address, and the options by which they are judged."""

    results: tuple[Result, ...]
    options: CheckOptions


@dataclass(frozen=True, slots=True)
class AddressCheck(Generic[Result]):
    """A check of single addresses.

    ``measure_address`` gets the address with its answer, and how many are measured;
    ``judge_address`` is pure. Addresses are measured side by side, or ``in_turn`` where
    they would share the path. ``max_addresses`` is a number, or one by profile.
    ``finish`` has the last word on what the addresses' judgements come to.
    """

    measure_address: Callable[[CheckContext, IdentityAnswer, int], Awaitable[Result]]
    judge_address: Callable[[Result, CheckOptions], Judgement]
    max_addresses: int | dict[str, int] = MAX_ADDRESSES
    in_turn: bool = False
    finish: Callable[[Judgement, Sequence[Judgement]], Judgement] | None = None

    async def measure(self, context: CheckContext) -> AddressResults[Result]:
        """Measure at each address at which a netduet has answered."""
        limit = self.max_addresses
        if isinstance(limit, dict):
            limit = limit[context.profile]
        answers = context.earlier(IdentityResult).known[:limit]
        count = len(answers)
        if self.in_turn:
            results = [
                await self.measure_address(context, answer, count) for answer in answers
            ]
        else:
            results = await asyncio.gather(
                *(self.measure_address(context, answer, count) for answer in answers)
            )
        return AddressResults(tuple(results), context.options)

    def judge(self, measured: AddressResults[Result]) -> Judgement:
        """Judge each address by itself, and merge."""
        if not measured.results:
            return Judgement("", skipped="no netduet to connect to")
        judgements = [
            self.judge_address(result, measured.options) for result in measured.results
        ]
        merged = merge_judgements(judgements)
        return merged if self.finish is None else self.finish(merged, judgements)
