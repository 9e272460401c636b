"""Looks into the findings of a check."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from netduet.client.checks.identity.results import IdentityAnswer, IdentityResult
from netduet.client.checks.investigation.judge import explain, is_about_losses
from netduet.client.checks.investigation.results import (
    FULL_PACKET_BYTES,
    PLANS,
    Clues,
    Plan,
)
from netduet.client.checks.reach.results import ACCEPTED_CAUSES, ReachResult
from netduet.client.net.content_probe import try_opening
from netduet.client.net.dial import in_thread
from netduet.client.net.hops import trace_data, trace_datagrams, trace_syns
from netduet.client.net.own_host import try_own_host
from netduet.client.net.port_probe import (
    Response,
    own_address,
    probe_tcp,
    probe_udp,
)
from netduet.client.net.reset_ttl import reset_ttl
from netduet.client.net.server_evidence import server_counters
from netduet.net import counters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netduet.client.checks.base import CheckContext
    from netduet.client.net.dial import Address
    from netduet.client.net.port_probe import ProbeResult
    from netduet.client.results.verdict import Finding

Result = TypeVar("Result")

MAX_FINDINGS: Final = 3
"""Findings of a check that are looked into; the others are left as they are."""

_ATTEMPT_SECONDS: Final = 1.0
"""Seconds of a further attempt; a refusal comes at once."""


async def investigate(
    context: CheckContext, findings: Sequence[Finding], before: Mapping[str, int]
) -> tuple[Finding, ...]:
    """Return the findings with what else was found out about them.

    ``before`` are this kernel's counters when the check began.
    """
    if not findings:
        return ()
    client = counters.growth(before, counters.read())
    explained = []
    for finding in findings[:MAX_FINDINGS]:
        plan = PLANS.get(finding.failure)
        if plan is None and not is_about_losses(finding.failure):
            explained.append(finding)
            continue
        clues = replace(await _look(context, finding, plan), client=client)
        explained.append(explain(finding, clues))
    return (*explained, *findings[MAX_FINDINGS:])


async def _look(context: CheckContext, finding: Finding, plan: Plan | None) -> Clues:
    address = _address(context, finding)
    answer = _known_answer(context, address)
    server = await _server_growth(context, answer)
    clues = Clues(address, server=server)
    if plan is None or address is None:
        return clues
    clues = replace(clues, own_address=own_address(address))
    if plan.refusal:
        probe = probe_udp if plan.transport == "udp" else probe_tcp
        return await _look_at_refusal(address, clues, probe)
    if plan.own_host:
        is_udp = plan.transport == "udp"
        trial = await in_thread(partial(try_own_host, address, datagrams=is_udp))
        clues = replace(clues, own_host=trial)
    large = partial(trace_datagrams, address, FULL_PACKET_BYTES)
    probe = probe_udp if plan.transport == "tcp" else probe_tcp
    syns, datagrams, traced, other = await asyncio.gather(
        _if(plan.hops, partial(trace_syns, address)),
        _if(plan.hops, partial(trace_datagrams, address)),
        _if(plan.large, large),
        _if(plan.other, partial(probe, address, _ATTEMPT_SECONDS)),
    )
    data = None
    if plan.data and syns is not None:
        data = await in_thread(partial(trace_data, address, syns))
    content = await try_opening(address) if plan.content and answer is None else None
    return replace(
        clues,
        syns=syns,
        datagrams=datagrams,
        large=traced,
        other=other,
        data=data,
        content=content,
    )


async def _if(wanted: bool, call: Callable[[], Result]) -> Result | None:
    """Return what a blocking call returns, None if it is not wanted."""
    return await in_thread(call) if wanted else None


async def _look_at_refusal(
    address: Address, clues: Clues, attempt: Callable[[Address, float], ProbeResult]
) -> Clues:
    """Try again; find out how far away the sender of the refusal is.

    First the attempt: routers send few ICMP errors a second, and a trace may use
    them up.
    """
    probe = await in_thread(partial(attempt, address, _ATTEMPT_SECONDS))
    clues = replace(clues, refusal=probe)
    if clues.is_own:
        return clues
    is_reset = probe.response is Response.RESET
    is_loop = probe.response is Response.TTL_EXCEEDED
    ttl, syns, datagrams = await asyncio.gather(
        _if(is_reset, partial(reset_ttl, address, probe.seconds)),
        _if(is_loop, partial(trace_syns, address)),
        _if(
            is_reset or (bool(probe.offender) and not is_loop),
            partial(trace_datagrams, address),
        ),
    )
    return replace(clues, reset_ttl=ttl or 0, syns=syns, datagrams=datagrams)


def _address(context: CheckContext, finding: Finding) -> Address | None:
    """Return the address that a finding is about, None if none was tried."""
    reach = context.measured.get(ReachResult)
    if not isinstance(reach, ReachResult):
        return None
    is_reach = finding.failure.startswith("reach.")
    tried = [
        attempt.address
        for attempt in reach.tried
        if (attempt.cause in ACCEPTED_CAUSES) is not is_reach
    ]
    named = [address for address in tried if str(address) in finding.seen]
    return next(iter([*named, *tried]), None)


def _known_answer(
    context: CheckContext, address: Address | None
) -> IdentityAnswer | None:
    identity = context.measured.get(IdentityResult)
    if not isinstance(identity, IdentityResult):
        return None
    same = [answer for answer in identity.known if answer.address == address]
    return next(iter(same), None)


async def _server_growth(
    context: CheckContext, answer: IdentityAnswer | None
) -> Mapping[str, int] | None:
    """Return what the server's kernel has counted since its first answer."""
    if answer is None or answer.counters is None or answer.handshake.welcome is None:
        return None
    welcome = answer.handshake.welcome
    after = await server_counters(answer.address, welcome, context.timeouts)
    return None if after is None else counters.growth(answer.counters, after)
