"""Finds out what answers at each address that accepts."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.recognition import (
    LONG_PATH_SECONDS,
    Recogniser,
)
from netduet.client.checks.identity.results import (
    Expectation,
    IdentityAnswer,
    IdentityResult,
)
from netduet.client.checks.reach.results import ReachResult
from netduet.client.net.connect_race import ConnectRace
from netduet.client.net.dial import Address, Cause
from netduet.client.net.path_rate import measure_rate, sustained_rate
from netduet.client.protocols.base import Protocol
from netduet.client.results.target import ANY_PROTOCOL, TCP_ALONE

REPEAT_PAUSES_SECONDS: Final = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Pauses after which an address is asked again that refused or reset a connection, though
it had accepted one: another server, or host, may have been met."""

_SUSPECT_SECONDS: Final = 0.003
"""Excess of an exchange over a connect from which a path may be slow: that of about
1,000 bytes at 2 Mbit/s."""

_SUSPECT_ECHO_SECONDS: Final = 0.03
"""Time of a large echo on a long path from which the path may be slow: that of 8 KiB both
ways at 4 Mbit/s. There a shaper is looked for only then, for that takes round trips."""


async def measure(context: CheckContext) -> IdentityResult:
    """Ask each address that accepts; all further ones after the first concurrently.

    They are greeted first in the protocol of the first one.
    """
    race = ConnectRace()
    identify = partial(_identify, replace(recogniser(context), connect=race.connect))
    addresses = [each.address for each in context.earlier(ReachResult).accepted]
    answers = list(await asyncio.gather(*map(identify, addresses[:1])))
    likely = [each.protocol for each in answers if each.protocol is not None]
    answers += await asyncio.gather(
        *(identify(address, likely) for address in addresses[1:])
    )
    reach = context.earlier(ReachResult)
    connect_seconds = {each.address: each.seconds for each in reach.accepted}
    answers = await _with_rates(answers, connect_seconds, context)
    return IdentityResult(
        tuple(answers), expectation(context), tuple(race.silent), reach.lookup
    )


async def _with_rates(
    answers: Sequence[IdentityAnswer],
    connect_seconds: Mapping[Address, float],
    context: CheckContext,
) -> list[IdentityAnswer]:
    """Return the answers with the rates of slow paths, by address.

    If several are slow, they may share a link: then each is measured by itself.
    """
    answers = await asyncio.gather(
        *(
            _with_rate(answer, connect_seconds[answer.address], context)
            for answer in answers
        )
    )
    if sum(answer.rate < math.inf for answer in answers) > 1:
        return [
            await _with_rate(answer, connect_seconds[answer.address], context)
            for answer in answers
        ]
    return answers


async def _with_rate(
    answer: IdentityAnswer, connect_seconds: float, context: CheckContext
) -> IdentityAnswer:
    """Return the answer with the rate of the path, if that is a slow one.

    The opening and the welcome are larger than what made the connection; on a slow path
    they take longer, unless a shaper's bucket has room for them.
    """
    if not answer.is_netduet:
        return answer
    rate = math.inf
    if answer.handshake.seconds - connect_seconds >= _SUSPECT_SECONDS:
        rate = await measure_rate(answer.address, context.timeouts)
    echo = answer.echo_seconds
    may_be_shaped = (
        connect_seconds <= LONG_PATH_SECONDS
        if echo is None
        else echo >= _SUSPECT_ECHO_SECONDS
    )
    if rate == math.inf and may_be_shaped:
        rate = await sustained_rate(answer.address, context.timeouts)
    return replace(answer, rate=rate)


async def _identify(
    recogniser: Recogniser, address: Address, likely: Sequence[Protocol] = ()
) -> IdentityAnswer:
    """Return what answers; a connection that breaks at once may be an unlucky one."""
    answer = await recogniser.identify(address, likely)
    for pause in REPEAT_PAUSES_SECONDS:
        if answer.handshake.cause not in {Cause.RESET, Cause.REFUSED}:
            break
        await asyncio.sleep(pause)
        answer = await recogniser.identify(address, likely)
    return answer


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
