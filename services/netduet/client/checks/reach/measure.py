"""Connects to each address, or asks it over UDP."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.containers import read_facts
from netduet.client.checks.name.results import Lookup, NameResult, addresses_of
from netduet.client.checks.reach.results import ACCEPTED_CAUSES, ReachResult
from netduet.client.net.connect_race import ConnectRace
from netduet.client.net.dial import Address, Cause, ConnectResult, ip_address
from netduet.client.net.dialer import ServiceDialer
from netduet.client.net.neighbour_watch import NeighbourWatch
from netduet.client.net.timeouts import Timeouts
from netduet.client.protocols import protocols_of_port
from netduet.client.protocols.base import Protocol

MAX_ADDRESSES: Final = 64
"""Maximum addresses to try; a note says if there are more."""


REFUSAL_PAUSES_SECONDS: Final = (0.1, 0.2)
"""Pauses after which an address that refuses is tried again, from another source port."""

NEIGHBOUR_PAUSES_SECONDS: Final = (0.1, 0.2, 0.4, 0.8, 1.0)
"""The same for an address on this host's own network: a kernel keeps a MAC address for a
second before it believes another one (arp(7), locktime), and for as long as announcements
are apart."""


async def measure(context: CheckContext) -> ReachResult:
    """Connect to all addresses concurrently, and close again; over UDP, ask them."""
    name = context.earlier(NameResult)
    addresses = name.resolution.addresses
    race = ConnectRace()
    link_addresses: dict[Address, tuple[str, ...]] = {}
    protocol = context.demanded_protocol or _usual_protocol(context.target.port)
    if protocol is not None and (protocol.datagrams or protocol.counts_silence):
        dialer = partial(ServiceDialer, protocol=protocol, host=context.target.host)
        attempts = [
            _ask(dialer(address), context.timeouts)
            for address in addresses[:MAX_ADDRESSES]
        ]
    else:
        attempts = [
            _try_address(address, context.timeouts.connect, race, link_addresses)
            for address in addresses[:MAX_ADDRESSES]
        ]
    tried = await asyncio.gather(*attempts)
    accepted = any(attempt.cause in ACCEPTED_CAUSES for attempt in tried)
    return ReachResult(
        tuple(tried),
        max(0, len(addresses) - MAX_ADDRESSES),
        context.target.host,
        None if accepted else read_facts(),
        tuple(race.silent),
        link_addresses,
        name.lookup,
        is_misled=not accepted and await _is_misled(name.lookup, context),
    )


async def _is_misled(lookup: Lookup, context: CheckContext) -> bool:
    """Whether the host that was meant may be another than the one that was tried.

    The search domain has addresses for any name, or the name without it accepts.
    """
    if not lookup.is_ambiguous or lookup.wildcard:
        return lookup.is_ambiguous
    port, timeout = context.target.port, context.timeouts.connect
    hosts = sorted(addresses_of(lookup.of(name=lookup.host)))[:MAX_ADDRESSES]
    attempts = await asyncio.gather(
        *(
            _try_address(ip_address(host, port), timeout, ConnectRace(), {})
            for host in hosts
        )
    )
    return any(attempt.cause in ACCEPTED_CAUSES for attempt in attempts)


def _usual_protocol(port: int) -> Protocol | None:
    """Return the protocol that usually listens there and must be greeted, if any."""
    return next((each for each in protocols_of_port(port) if each.counts_silence), None)


async def _try_address(
    address: Address,
    timeout: float,
    race: ConnectRace,
    link_addresses: dict[Address, tuple[str, ...]],
) -> ConnectResult:
    """Connect from several source ports.

    A refusal may be that of one flow alone, or of another host with the same address.
    """
    connect_result = await race.connect(address, timeout)
    if connect_result.cause is Cause.REFUSED:
        connect_result = await _try_again(
            address, timeout, race, connect_result, link_addresses
        )
    if connect_result.sock is not None:
        connect_result.sock.close()
    return connect_result


async def _try_again(
    address: Address,
    timeout: float,
    race: ConnectRace,
    connect_result: ConnectResult,
    link_addresses: dict[Address, tuple[str, ...]],
) -> ConnectResult:
    refused = [connect_result]
    watch = NeighbourWatch(address.host)
    near = bool(watch.link_addresses)
    for pause in NEIGHBOUR_PAUSES_SECONDS if near else REFUSAL_PAUSES_SECONDS:
        await watch.watch(pause)
        connect_result = await race.connect(address, timeout)
        if connect_result.cause is not Cause.REFUSED:
            break
        refused.append(connect_result)
    link_addresses[address] = watch.link_addresses
    if connect_result.cause in ACCEPTED_CAUSES:
        race.silent += refused
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
