"""Connections that are held open and asked now and then: do they stay with their server?

If another server takes over a flow, it resets what it does not know.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.flows.instance_statistics import MIN_MOVED
from netduet.client.checks.flows.results import FlowPlan, HeldFlow
from netduet.client.net.dial import connect
from netduet.client.net.framed_connection import (
    FramedConnection,
    start_framed_connection,
)
from netduet.client.net.path_rate import CONNECTION_BYTES, ECHO_BYTES
from netduet.client.net.source_ports import spread_ports
from netduet.client.results.instance import instance_of

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.timeouts import Timeouts

HELD_CONNECTIONS: Final = 12
"""Connections that are held open at each address."""

_CONNECT_SECONDS: Final = 1.5
"""Seconds for a connection: one that is not made is left out."""

_QUESTION_SECONDS: Final = 0.15
"""Seconds between two questions on a connection."""

_OPENING_SECONDS: Final = 0.3
"""Seconds in which a slow path must carry the connections, which open at once."""
_MIN_HELD: Final = 4
_PATH_SHARE: Final = 0.2
"""Share of a slow path's rate that the questions take."""

_RETURN_SECONDS: Final = 6.0
"""Seconds for which the first instance is waited for, once connections have moved."""
_RETURN_INTERVAL_SECONDS: Final = 0.2
"""Seconds between two connections meanwhile."""


async def hold(
    address: Address, timeouts: Timeouts, plan: FlowPlan
) -> tuple[HeldFlow, ...]:
    """Hold connections to a netduet server open for some time, and ask on them."""
    count = HELD_CONNECTIONS
    if plan.is_slow:
        opening = plan.transit_seconds(CONNECTION_BYTES, 1.0)
        count = min(count, max(_MIN_HELD, int(_OPENING_SECONDS / opening)))
    pause = plan.transit_seconds(count * ECHO_BYTES, _PATH_SHARE)
    pause = max(_QUESTION_SECONDS, pause)
    ports = spread_ports(count, random.SystemRandom())
    deadline = time.monotonic() + plan.hold
    held = await asyncio.gather(
        *(_hold(address, timeouts, port, pause, deadline) for port in ports)
    )
    return await _find_returned(
        address, timeouts, tuple(each for each in held if each is not None)
    )


async def _find_returned(
    address: Address, timeouts: Timeouts, held: tuple[HeldFlow, ...]
) -> tuple[HeldFlow, ...]:
    """Find out which instances answer again, after their connections had moved.

    One that was restarted, removed or replaced never does. If some other connection
    does not show it, new ones are made for a while.
    """
    moved = [each for each in held if each.has_moved]
    if len(moved) < MIN_MOVED:
        return held
    gone = {each.boot_id for each in moved}
    returned = {
        each.boot_id
        for each in moved
        if any(
            other.boot_id == each.boot_id and other.answered_at > each.end
            for other in held
        )
    }
    deadline = time.monotonic() + _RETURN_SECONDS
    while not returned and time.monotonic() < deadline:
        await asyncio.sleep(_RETURN_INTERVAL_SECONDS)
        connection = await _open(address, timeouts)
        if connection is not None:
            returned = gone & {connection.welcome.boot_id}
            await connection.end(timeouts.answer)
            connection.close()
    return tuple(
        replace(each, returned=each.has_moved and each.boot_id in returned)
        for each in held
    )


async def _hold(
    address: Address, timeouts: Timeouts, port: int, pause: float, deadline: float
) -> HeldFlow | None:
    connection = await _open(address, timeouts, port)
    if connection is None:
        return None
    try:
        welcome = connection.welcome
        held = HeldFlow(port, instance_of(welcome), welcome.boot_id)
        answered_at = time.monotonic()
        while connection.ending is None and time.monotonic() < deadline:
            connection.ask()
            if await connection.answers(timeouts.answer) is not None:
                answered_at = time.monotonic()
            await asyncio.sleep(pause)
        end = time.monotonic()
        held = replace(held, answered_at=answered_at, end=end)
        if connection.ending is None:
            await connection.end(timeouts.answer)
            return held
        ending = connection.ending
        held = replace(
            held,
            error=ending.detail or ending.how,
            announced=ending.how == "error",
        )
    finally:
        connection.close()
    return await _look_again(address, timeouts, held)


async def _look_again(address: Address, timeouts: Timeouts, held: HeldFlow) -> HeldFlow:
    """Connect from the same source port again; return who answers."""
    connection = await _open(address, timeouts, held.port)
    if connection is None:
        return held
    welcome = connection.welcome
    await connection.end(timeouts.answer)
    connection.close()
    return replace(
        held, instance_after=instance_of(welcome), boot_id_after=welcome.boot_id
    )


async def _open(
    address: Address, timeouts: Timeouts, port: int = 0
) -> FramedConnection | None:
    timeout = min(timeouts.connect, _CONNECT_SECONDS)
    result = await connect(address, timeout, port)
    if result.sock is None:
        return None
    try:
        connection = await start_framed_connection(result.sock)
    except OSError:
        result.sock.close()
        return None
    handshake = await connection.open(timeouts.answer)
    if handshake.welcome is None:
        connection.close()
        return None
    return connection
