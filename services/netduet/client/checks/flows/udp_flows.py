"""Datagrams from many source ports: stage 1 tries all, stage 2 the suspicious again.

It blocks, in a thread (see ``net.udp_socket``), with bounded time and datagrams.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.flows.plan import (
    AGAIN_SHARE,
    ROUNDS,
    chosen_again,
    chosen_for_packets,
    has_stopped,
    max_first_seconds,
    still_open,
)
from netduet.client.checks.flows.results import (
    FirstDatagrams,
    FlowPlan,
    FlowTransport,
    PortTrial,
    SourcePort,
    TransportFlows,
)
from netduet.client.checks.flows.udp_exchange import (
    SMALL_BYTES,
    PortFlow,
    UdpExchange,
)
from netduet.client.net.source_ports import spread_ports
from netduet.client.results.instance import UNKNOWN_INSTANCE, instance_of

if TYPE_CHECKING:
    from netduet.client.net.dial import Address


MORE_PACKETS: Final = 5
"""Small datagrams of a port in the first stage, besides the first one."""


ROUND_WINDOW: Final = 24
"""Ports of the second stage that are tried at once: most wait for what never comes."""

FIRST_TRIAL_PORTS: Final = 24
"""New ports whose first two datagrams are compared, and as many known ones: if that of
each new port is lost, more than 60 % are with 99.99 % confidence (20 of 20)."""

_MIN_FAILED_SHARE: Final = 0.5
"""Share of the ports that fail at first from which it is looked into."""

_MIN_PASSED_SHARE: Final = 0.8
"""Share of these that pass when they are tried again: a path may lose some as well."""

_KNOCKS: Final = 3
"""Ports that are tried before all others.

