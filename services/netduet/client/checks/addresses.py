"""Runs a check at each address of a netduet server, and merges the judgements."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from netduet.client.checks.base import Check, PathUse
from netduet.client.checks.identity.results import IdentityResult
from netduet.client.net.dialer import MIN_CONNECTIONS
from netduet.client.results.verdict import NEEDS_SERVER, Figures, Judgement

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

    ``unsupported`` are the addresses whose server lacks a required feature,
    ``services`` those of services that the check cannot measure; ``spared`` are services
    that would take its connections for an attack.
    """

    results: tuple[Result, ...]
    options: CheckOptions
    unsupported: tuple[Address, ...] = ()
    services: tuple[Address, ...] = ()
    spared: tuple[IdentityAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressCheck(Generic[Result]):
    """A check of single addresses.

    ``measure_address`` gets the identity answer of an address; ``judge_address`` is
    pure. An address whose server lacks a feature that the check ``requires`` is not
    measured; neither is a service other than netduet-server, unless the check measures
    ``any_service``, or one that is asked over UDP, unless it measures ``datagrams``. A
    service that blocks clients with ``many_connections`` is left out, too. Addresses are
    measured concurrently; or in turn if a path is slow, or if they would share the path
    (``in_turn``). ``max_addresses`` is a number, or one per profile. ``finish`` may change
    the merged judgement.
    """

    measure_address: Callable[[CheckContext, IdentityAnswer], Awaitable[Result]]
    judge_address: Callable[[Result, CheckOptions], Judgement]
    requires: frozenset[str] = frozenset()
    any_service: bool = False
    datagrams: bool = False
    many_connections: bool = False
    max_addresses: int | dict[str, int] = MAX_ADDRESSES
    in_turn: bool = False
    finish: Callable[[Judgement, Sequence[Result]], Judgement] | None = None

    def as_check(
        self,
        name: str,
        question: str,
        failures: tuple[Failure, ...],
        *,
        path_use: PathUse = PathUse.LIGHT,
        after: tuple[str, ...] = ("balance",),
        following: tuple[str, ...] = (),
    ) -> Check[AddressResults[Result]]:
        """Return the check; it needs an address of a server that can be talked to."""
        needs = ("identity",)
        return Check(
            name,
            question,
            needs,
            self.measure,
            self.judge,
            failures,
            path_use,
            after,
            following=following,
        )

    async def measure(self, context: CheckContext) -> AddressResults[Result]:
        """Measure each address at which a server answered."""
        limit = self.max_addresses
        if isinstance(limit, dict):
            limit = limit[context.profile]
        usable = context.earlier(IdentityResult).usable[:limit]
        answers = [answer for answer in usable if self._can_measure(answer)]
        left_out = [answer for answer in usable if not self._can_measure(answer)]
        unsupported = tuple(each.address for each in left_out if each.is_netduet)
        spared = tuple(each for each in left_out if self._is_spared(each))
        services = tuple(
            each.address for each in left_out if each.is_service and each not in spared
        )
        is_slow = any(answer.rate < math.inf for answer in answers)
        if self.in_turn or is_slow:
            results = [
                await self.measure_address(context, answer) for answer in answers
            ]
        else:
            results = await asyncio.gather(
                *(self.measure_address(context, answer) for answer in answers)
            )
        return AddressResults(
            tuple(results), context.options, unsupported, services, spared
        )

    def _can_measure(self, answer: IdentityAnswer) -> bool:
        if answer.is_netduet:
            return self.requires <= answer.features
        if self._is_spared(answer):
            return False
        return self.any_service and (self.datagrams or not answer.is_over_udp)

    def _is_spared(self, answer: IdentityAnswer) -> bool:
        """Whether the service would take the check's connections for an attack."""
        protocol = answer.protocol
        return (
            self.many_connections
            and protocol is not None
            and protocol.max_connections < MIN_CONNECTIONS
        )

    def judge(self, measured: AddressResults[Result]) -> Judgement:
        """Judge each address, and merge the judgements."""
        judgements = [
            self.judge_address(result, measured.options) for result in measured.results
        ]
        if measured.unsupported:
            where = ", ".join(map(str, measured.unsupported))
            text = f"{where}: the server's version does not support this check"
            judgements.append(Judgement("", skipped=text))
        if measured.services:
            where = ", ".join(map(str, measured.services))
            judgements.append(
                Judgement("", skipped=f"{where}: {NEEDS_SERVER}", needs_server=True)
            )
        judgements += [
            Judgement("", skipped=f"{answer.address}: {_spared_text(answer)}")
            for answer in measured.spared
        ]
        if not judgements:
            return Judgement("", skipped="no netduet server to connect to")
        merged = _merge(judgements)
        if self.finish is None or not measured.results:
            return merged
        return self.finish(merged, measured.results)


def _spared_text(answer: IdentityAnswer) -> str:
    title = "the service" if answer.protocol is None else answer.protocol.title
    return f"not run: {title} blocks clients that often connect without a login"


def _merge(judgements: Sequence[Judgement]) -> Judgement:
    """Merge the judgements of several addresses; later figures are numbered.

    It is skipped, for the first reason, if all are, or if a blocking one is and no
    address has a finding. Otherwise the reasons become notes. It blocks if one of them
    blocks.
    """
    figures: Figures = {}
    for number, judgement in enumerate(judgements, 1):
        prefix = f"{number}." if number > 1 else ""
        figures |= {
            f"{prefix}{name}": value for name, value in judgement.figures.items()
        }
    findings = tuple(
        finding for judgement in judgements for finding in judgement.findings
    )
    summaries = [judgement.summary for judgement in judgements if judgement.summary]
    summaries = summaries or [finding.seen for finding in findings[:1]]
    remarks = [remark for judgement in judgements for remark in judgement.remarks]
    skipped = [judgement for judgement in judgements if judgement.skipped]
    unproven = not findings and any(judgement.blocks for judgement in skipped)
    reasons = [judgement.skipped for judgement in skipped if judgement.skipped]
    if len(skipped) < len(judgements) and not unproven:
        remarks, reasons = remarks + reasons, []
    return Judgement(
        "; ".join(dict.fromkeys(summaries)),
        findings,
        tuple(dict.fromkeys(remarks)),
        figures,
        next(iter(reasons), None),
        blocks=any(judgement.blocks for judgement in judgements),
        needs_server=all(judgement.needs_server for judgement in judgements),
        partial=0 < len(skipped) < len(judgements),
        doubt=next((each.doubt for each in judgements if each.doubt), None),
    )
