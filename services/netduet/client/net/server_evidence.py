"""The server's evidence about a connection, requested over a second one.

Behind a load balancer a second connection may reach another instance. It is retried, a
bounded number of times, until the same instance answers, and then at the instance's own
address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from netduet.client.net.connect_race import ConnectRace
from netduet.client.net.dial import Address
from netduet.client.net.framed_connection import open_connection
from netduet.client.results.instance import instance_named
from netduet.client.results.starvation import ServerHealth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netduet.client.net.framed_connection import FramedConnection
    from netduet.client.net.timeouts import Timeouts
    from netduet.wire.messages import LedgerEntry, TcpInfo, Welcome

TRIES: Final = 4

_TIMEOUT_FACTOR: Final = 3


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


async def server_view(
    address: Address,
    welcome: Welcome,
    timeouts: Timeouts,
    *,
    record: bool = True,
    inspect: bool = True,
) -> ServerView:
    """Return what the server knows of the connection with this address and welcome.

    ``record`` requests its record, ``inspect`` its kernel's current view.
    """
    inspect = inspect and "inspect" in welcome.features
    reason = "no instance responded"
    for candidate in (*[address] * TRIES, *own_addresses(welcome)):
        async with open_connection(candidate, timeouts) as (handshake, connection):
            if connection is None:
                reason = f"a second connection to {candidate}: {handshake.failure}"
            elif connection.welcome.boot_id != welcome.boot_id:
                reason = "only other instances responded"
            else:
                view = await _ask_instance(
                    connection, welcome, timeouts.answer, record=record, inspect=inspect
                )
                await connection.end(timeouts.answer)
                return view
    return ServerView(missing=reason, found=False)


async def _ask_instance(
    connection: FramedConnection,
    welcome: Welcome,
    timeout: float,
    *,
    record: bool,
    inspect: bool,
) -> ServerView:
    answer = inspection = None
    if record:
        answer = await connection.ledger(welcome.conn_id, timeout)
    if inspect:
        inspection = await connection.inspect(welcome.conn_id, timeout)
    view = None if inspection is None else inspection.connection
    if (answer if record else inspection) is None:
        missing = "the instance did not respond to the query"
        return ServerView(view=view, missing=missing)
    if answer is not None and answer.entry is None:
        missing = "the instance no longer has a record of the connection"
        return ServerView(view=view, missing=missing)
    return ServerView(None if answer is None else answer.entry, view)


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


async def server_counters(
    address: Address, welcome: Welcome, timeouts: Timeouts
) -> Mapping[str, int] | None:
    """Return the counters of the instance with this welcome, None if it is not reached.

    They are its kernel's (see ``netduet.net.counters``); None, too, from a server that
    does not report them.
    """
    if "inspect" not in welcome.features:
        return None
    for candidate in (*[address] * TRIES, *own_addresses(welcome)):
        async with open_connection(candidate, timeouts) as (_, connection):
            if connection is None:
                return None
            if connection.welcome.boot_id == welcome.boot_id:
                answers = await connection.inspect_and_end(timeouts.answer)
                inspection = answers.inspection
                return None if inspection is None else inspection.counters
    return None


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
    opened = open_connection(address, timeouts, ConnectRace().connect)
    async with opened as (_, connection):
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
