"""Runs a check at each address of a netduet server, and merges the judgements."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from netduet.client.checks.base import Check
from netduet.client.checks.identity.results import IdentityResult
from netduet.client.results.verdict import Judgement, merge_judgements

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from netduet.client.checks.base import CheckContext, CheckOptions
    from netduet.client.checks.identity.results import IdentityAnswer
    from netduet.client.net.dial import Address
    from netduet.client.results.failure import Failure

Result = TypeVar("Result")

MAX_ADDRESSES: Final = 4
"""Default maximum of addresses at which a check runs."""


@dataclass(frozen=True, slots=True)
class AddressResults(Generic[Result]):
    """The results of a check by address, and the options that judge them.

    ``unsupported`` are the addresses whose server lacks a required feature.
    """

    results: tuple[Result, ...]
    options: CheckOptions
    unsupported: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressCheck(Generic[Result]):
    """A check of single addresses.

    ``measure_address`` gets the identity answer of an address; ``judge_address`` is
    pure. An address whose server lacks a feature that the check ``requires`` is not
    measured. Addresses are measured concurrently, or ``in_turn`` if they would share
    the path. ``max_addresses`` is a number, or one per profile. ``finish`` may change
    the merged judgement.
    """

    measure_address: Callable[[CheckContext, IdentityAnswer], Awaitable[Result]]
    judge_address: Callable[[Result, CheckOptions], Judgement]
    requires: frozenset[str] = frozenset()
    max_addresses: int | dict[str, int] = MAX_ADDRESSES
    in_turn: bool = False
    finish: Callable[[Judgement, Sequence[Result]], Judgement] | None = None

    def as_check(
        self,
        name: str,
        question: str,
        failures: tuple[Failure, ...],
        *,
        heavy: bool = False,
        after: tuple[str, ...] = ("balance",),
    ) -> Check[AddressResults[Result]]:
        """Return the check, which needs an address at which a netduet answers."""
        needs = ("identity",)
        return Check(
            name, question, needs, self.measure, self.judge, failures, heavy, after
        )

    async def measure(self, context: CheckContext) -> AddressResults[Result]:
        """Measure each address at which a netduet server answered."""
        limit = self.max_addresses
        if isinstance(limit, dict):
            limit = limit[context.profile]
        known = context.earlier(IdentityResult).known[:limit]
        answers = [answer for answer in known if self.requires <= answer.features]
        unsupported = tuple(answer.address for answer in known if answer not in answers)
        if self.in_turn:
            results = [
                await self.measure_address(context, answer) for answer in answers
            ]
        else:
            results = await asyncio.gather(
                *(self.measure_address(context, answer) for answer in answers)
            )
        return AddressResults(tuple(results), context.options, unsupported)

    def judge(self, measured: AddressResults[Result]) -> Judgement:
        """Judge each address, and merge the judgements."""
        judgements = [
            self.judge_address(result, measured.options) for result in measured.results
        ]
        if measured.unsupported:
            where = ", ".join(map(str, measured.unsupported))
            text = f"{where}: the server's version does not support this check"
            judgements.append(Judgement("", skipped=text))
        if not judgements:
            return Judgement("", skipped="no netduet to connect to")
        merged = merge_judgements(judgements)
        if self.finish is None or not measured.results:
            return merged
        return self.finish(merged, measured.results)
