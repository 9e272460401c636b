"""Holds idle connections: the measurement of the check ``idle``.

Two connections are held idle for each time (a rung), and then used again: one by this
end, one by the server. A middlebox that has forgotten a connection may reset the end
that sends first, and the other end receives nothing; so the server's record of each
dead connection is requested over another one. A second set is held with TCP keep-alive,
which is otherwise off, at both ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.idle.busy import keep_busy
from netduet.client.checks.idle.results import (
    KEEPALIVE_PROBES,
    HeldConnection,
    HoldOutcome,
    HoldPlan,
    IdleResult,
    UdpSilences,
    keepalive_interval,
)
from netduet.client.checks.idle.service_hold import ServiceHolds, hold_all
from netduet.client.checks.idle.udp_silence import (
    FEATURE,
    keep_silent,
    rungs_between,
)
from netduet.client.net.dial import Address, classify
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.net.server_evidence import server_view
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.location import Side
from netduet.client.stats.instances import REPEAT_COUNT
from netduet.net.time_span import TimeSpan
from netduet.wire.frames import Kind
from netduet.wire.messages import HoldQuestion, ReportQuestion

MARGIN_SECONDS: Final = 5.0
"""Seconds by which a rung must stay below the server's hold limit."""

FULL_RUNGS_SECONDS: Final = (30.0, 65.0, 125.0)
RUNGS_SECONDS: Final = {
    "quick": (),
    "full": FULL_RUNGS_SECONDS,
    "soak": (*FULL_RUNGS_SECONDS, 305.0, 360.0, 610.0, 910.0, 3700.0),
}
"""Idle times by profile, each just above a well-known timer."""

UDP_RUNGS_SECONDS: Final = (30.0, 65.0, 110.0)
"""The same for UDP flows: below the 2 minutes that a NAT must keep one (RFC 4787, REQ-5)."""

_NOTICE_SECONDS: Final = 0.5
"""After an end, the time in which a busy connection's end is noticed, too."""

_MAX_REPEATED_SECONDS: Final = 130.0
"""Longest silence that is tried again to find the instance at fault."""

_WAKERS: Final = (Side.CLIENT, Side.SERVER)


async def measure(
    context: CheckContext, answer: IdentityAnswer
) -> IdleResult | ServiceHolds:
    """Hold all connections concurrently; this takes as long as the longest rung."""
    usual = context.options.idle_rungs or RUNGS_SECONDS[context.profile]
    needed = context.requirements.idle
    rungs = sorted({*usual, *((needed,) if needed else ())})
    if answer.is_service:
        return await hold_all(answer, context.timeouts, rungs)
    limit = answer.hold_limit
    held_rungs = [
        rung for rung in rungs if limit is None or rung + MARGIN_SECONDS <= limit
    ]
    beyond = tuple(rung for rung in rungs if rung not in held_rungs)
    over = asyncio.Event()
    busy = asyncio.ensure_future(
        keep_busy(answer.address, context.timeouts, held_rungs, over)
    )
    silent = asyncio.ensure_future(_keep_udp_silent(answer, held_rungs, context))
    try:
        held = await asyncio.gather(
            *(
                hold(context.timeouts, answer.address, plan)
                for plan in plans(held_rungs)
            )
        )
        if not all(each.answered for each in held):
            await asyncio.sleep(_NOTICE_SECONDS)
        over.set()
        is_over = {each.outcome for each in held} == {HoldOutcome.ENDED_BY_SERVER}
        udp = None if is_over else await silent  # a server that is gone wakes nobody
        repeated = await _repeat_dead(context.timeouts, answer, held)
        return IdleResult(
            answer.address, limit, beyond, tuple(held), await busy, udp, repeated
        )
    finally:
        busy.cancel()
        silent.cancel()


