"""The server's evidence about a connection, requested over a second one.

Behind a balancer a second connection may reach another instance. It is retried, a
bounded number of times, until the same instance answers, and then at the instance's own
address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import FramedConnection, open_connection
from netduet.client.results.instance import instance_named
from netduet.client.results.verdict import ServerHealth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

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

_FORGOTTEN: Final = "the instance no longer has a record of the connection"
_GONE: Final = "the instance no longer has the connection"
_UNANSWERED: Final = "the instance did not respond to the query"


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the server knows of a connection: its record, and its kernel's current view.

    ``missing`` is why there is no record; ``found`` is whether the same instance
    answered.
    """

    entry: LedgerEntry | None = None
    view: TcpInfo | None = None
    missing: str = ""
    found: bool = True


async def ledger_entry(
    address: Address, welcome: Welcome, timeouts: Timeouts
) -> tuple[LedgerEntry | None, str]:
    """Return the server's record of a connection, or None and the reason.

    Args:
        address: the connection's address.
        welcome: the connection's welcome.
        timeouts: for each connection and answer.
    """
    ask = FramedConnection.ledger
    answer, reason = await _same_instance(address, welcome, timeouts, ask)
    if answer is None:
        return None, reason
    return answer.entry, "" if answer.entry is not None else _FORGOTTEN


async def present_view(
    address: Address, welcome: Welcome, timeouts: Timeouts
) -> tuple[TcpInfo | None, str]:
    """Return the server's kernel's view of a connection, as ``ledger_entry``."""
    if "inspect" not in welcome.features:
        return None, "the server's version does not support this query"
    ask = FramedConnection.inspect
    answer, reason = await _same_instance(address, welcome, timeouts, ask)
    if answer is None:
        return None, reason
    return answer.connection, "" if answer.connection is not None else _GONE


async def server_view(
    address: Address, welcome: Welcome, timeouts: Timeouts
) -> ServerView:
    """Return all that the server knows of a connection; see ``ledger_entry``."""

    async def ask(
        connection: FramedConnection, conn_id: str, timeout: float
    ) -> tuple[LedgerAnswer | None, Inspection | None]:
        record = await connection.ledger(conn_id, timeout)
        view = None
        if "inspect" in welcome.features:
            view = await connection.inspect(conn_id, timeout)
        return record, view

    answers, reason = await _same_instance(address, welcome, timeouts, ask)
    if answers is None:
        return ServerView(missing=reason, found=False)
    record, inspection = answers
    view = None if inspection is None else inspection.connection
    if record is None:
        return ServerView(None, view, _UNANSWERED)
    if record.entry is None:
        return ServerView(None, view, _FORGOTTEN)
    return ServerView(record.entry, view)


async def _same_instance(
    address: Address,
    welcome: Welcome,
    timeouts: Timeouts,
    ask: Callable[[FramedConnection, str, float], Awaitable[Answer | None]],
) -> tuple[Answer | None, str]:
    """Ask the instance of this welcome; return its answer, or None and the reason."""
    reason = "no instance responded"
    for candidate in (*[address] * TRIES, *own_addresses(welcome)):
        async with open_connection(candidate, timeouts) as (handshake, connection):
            if connection is None:
                reason = f"a second connection to {candidate}: {handshake.failure}"
            elif connection.welcome.boot_id != welcome.boot_id:
                reason = "only other instances responded"
            else:
                answer = await ask(connection, welcome.conn_id, timeouts.answer)
                await connection.end(timeouts.answer)
                return answer, "" if answer is not None else _UNANSWERED
    return None, reason


def own_addresses(welcome: Welcome) -> tuple[Address, ...]:
    """Return the address that an instance says it answers from, if it is valid."""
    host, port = welcome.local.address, welcome.local.port
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:  # a peer's text: never resolved
        return ()
    if "%" in host or not port:
        return ()
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004
    return (Address(family, host, port),)


async def server_health(
    addresses: Sequence[Address], timeouts: Timeouts, since: float
) -> ServerHealth | None:
    """Return the health of the most starved of the servers at these addresses.

    ``since`` is a monotonic second. None if no server answers; a starved server has
    three times as long.
    """
    longer = replace(timeouts, answer=_TIMEOUT_FACTOR * timeouts.answer)
    asked = await asyncio.gather(
        *(_health_at(address, longer, since) for address in addresses[:TRIES])
    )
    return max(filter(None, asked), key=lambda health: health.lost, default=None)


async def _health_at(
    address: Address, timeouts: Timeouts, since: float
) -> ServerHealth | None:
    async with open_connection(address, timeouts) as (_, connection):
        if connection is None or "inspect" not in connection.welcome.features:
            return None
        welcome = connection.welcome
        window = time.monotonic() - since
        answer = await connection.inspect(welcome.conn_id, timeouts.answer, window)
    if answer is None:
        return None
    lost = max(answer.stalled, answer.throttled or 0.0)
    instance = instance_named(answer.instance, welcome.node, welcome.zone)
    return ServerHealth(instance, answer.window, lost)
