"""Source ports as the check ``flows`` may measure them."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.flows.judge import judge
from netduet.client.checks.flows.plan import ROUNDS
from netduet.client.checks.flows.results import (
    FlowsResult,
    FlowTransport,
    HeldFlow,
    PortTrial,
    SourcePort,
    TransportFlows,
)
from netduet.client.net.dial import Address
from netduet.client.results.instance import Instance
from netduet.client.results.verdict import Finding, Judgement

ADDRESS = Address(socket.AF_INET, "192.0.2.1", 12345)
PORTS = 128
PASSED = PortTrial(passed=True, full=True, sent=3)
FAILED = PortTrial(passed=False, sent=1, detail="no response in time")
HOLE = PortTrial(passed=True, full=False, full_arrived=False, sent=2)


def number_of(index: int) -> int:
    """Return the source port of this index."""
    return 33_000 + 200 * index


def good(index: int, *, is_control: bool = False) -> SourcePort:
    """Return a port from which everything passes."""
    return SourcePort(number_of(index), PASSED, (PASSED,) * (ROUNDS * is_control))


def failing(index: int, trial: PortTrial) -> SourcePort:
    """Return a port on which each trial is the same."""
    return SourcePort(number_of(index), trial, (trial,) * ROUNDS)


def with_packets(
    index: int, lost_up: int, *, suspicious: bool, sent: int = 60, lost_down: int = 0
) -> SourcePort:
    """Return a port that exchanged many packets."""
    first = PortTrial(passed=True, full=True, sent=3, lost_up=int(suspicious))
    packets = PortTrial(passed=True, sent=sent, lost_up=lost_up, lost_down=lost_down)
    return SourcePort(number_of(index), first, (), packets)


def flows_of(
    bad: Iterable[int],
    trial: PortTrial,
    transport: FlowTransport = FlowTransport.TCP,
) -> TransportFlows:
    """Return flows in which these ports fail like this; every fifth other is a control."""
    indexes = set(bad)
    ports = [
        failing(index, trial)
        if index in indexes
        else good(index, is_control=index % 5 == 0)
        for index in range(PORTS)
    ]
    return TransportFlows(transport, tuple(ports), PORTS, full_size=1448)


def judged(
    tcp: TransportFlows | None = None,
    udp: TransportFlows | None = None,
    held: tuple[HeldFlow, ...] = (),
    link_addresses: tuple[str, ...] = (),
) -> Judgement:
    """Judge one address."""
    result = FlowsResult(ADDRESS, tcp, udp, held, 2.4, link_addresses)
    return judge(result, CheckOptions())


def found(judgement: Judgement) -> Finding:
    """Return the one finding."""
    [finding] = judgement.findings
    return finding


def held_flow(
    port: int, first: str, error: str = "", after: str = "", *, returned: bool = False
) -> HeldFlow:
    """Return a held connection; ``first`` and ``after`` are instances."""
    return HeldFlow(
        port,
        Instance(first),
        f"id of {first}",
        error,
        answered_at=2.0 if error else 9.0,
        end=2.1 if error else 9.0,
        instance_after=Instance(after) if after else None,
        boot_id_after=f"id of {after}" if after else "",
        returned=returned,
    )