async def _repeat_dead(
    timeouts: Timeouts, answer: IdentityAnswer, held: Sequence[HeldConnection]
) -> tuple[HeldConnection, ...]:
    """Hold more connections if some died and several instances answer: whose died?"""
    welcomes = [answer.handshake.welcome, *(each.handshake.welcome for each in held)]
    dead = [each.plan for each in held if each.is_dead and each.plan.keepalive is None]
    plan = min(dead, key=lambda each: each.rung, default=None)
    if plan is None or plan.rung > _MAX_REPEATED_SECONDS:
        return ()
    if len({each.boot_id for each in welcomes if each is not None}) <= 1:
        return ()
    return tuple(
        await asyncio.gather(
            *(hold(timeouts, answer.address, plan) for _ in range(REPEAT_COUNT))
        )
    )


async def _keep_udp_silent(
    answer: IdentityAnswer, rungs: Sequence[float], context: CheckContext
) -> UdpSilences | None:
    """Keep UDP flows silent, for the times that the profile or the user names."""
    if FEATURE not in answer.features or not rungs:
        return None
    asked = context.options.idle_rungs or context.requirements.idle
    udp_rungs = rungs if asked else UDP_RUNGS_SECONDS
    silences = rungs_between(udp_rungs)
    return await keep_silent(answer.address, silences) if silences else None


def plans(rungs: Iterable[float]) -> list[HoldPlan]:
    """Return the plans; with keep-alive only where its probes fit into the rung."""
    found = []
    for rung in rungs:
        interval = keepalive_interval(rung)
        for keepalive in (None, interval if interval < rung else None):
            found += [HoldPlan(rung, waker, keepalive) for waker in _WAKERS]
    return list(dict.fromkeys(found))


async def hold(timeouts: Timeouts, address: Address, plan: HoldPlan) -> HeldConnection:
    """Hold one connection as planned; return the result."""
    async with open_connection(address, timeouts) as (handshake, connection):
        held = HeldConnection(plan, handshake)
        if connection is None:
            return held
        try:
            connection.set_keepalive(plan.keepalive, KEEPALIVE_PROBES)
        except OSError as error:
            _, detail = classify(error)
            return replace(held, refused=f"keep-alive could not be set: {detail}")
        held = await _hold_and_wake(timeouts, connection, held)
        if held.answered:
            await connection.end(timeouts.answer)
            return held
        # Before this end closes, which the server would record.
        server = await server_view(address, connection.welcome, timeouts)
    return replace(held, server=server)


async def _hold_and_wake(
    timeouts: Timeouts, connection: FramedConnection, held: HeldConnection
) -> HeldConnection:
    """Stay idle, then have one end send; return the result."""
    rung, speak = held.plan.rung, held.plan.waker is Side.SERVER
    question = HoldQuestion(
        seconds=rung if speak else rung + MARGIN_SECONDS, speak=speak
    )
    number = connection.send(Kind.HOLD, question)
    asked = time.monotonic()
    if await connection.answer(number, timeouts.answer) is None:
        ending = connection.ending
        detail = "no response in time" if ending is None else ending.detail
        return replace(
            held,
            refused=f"while asking the server to hold it: {detail}",
            ending=ending,
            wait=TimeSpan(asked, time.monotonic()),
        )
    started, woken_at, retrans = time.monotonic(), None, _retransmitted(connection)
    spoke = await connection.answer(number, rung)
    if spoke is None and connection.ending is None:
        woken_at = time.monotonic()
        if not speak:
            number = connection.send(Kind.REPORT, ReportQuestion())
        spoke = await connection.answer(number, timeouts.answer)
    tcp_info = connection.info()
    return replace(
        held,
        answered=spoke is not None,
        ending=connection.ending,
        ended_after=time.monotonic() - started if woken_at is None else None,
        wait=None if woken_at is None else TimeSpan(woken_at, time.monotonic()),
        sent=connection.wire.bytes_sent,
        tcp_info=tcp_info,
        retrans=_retransmitted(connection) - retrans,
    )


def _retransmitted(connection: FramedConnection) -> int:
    info = connection.info()
    return 0 if info is None else info.total_retrans