A host sends few ICMP errors (6 at once and 1 a second, icmp(7)): if the UDP port is closed,
128 rejected datagrams would use up those that the check ``udp`` needs to see."""


def try_ports(
    address: Address, plan: FlowPlan, round_trip: float, extra: Sequence[int]
) -> TransportFlows | None:
    """Return what passed from which source port; None if the UDP port is closed.

    ``extra`` are ports to try besides.
    """
    generator = random.SystemRandom()
    spread = spread_ports(plan.ports, generator)
    planned = list(dict.fromkeys([*spread, *extra]))
    exchange = UdpExchange(address, round_trip, plan)
    mtu, headers = exchange.path_mtu()
    full_size = mtu - headers
    if _is_closed(exchange, planned):
        return None
    ports = _try_all(exchange, planned, full_size, max_first_seconds(plan))
    start = time.monotonic()
    if any(each.first.passed for each in ports):
        _try_again(exchange, ports, plan, full_size, generator)
    end = time.monotonic()
    firsts = None
    if _lose_first_only(ports):
        firsts = _try_first_datagrams(exchange, ports, generator)
    return TransportFlows(
        FlowTransport.UDP,
        tuple(ports),
        len(planned),
        full_size,
        (mtu, exchange.path_mtu()[0]),
        start,
        end,
        firsts,
    )


def _is_closed(exchange: UdpExchange, planned: list[int]) -> bool:
    """Return whether the first datagrams are all rejected by ICMP."""
    batches = [[SMALL_BYTES]]
    knocks = exchange.exchange(planned[:_KNOCKS], batches, 0, exact=False)
    flows = [flow for flow in knocks if flow is not None]
    return bool(flows) and all(flow.sock.notices and not flow.arrived for flow in flows)


def _try_all(
    exchange: UdpExchange, planned: list[int], full_size: int, max_seconds: float
) -> list[SourcePort]:
    """Try each port once: a small datagram, then one of full size and more small ones."""
    large = [full_size] if full_size > SMALL_BYTES else []
    batches = [[SMALL_BYTES], [*large, *[SMALL_BYTES] * MORE_PACKETS]]
    found: dict[int, SourcePort] = {}
    start = time.monotonic()
    trials = exchange.exchange(planned, batches, full_size, exact=False)
    for flow in trials:
        if flow is None:
            continue
        found[flow.order] = SourcePort(flow.port, _trial(flow))
        is_late = time.monotonic() - start > max_seconds
        if is_late or has_stopped(
            {order: each.first.passed for order, each in found.items()}
        ):
            break
    trials.close()
    return [found[order] for order in sorted(found)]


def _try_again(
    exchange: UdpExchange,
    ports: list[SourcePort],
    plan: FlowPlan,
    full_size: int,
    generator: random.Random,
) -> None:
    """Try the suspicious ports again, mixed with controls."""
    suspicious, controls = chosen_again(ports, generator)
    large = [full_size] if full_size > SMALL_BYTES else []
    index_of = {each.port: index for index, each in enumerate(ports)}
    for _ in range(ROUNDS):
        again = still_open(ports, suspicious)
        if not again:
            break
        chosen = [ports[index].port for index in (*again, *controls)]
        generator.shuffle(chosen)
        batches = [[*large, SMALL_BYTES]]
        trials = exchange.exchange(
            chosen, batches, full_size, window=ROUND_WINDOW, share=AGAIN_SHARE
        )
        for flow in trials:
            if flow is not None:
                _add(ports, index_of[flow.port], _trial(flow))
    lossy = chosen_for_packets(ports, suspicious, generator)
    if not lossy:
        return
    unsuspicious = chosen_for_packets(ports, controls, generator)
    chosen = [ports[index].port for index in (*lossy, *unsuspicious)]
    order = [
        number
        for _ in range(plan.packets)
        for number in generator.sample(range(len(chosen)), len(chosen))
    ]
    for flow in exchange.exchange_packets(chosen, order):
        if (trial := _packets_trial(flow)) is not None:
            index = index_of[flow.port]
            ports[index] = replace(ports[index], packets=trial)


def _lose_first_only(ports: Sequence[SourcePort]) -> bool:
    """Whether most ports fail at first, and hardly any when it is tried again."""
    failed = [each for each in ports if not each.first.passed]
    passed = sum(each.again[0].passed for each in failed if each.again)
    return len(failed) > _MIN_FAILED_SHARE * len(
        ports
    ) and passed >= _MIN_PASSED_SHARE * len(failed)


def _try_first_datagrams(
    exchange: UdpExchange, ports: Sequence[SourcePort], generator: random.Random
) -> FirstDatagrams:
    """Send two datagrams, one after the other, from new ports and from known ones."""
    used = {each.port for each in ports}
    known = [each.port for each in ports if each.passed][:FIRST_TRIAL_PORTS]
    spread = spread_ports(2 * FIRST_TRIAL_PORTS, generator)
    new = [port for port in spread if port not in used][:FIRST_TRIAL_PORTS]
    chosen = generator.sample([*known, *new], len(known) + len(new))
    trials = exchange.exchange(
        chosen,
        [[SMALL_BYTES], [SMALL_BYTES]],
        0,
        window=len(chosen),
        goes_on=True,
    )
    flows = [flow for flow in trials if flow is not None]
    lost = [flow for flow in flows if 0 not in flow.arrived]
    new_lost = [flow for flow in lost if flow.port in new and 1 in flow.arrived]
    return FirstDatagrams(
        sum(flow.port in new for flow in flows),
        len(new_lost),
        sum(flow.highest > len(flow.arrived) for flow in new_lost),
        sum(flow.port in known for flow in flows),
        sum(flow.port in known for flow in lost),
    )


def _add(ports: list[SourcePort], index: int, trial: PortTrial) -> None:
    each = ports[index]
    ports[index] = replace(each, again=(*each.again, trial))


def _trial(flow: PortFlow) -> PortTrial:
    """Return what came of an exchange."""
    full = None if not flow.full else bool(flow.full & flow.arrived)
    small = flow.sent - len(flow.full)
    small_arrived = len(flow.arrived - flow.full)
    # Small ones sent later carry the server's count, which includes the large one.
    arrived = None if full is None else full or flow.highest > small_arrived
    return PortTrial(
        passed=bool(flow.arrived),
        full=full if flow.arrived else None,
        full_arrived=arrived,
        sent=small,
        lost_up=small - small_arrived,
        detail="" if flow.arrived else "no response in time",
    )


def _packets_trial(flow: PortFlow) -> PortTrial | None:
    """Return how many of many datagrams were lost each way; None if unknown."""
    if flow.received is None or flow.answered is None:
        return None
    welcome = flow.welcome
    return PortTrial(
        passed=bool(flow.arrived),
        sent=flow.sent,
        lost_up=max(0, flow.sent - flow.received),
        lost_down=max(0, flow.answered - len(flow.arrived)),
        instance=UNKNOWN_INSTANCE if welcome is None else instance_of(welcome),
    )
