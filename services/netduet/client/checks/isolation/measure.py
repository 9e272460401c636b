"""Probes a port by TCP and UDP, and records every answer and ICMP error."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netduet.client.checks.isolation.results import IsolationResult, PortState
from netduet.client.checks.name.results import NameResult
from netduet.client.net.dial import Address, in_thread
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.handshake import Handshake
from netduet.client.net.port_probe import Response, own_address, probe_tcp, probe_udp

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext
    from netduet.client.net.timeouts import Timeouts

MAX_ADDRESSES: Final = 16
"""Maximum addresses that are probed."""

_IPV4_ROUTES: Final = Path("/proc/net/route")
_IPV6_ROUTES: Final = Path("/proc/net/ipv6_route")


async def measure(context: CheckContext) -> IsolationResult:
    """Probe all addresses concurrently."""
    addresses = context.earlier(NameResult).resolution.addresses
    ports = await asyncio.gather(
        *(
            _probe_port(address, context.timeouts)
            for address in addresses[:MAX_ADDRESSES]
        )
    )
    left_out = max(0, len(addresses) - MAX_ADDRESSES)
    return IsolationResult(tuple(ports), left_out, has_routes(), context.control)


async def _probe_port(address: Address, timeouts: Timeouts) -> PortState:
    # A router that finds no host reports it after 3 s, and only for some packets (RFC
    # 4861 §10, RFC 1812 §4.3.2.8): UDP waits for as long as TCP may.
    udp_timeout = max(timeouts.connect, timeouts.answer)
    tcp, udp = await asyncio.gather(
        in_thread(partial(probe_tcp, address, timeouts.connect)),
        in_thread(partial(probe_udp, address, udp_timeout)),
    )
    handshake: Handshake | None = None
    if tcp.response is Response.OPEN:
        async with open_connection(address, timeouts) as (handshake, connection):
            if connection is not None:
                await connection.end(min(1.0, timeouts.answer))
    return PortState(address, tcp, udp, own_address(address), handshake)


def has_routes() -> bool:
    """Whether this host has a route to any other host; True if unknown."""
    try:
        ipv4 = _IPV4_ROUTES.read_text().splitlines()[1:]
    except OSError:
        return True
    try:
        ipv6 = _IPV6_ROUTES.read_text().splitlines()
    except OSError:  # a kernel without IPv6
        ipv6 = []
    # The destination is the first field, 32 digits; the interface the last
    # (proc_net(5)).
    ipv6 = [line for line in ipv6 if not line.startswith(("fe80", "ff"))]
    return any(line.split()[0] != "lo" for line in ipv4 if line.strip()) or any(
        line.split()[-1] != "lo" for line in ipv6 if line.strip()
    )
