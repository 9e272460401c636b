"""Finds out what answers at each address that accepts."""

from __future__ import annotations

import asyncio

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.recognition import Recogniser
from netduet.client.checks.identity.results import (
    Expectation,
    IdentityResult,
)
from netduet.client.checks.reach.results import ReachResult
from netduet.client.results.target import ANY_PROTOCOL, TCP_ALONE


async def measure(context: CheckContext) -> IdentityResult:
    """Ask each address that accepts; all further ones after the first concurrently.

    They are greeted first in the protocol of the first one.
    """
    identify = recogniser(context).identify
    addresses = [each.address for each in context.earlier(ReachResult).accepted]
    answers = list(await asyncio.gather(*map(identify, addresses[:1])))
    likely = [each.protocol for each in answers if each.protocol is not None]
    answers += await asyncio.gather(
        *(identify(address, likely) for address in addresses[1:])
    )
    return IdentityResult(tuple(answers), expectation(context))


def recogniser(context: CheckContext) -> Recogniser:
    """Return what recognises the servers of the context's target."""
    host = context.server_name or context.target.host
    return Recogniser(host, context.timeouts, expectation(context))


def expectation(context: CheckContext) -> Expectation:
    """Return what the target and the settings demand."""
    name = context.target.protocol or context.expect_protocol
    may_be_netduet = name in {"", ANY_PROTOCOL}
    return Expectation(
        context.expect_service if may_be_netduet else "",
        context.demanded_protocol,
        tcp_alone=name == TCP_ALONE,
        must_respond=name == ANY_PROTOCOL,
    )
