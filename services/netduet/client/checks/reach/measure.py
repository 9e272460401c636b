"""Connects to each address, or asks it over UDP."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.containers import read_facts
from netduet.client.checks.name import NameResult
from netduet.client.checks.reach.results import ACCEPTED_CAUSES, ReachResult
from netduet.client.net.dial import Address, ConnectResult, connect
from netduet.client.net.dialer import ServiceDialer
from netduet.client.net.timeouts import Timeouts
from netduet.client.protocols import protocols_of_port
from netduet.client.protocols.base import Protocol

MAX_ADDRESSES: Final = 64
"""Maximum addresses to try; a note says if there are more."""


async def measure(context: CheckContext) -> ReachResult:
    """Connect to all addresses concurrently, and close again; over UDP, ask them."""
    addresses = context.earlier(NameResult).resolution.addresses
    protocol = context.demanded_protocol or _usual_protocol(context.target.port)
    if protocol is not None and (protocol.datagrams or protocol.counts_silence):
        dialer = partial(ServiceDialer, protocol=protocol, host=context.target.host)
        attempts = [
            _ask(dialer(address), context.timeouts)
            for address in addresses[:MAX_ADDRESSES]
        ]
    else:
        attempts = [
            _try_address(address, context.timeouts.connect)
            for address in addresses[:MAX_ADDRESSES]
        ]
    tried = await asyncio.gather(*attempts)
    accepted = any(attempt.cause in ACCEPTED_CAUSES for attempt in tried)
    return ReachResult(
        tuple(tried),
        max(0, len(addresses) - MAX_ADDRESSES),
        context.target.host,
        None if accepted else read_facts(),
    )


def _usual_protocol(port: int) -> Protocol | None:
    """Return the protocol that usually listens there and must be greeted, if any."""
    return next((each for each in protocols_of_port(port) if each.counts_silence), None)


async def _try_address(address: Address, timeout: float) -> ConnectResult:
    connect_result = await connect(address, timeout)
    if connect_result.sock is not None:
        connect_result.sock.close()
    return connect_result


async def _ask(dialer: ServiceDialer, timeouts: Timeouts) -> ConnectResult:
    is_datagram = dialer.protocol is not None and dialer.protocol.datagrams
    async with dialer.open(timeouts) as (handshake, connection):
        if connection is not None:
            await connection.end(timeouts.answer)
    is_refused = is_datagram or not handshake.accepted
    return ConnectResult(
        dialer.address,
        None,
        handshake.cause if is_refused else None,
        handshake.detail,
        handshake.resent if is_datagram else 0,
        handshake.start,
        handshake.end,
        is_datagram=is_datagram,
    )
