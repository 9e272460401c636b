"""Runs the check ``flows``: connections, datagrams and held connections side by side."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.flows.held_connections import hold
from netduet.client.checks.flows.plan import (
    MAX_LOSSY,
    PATH_SHARE,
    PLANS,
    PORT_BYTES,
    SERVICE_PORTS,
)
from netduet.client.checks.flows.results import (
    FlowPlan,
    FlowsResult,
    TransportFlows,
)
from netduet.client.checks.flows.tcp_flows import TcpFlows
from netduet.client.checks.flows.udp_flows import try_ports
from netduet.client.checks.identity.results import IdentityAnswer, IdentityResult
from netduet.client.checks.reach.results import ReachResult
from netduet.client.net.dial import in_thread
from netduet.client.net.neighbour_watch import NeighbourWatch
from netduet.net import kernel

if TYPE_CHECKING:
    from netduet.client.net.dial import ConnectResult

_LONGER_WATCH_SECONDS: Final = 2.5
"""Seconds for which the MAC address is watched further, once it has changed."""

FEATURE: Final = "count"

_DESCRIPTORS_PER_PORT: Final = 8
"""Files that this process may open for each port that is tried."""

_SLOW_PATH_SECONDS: Final = 4.0
"""Time for the ports of a transport on a slow path, unless they are too few then, and
for the packets of the second stage."""
_MIN_SLOW_PORTS: Final = 12
_MIN_SLOW_PACKETS: Final = 10
_SMALL_PACKET_BYTES: Final = 100
"""Bytes of a small question or datagram, headers included."""

_PROTOCOL_SHARE: Final = 4
"""A quarter of the connections that a protocol allows is this check's."""


async def measure(context: CheckContext, answer: IdentityAnswer) -> FlowsResult:
    """Measure one address."""
    plan = _fit_plan(PLANS[context.profile], answer)
    failed = _failed_ports(context, answer)
    extra = [each.port for each in failed]
    round_trip = answer.handshake.seconds
    tcp = TcpFlows(answer.dialer, plan, round_trip, extra).run()
    if not answer.is_netduet:
        return FlowsResult(answer.address, await tcp, failed_ports=failed)
    held = hold(answer.address, context.timeouts, plan)
    link = _watch_neighbour(context, answer, plan.hold)
    udp = _try_udp(answer, plan, round_trip, extra)
    if plan.is_slow:
        # One after the other: each would be the other's queue.
        connections, link_addresses = await asyncio.gather(held, link)
        tcp_flows, udp_flows = await tcp, await udp
    else:
        tcp_flows, udp_flows, connections, link_addresses = await asyncio.gather(
            tcp, udp, held, link
        )
    return FlowsResult(
        answer.address,
        tcp_flows,
        udp_flows,
        connections,
        plan.hold,
        link_addresses,
        failed,
    )


async def _watch_neighbour(
    context: CheckContext, answer: IdentityAnswer, seconds: float
) -> tuple[str, ...]:
    """Return the MAC addresses of the server, whenever they changed.

    Those that ``reach`` saw are among them: a change takes the kernel a second or more.
    """
    before = context.earlier(ReachResult).link_addresses.get(answer.address, ())
    watch = NeighbourWatch(answer.address.host, before)
    await watch.watch(seconds)
    if len(watch.link_addresses) > 1:
        await watch.watch(_LONGER_WATCH_SECONDS)
    return watch.link_addresses


async def _try_udp(
    answer: IdentityAnswer, plan: FlowPlan, round_trip: float, extra: list[int]
) -> TransportFlows | None:
    """Try datagrams, in a thread, if the server can count them."""
    if FEATURE not in answer.features:
        return None
    return await in_thread(partial(try_ports, answer.address, plan, round_trip, extra))


def _fit_plan(plan: FlowPlan, answer: IdentityAnswer) -> FlowPlan:
    """Limit the ports to the available descriptors, and to what a service allows."""
    descriptors, _, _ = kernel.socket_limits()
    ports = min(plan.ports, descriptors // _DESCRIPTORS_PER_PORT)
    if not answer.is_netduet:
        ports = min(ports, SERVICE_PORTS)
        if answer.protocol is not None:
            ports = min(ports, answer.protocol.max_connections // _PROTOCOL_SHARE)
    return fit_rate(replace(plan, ports=ports), answer.rate)


def fit_rate(plan: FlowPlan, rate: float) -> FlowPlan:
    """Return a plan that does not fill a path with this rate in bit/s.

    It has fewer ports and packets where all of them would take long.
    """
    plan = replace(plan, rate=rate)
    if not plan.is_slow:
        return plan
    interval = max(plan.interval, plan.transit_seconds(PORT_BYTES, PATH_SHARE))
    ports = max(_MIN_SLOW_PORTS, int(_SLOW_PATH_SECONDS / interval))
    exchanged = 2 * MAX_LOSSY * _SMALL_PACKET_BYTES
    turn = plan.transit_seconds(exchanged, PATH_SHARE)
    packets = max(_MIN_SLOW_PACKETS, int(_SLOW_PATH_SECONDS / turn))
    return replace(
        plan,
        interval=interval,
        ports=min(plan.ports, ports),
        packets=min(plan.packets, packets),
    )


def _failed_ports(
    context: CheckContext, answer: IdentityAnswer
) -> tuple[ConnectResult, ...]:
    """Return the earlier attempts that failed at this address."""
    earlier = (
        *context.earlier(ReachResult).failed_ports,
        *context.earlier(IdentityResult).failed_ports,
    )
    return tuple(
        each for each in earlier if each.address == answer.address and each.port
    )
