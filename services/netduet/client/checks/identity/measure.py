"""Opens a framed connection to each address that accepts."""

from __future__ import annotations

import asyncio

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.results import IdentityAnswer, IdentityResult
from netduet.client.checks.reach import ReachResult
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import open_connection


async def measure(context: CheckContext) -> IdentityResult:
    """Open a framed connection to each address that accepts, concurrently."""
    connect_result = context.earlier(ReachResult).accepted
    answers = await asyncio.gather(
        *(_open(context, attempt.address) for attempt in connect_result)
    )
    return IdentityResult(tuple(answers), context.expect_service)


async def _open(context: CheckContext, address: Address) -> IdentityAnswer:
    async with open_connection(address, context.timeouts) as (handshake, connection):
        if connection is not None:
            await connection.end(min(1.0, context.timeouts.answer))
    return IdentityAnswer(address, handshake)
