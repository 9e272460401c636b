"""One trial of a size to a service other than netduet-server.

Its own protocol must have a harmless question that can be made long. The answer shows
that all of it arrived. How much a service sends back is up to the service, so only the
way to it is tried.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.size.results import SizeTrial, TrialOutcome, TrialPlan
from netduet.client.checks.size.trial import (
    DEFAULT_MSS_BYTES,
    SEARCH_STALL_SECONDS,
    STALL_SECONDS,
)
from netduet.client.net.service_connection import ServiceConnection, open_service
from netduet.net.time_span import TimeSpan

if TYPE_CHECKING:
    from netduet.client.checks.identity.results import IdentityAnswer
    from netduet.client.net.timeouts import Timeouts
    from netduet.wire.messages import TcpInfo

LARGER_BYTES: Final = (4 * 1024,)
"""Sizes of several packets: servers accept request headers of 8 KiB by default
(nginx, large_client_header_buffers; Apache, LimitRequestFieldSize)."""

_POLL_SECONDS: Final = 0.1


async def has_long_question(answer: IdentityAnswer, timeouts: Timeouts) -> bool:
    """Return whether a second question is answered, and can be as long as a packet.

    Services may end a connection after the first answer (RFC 9112 §9.6).
    """
    async with open_service(answer.address, timeouts, answer.protocol, answer.host) as (
        _,
        connection,
    ):
        if connection is None or connection.conversation is None:
            return False
        await connection.wait_for_answer_end(timeouts.answer)
        if not connection.ask() or not await connection.answers(timeouts.answer):
            return False
        await connection.wait_for_answer_end(timeouts.answer)
        question = connection.conversation.ask(DEFAULT_MSS_BYTES)
        return len(question) >= DEFAULT_MSS_BYTES


async def run_service_trial(
    answer: IdentityAnswer, timeouts: Timeouts, plan: TrialPlan
) -> SizeTrial:
    """Ask a question of a size on a new connection; never raises by itself."""
    async with open_service(answer.address, timeouts, answer.protocol, answer.host) as (
        handshake,
        connection,
    ):
        if connection is None:
            return SizeTrial(
                plan,
                plan.size or 0,
                TrialOutcome.UNOPENED,
                handshake.span,
                detail=handshake.failure,
                cause=handshake.cause,
            )
        trial = await _ask(connection, timeouts, plan)
        if trial.delivered:
            await connection.end(min(1.0, timeouts.answer))
    return trial


async def _ask(
    connection: ServiceConnection, timeouts: Timeouts, plan: TrialPlan
) -> SizeTrial:
    start = time.monotonic()
    await connection.wait_for_answer_end(timeouts.answer)
    before = connection.info()
    full_packet = DEFAULT_MSS_BYTES if before is None else before.snd_mss
    size = plan.size or full_packet
    if plan.one_packet:
        size = min(size, full_packet)
    with contextlib.suppress(OSError):  # a kernel without it, as of a sandbox
        # An acknowledgement of its own would make the packet longer than one segment.
        connection.set_option(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    sent = connection.sent
    if not connection.ask(size):
        ending = connection.ending
        return SizeTrial(
            plan,
            0,
            TrialOutcome.UNOPENED,
            TimeSpan(start, time.monotonic()),
            before,
            detail="the service took no further question"
            if ending is None
            else ending.detail,
        )
    size = connection.sent - sent
    if plan.size is None and size < full_packet:
        plan = replace(plan, size=size)  # no question is that long
    outcome, window, after = await _wait(connection, before, brief=plan.brief)
    ending = connection.ending
    return SizeTrial(
        plan,
        size,
        outcome,
        window,
        before,
        after,
        detail="" if ending is None else ending.detail,
        missing="" if outcome is TrialOutcome.PASSED else "it is no netduet server",
    )


async def _wait(
    connection: ServiceConnection, before: TcpInfo | None, *, brief: bool
) -> tuple[TrialOutcome, TimeSpan, TcpInfo | None]:
    """Wait for the answer, until nothing has moved for a number of polls."""
    start = progress_at = time.monotonic()
    stall_seconds = SEARCH_STALL_SECONDS if brief else STALL_SECONDS
    after, last, idle = before, -1, 0
    while True:
        count = await connection.answers(_POLL_SECONDS)
        now = time.monotonic()
        after = connection.info() or after
        if count:
            return TrialOutcome.PASSED, TimeSpan(start, now), after
        if connection.ending is not None:
            return TrialOutcome.ENDED, TimeSpan(start, now), after
        progress = connection.received + (0 if after is None else after.bytes_acked)
        if progress != last:
            last, progress_at, idle = progress, now, 0
        else:
            idle += 1
        if idle * _POLL_SECONDS >= stall_seconds:
            return TrialOutcome.STALLED, TimeSpan(progress_at, now), after
