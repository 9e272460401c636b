"""The far end's evidence, asked for over a second connection.

Behind a balancer a second connection may reach another instance: it is tried
again, a bounded number of times, until the same instance answers, then at the
address that the instance itself answered from.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import open_connection
from netduet.client.results.instance import instance_named
from netduet.client.results.verdict import ServerHealth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from netduet.client.net.framed_connection import FramedConnection
    from netduet.client.net.timeouts import Timeouts
    from netduet.wire.messages import (
        Inspection,
        LedgerAnswer,
        LedgerEntry,
        TcpInfo,
        Welcome,
    )

Answer = TypeVar("Answer")

TRIES: Final = 4

_TIMEOUT_FACTOR: Final = 3


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the server knows of a connection: its record, and its kernel's view now.

    ``missing`` says why there is no record; ``found`` whether the same instance
    was there to be asked at all.
    """

    entry: LedgerEntry | None = None
    view: TcpInfo | None = None
    missing: str = ""
    found: bool = True


async def ledger_entry(
    address: Address, welcome: Welcome, patience: Timeouts
) -> tuple[LedgerEntry | None, str]:
    """Return how the server saw a connection, or None and why it cannot be had.

    Args:
        address: where the connection was made to.
        welcome: what it was welcomed with.
        patience: how long to wait.

    """

    async def ask(conversation: FramedConnection) -> LedgerAnswer | None:
        answer = await conversation.ledger(welcome.conn_id, patience.answer)
        await conversation.end(patience.answer)
        return answer

    answer, why = await _same_instance(address, welcome, patience, ask)
    if answer is not None and answer.entry is None:
        return None, "the instance no longer has a record of the connection"
    return None if answer is None else answer.entry, why


async def present_view(
    address: Address, welcome: Welcome, patience: Timeouts
) -> tuple[TcpInfo | None, str]:
    """Return how a connection stands for the server's kernel now, as ``ledger_entry``."""
    if "inspect" not in welcome.features:
        return None, "the server is of a version that does not tell"

    async def ask(conversation: FramedConnection) -> Inspection | None:
        answer = await conversation.inspect(welcome.conn_id, patience.answer)
        await conversation.end(patience.answer)
        return answer

    answer, why = await _same_instance(address, welcome, patience, ask)
    if answer is not None and answer.connection is None:
        return None, "the instance no longer has the connection"
    return None if answer is None else answer.connection, why


async def server_view(
    address: Address, welcome: Welcome, patience: Timeouts
) -> ServerView:
    """Return all that the server knows of a connection, asked as ``ledger_entry`` is."""

    async def ask(
        conversation: FramedConnection,
    ) -> tuple[LedgerAnswer | None, Inspection | None]:
        record = await conversation.ledger(welcome.conn_id, patience.answer)
        view = None
        if "inspect" in welcome.features:
            view = await conversation.inspect(welcome.conn_id, patience.answer)
        await conversation.end(patience.answer)
        return record, view

    answers, why = await _same_instance(address, welcome, patience, ask)
    if answers is None:
        return ServerView(missing=why, found=False)
    record, inspection = answers
    view = None if inspection is None else inspection.connection
    if record is None:
        return ServerView(None, view, "the instance did not respond to the query")
    if record.entry is None:
        return ServerView(
            None, view, "the instance no longer has a record of the connection"
        )
    return ServerView(record.entry, view)


async def _same_instance(
    address: Address,
    welcome: Welcome,
    patience: Timeouts,
    ask: Callable[[FramedConnection], Awaitable[Answer | None]],
) -> tuple[Answer | None, str]:
    """Ask the instance that welcomed; return its answer, or None and why there is none."""
    why = "no instance responded"
    for place in (*[address] * TRIES, *own_addresses(welcome)):
        async with open_connection(place, patience) as (opening, conversation):
            if conversation is None:
                detail = opening.detail or "the server sent no welcome"
                why = f"a second connection to {place}: {detail}"
            elif conversation.welcome.boot_id != welcome.boot_id:
                why = "only other instances responded"
            elif (answer := await ask(conversation)) is None:
                return None, "the instance did not respond to the query"
            else:
                return answer, ""
    return None, why


def own_addresses(welcome: Welcome) -> tuple[Address, ...]:
    """Return the address an instance says it answered from, if it is one at all."""
    host, port = welcome.local.address, welcome.local.port
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:  # the text of a peer: never resolved, never shown as it is
        return ()
    if "%" in host or not port:
        return ()
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004
    return (Address(family, host, port),)


async def server_health(
    addresses: Sequence[Address], patience: Timeouts, since: float
) -> ServerHealth | None:
    """Return how the worst off of the servers at these addresses has fared.

    ``since`` is a monotonic second. None when none of them says so in time: a starved server has thrice as long.
    """
    long = replace(patience, answer=_TIMEOUT_FACTOR * patience.answer)
    asked = await asyncio.gather(
        *(_fares(address, long, since) for address in addresses[:TRIES])
    )
    return max(filter(None, asked), key=lambda health: health.lost, default=None)


async def _fares(
    address: Address, patience: Timeouts, since: float
) -> ServerHealth | None:
    async with open_connection(address, patience) as (_, conversation):
        if conversation is None or "inspect" not in conversation.welcome.features:
            return None
        welcome = conversation.welcome
        window = time.monotonic() - since
        answer = await conversation.inspect(welcome.conn_id, patience.answer, window)
    if answer is None:
        return None
    lost = max(answer.stalled, answer.throttled or 0.0)
    who = instance_named(answer.instance, welcome.node, welcome.zone)
    return ServerHealth(who, answer.window, lost)
