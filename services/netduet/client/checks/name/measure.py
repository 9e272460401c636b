"""Resolves the name as every program does, and asks each DNS server beside that."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from netduet.client.checks.containers import read_facts
from netduet.client.checks.name.results import Lookup, NameResult
from netduet.client.checks.name.server_session import ServerSession
from netduet.client.net.dial import Address, Cause, Resolution, ip_address, resolve
from netduet.client.net.dns_socket import server_address
from netduet.client.net.resolver_config import ResolverConfig, read_resolver_config
from netduet.client.protocols.dns_lookup import RecordType, serialize_query
from netduet.client.results.target import Expect

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext


async def measure(context: CheckContext) -> NameResult:
    """Resolve the name, and ask each DNS server directly at the same time."""
    host, timeout = context.target.host, context.timeouts.resolve
    port, family = context.target.port, context.family
    literal = _is_literal(host)
    until = time.monotonic() + timeout
    resolving = asyncio.ensure_future(resolve(host, port, family, timeout))
    try:
        config = None if literal else read_resolver_config(host)
        lookup = Lookup()
        if config is not None:
            lookup = await _look_up(config, host, family, resolving, until)
        resolution = await resolving
    finally:
        resolving.cancel()
    late: Resolution | None = None
    direct = _direct_addresses(lookup, port, family)
    is_open = context.target.expect is Expect.OPEN
    if resolution.cause is Cause.TIMEOUT and direct and is_open:
        late, resolution = resolution, replace(resolution, addresses=direct, cause=None)
    facts = None if resolution.cause is None else read_facts()
    return NameResult(
        host, literal, resolution, lookup, context.target.expect, facts, late
    )


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _direct_addresses(
    lookup: Lookup, port: int, family: socket.AddressFamily
) -> tuple[Address, ...]:
    """Return what the DNS servers answered when asked directly."""
    found = (ip_address(host, port) for host in lookup.addresses)
    return tuple(
        address for address in found if family in {socket.AF_UNSPEC, address.family}
    )


async def _look_up(
    config: ResolverConfig,
    host: str,
    family: socket.AddressFamily,
    resolving: asyncio.Future[Resolution],
    until: float,
) -> Lookup:
    """Ask all servers side by side."""
    records = {
        socket.AF_INET: (RecordType.A,),
        socket.AF_INET6: (RecordType.AAAA,),
    }.get(family, tuple(RecordType))
    if config.no_aaaa:
        records = (RecordType.A,)
    names = _dns_names(config, host)
    if not names:
        return Lookup(config)
    plain = min(names, key=len)
    addresses = map(server_address, dict.fromkeys(config.servers))
    servers = [address for address in addresses if address is not None]
    sessions = [
        ServerSession(server, plain, names, records, resolving=resolving, until=until)
        for server in servers
    ]
    try:
        await asyncio.gather(*(session.run() for session in sessions))
        queries = [query for session in sessions for query in session.queries()]
    finally:
        for session in sessions:
            session.close()
    wildcard = any(session.is_wildcard for session in sessions)
    config = replace(config, servers=tuple(server.host for server in servers))
    return Lookup(config, plain, names, tuple(queries), wildcard)


def _dns_names(config: ResolverConfig, host: str) -> tuple[str, ...]:
    """Return the names that DNS is asked for; none if DNS cannot have the host's."""
    try:
        plain = host.encode("idna").decode()
    except UnicodeError:
        return ()
    names = []
    for name in config.candidates(plain):
        try:
            serialize_query(0, name, RecordType.A)
        except ValueError:  # too long with this search domain
            continue
        names.append(name)
    return tuple(names)
