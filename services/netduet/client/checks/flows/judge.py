"""Judges the source ports of one address: by port, by instance, by time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from netduet.client.checks.base import CheckOptions
from netduet.client.checks.flows import findings
from netduet.client.checks.flows.instance_statistics import (
    hole_instance,
    instance_names,
    interrupted_connections,
    lossy_instance,
    moved_connections,
    takes_turns,
)
from netduet.client.checks.flows.port_statistics import (
    LossyPorts,
    dead_ports,
    hole_ports,
    loses_first_datagrams,
    lossy_ports,
    stopped_after,
)
from netduet.client.checks.flows.results import (
    FlowsResult,
    FlowTransport,
    TransportFlows,
)
from netduet.client.results.location import Direction, Side
from netduet.client.results.verdict import Figures, Finding, Judgement
from netduet.client.stats.instances import FailingInstance
from netduet.net.time_span import TimeSpan

_MIN_TRIED_SHARE: Final = 0.9
"""Share of the planned ports below which a note says how many were not tried."""


_ECHO_SHARE: Final = 0.6
"""Share of the other direction's loss up to which a loss may follow from it."""


def judge(result: FlowsResult, options: CheckOptions) -> Judgement:
    """Judge one address."""
    found = tuple(_findings(result, options.max_loss))
    remarks = () if found else tuple(_remarks(result))
    tcp = result.tcp
    if tcp is not None and not found and _is_silent(tcp):
        return _unjudged(result, tcp, remarks)
    return Judgement(_summary(result), found, remarks, _figures(result))


def _is_silent(flows: TransportFlows) -> bool:
    """Whether ports were tried, and none of them passed."""
    return bool(flows.ports) and not any(port.passed for port in flows.ports)


def _unjudged(
    result: FlowsResult, tcp: TransportFlows, remarks: tuple[str, ...]
) -> Judgement:
    """Return that no port passes, which says nothing about single ones.

    Why new connections fail is for other checks to find.
    """
    tried = len(tcp.ports)
    text = f"{result.address}: no connection was made from any of {tried} source ports"
    missed = TimeSpan(tcp.first_start, tcp.end)
    doubt = Finding("path.broken", text, ((Side.CLIENT, text),), missed_deadline=missed)
    return Judgement("", (), remarks, _figures(result), skipped=text, doubt=doubt)


def _findings(result: FlowsResult, max_loss: float) -> Iterator[Finding]:
    if takes_turns(result.link_addresses):
        yield findings.duplicate_address(result)
    moved = moved_connections(result.held)
    if moved:
        yield findings.moved(result, moved)
    interrupted = interrupted_connections(result.held)
    if interrupted:
        yield findings.interrupted(result, interrupted)
    counts = [(flows, stopped_after(flows)) for flows in result.flows]
    stops = [(flows, count) for flows, count in counts if count is not None]
    if stops:
        yield findings.stopped(result, stops)
    for flows, count in counts:
        if count is None:
            yield from _judge_transport(result, flows, max_loss)


def _judge_transport(
    result: FlowsResult, flows: TransportFlows, max_loss: float
) -> Iterator[Finding]:
    """Yield what is wrong with a transport, the worst first."""
    first = flows.first_datagrams
    if first is not None and loses_first_datagrams(first):
        yield findings.first_lost(result, first)
        return
    dead = dead_ports(flows)
    if dead is not None:
        tcp_instances = () if result.tcp is None else instance_names(result.tcp)
        yield findings.dead(result, flows, dead, tcp_instances)
    hole = hole_instance(flows)
    holes = hole_ports(flows)
    if hole is not None:
        yield findings.instance_hole(result, flows, *hole)
    elif holes is not None:
        yield findings.hole(result, flows, holes)
    instances = {d: lossy_instance(flows, d, max_loss) for d in Direction}
    ports = {d: lossy_ports(flows, d, max_loss) for d in Direction}
    for direction, lossy in instances.items():
        if lossy is not None and _is_main(lossy, instances.values()):
            yield findings.instance_loss(result, flows, lossy, direction)
    if any(instances.values()):
        return
    for each in ports.values():
        if each is not None and _is_main(each, ports.values()):
            yield findings.loss(result, flows, each)


def _is_main(
    found: FailingInstance | LossyPorts,
    both: Iterable[FailingInstance | LossyPorts | None],
) -> bool:
    """Whether it is no echo of the other direction's loss.

    A kernel also sends again what was only acknowledged in vain.
    """
    rates = [each.rate for each in both if each is not None]
    return found.rate > _ECHO_SHARE * max(rates)


def _summary(result: FlowsResult) -> str:
    parts = [f"{_passing(flows)} ({flows.transport})" for flows in result.flows]
    text = f"{result.address}: packets pass from {' and '.join(parts)} source ports"
    if result.held:
        intact = sum(not each.error for each in result.held)
        text += f"; {intact} of {len(result.held)} connections held for {result.held_seconds:.1f} s stayed"
    return text


def _passing(flows: TransportFlows) -> str:
    passed, tried = sum(port.passed for port in flows.ports), len(flows.ports)
    return f"all {tried}" if passed == tried else f"{passed} of {tried}"


def _remarks(result: FlowsResult) -> Iterator[str]:
    ended = [each for each in result.held if each.error]
    if ended:
        replaced = sum(each.has_moved for each in ended)
        text = f", and another instance answers since, to {replaced} of them"
        yield (
            f"{result.address}: {len(ended)} of {len(result.held)} connections that were "
            f"held ended ({ended[0].error}){text * bool(replaced)}"
        )
    for flows in result.flows:
        largest, smallest = flows.path_mtus
        if largest > smallest:
            yield (
                f"{result.address}: this kernel learnt that the path MTU is {smallest:,}, "
                f"not {largest:,}: a router reported it (path MTU discovery works)"
            )
        dead = sum(not port.passed for port in flows.ports)
        if len(flows.ports) < _MIN_TRIED_SHARE * flows.planned:
            yield (
                f"{result.address}: {flows.planned - len(flows.ports)} of "
                f"{flows.planned} source ports ({flows.transport}) were not tried"
            )
        if dead:
            yield (
                f"{result.address}: nothing passed from {dead} source ports "
                f"({flows.transport}), which chance may explain"
            )
        lost = [port for port in flows.ports if port.is_suspicious]
        if lost and not dead:
            yield (
                f"{result.address}: {len(lost)} of {len(flows.ports)} source ports "
                f"({flows.transport}) lost packets at first; tried again, they lose no "
                "more than the others: it does not depend on the port"
            )


def _figures(result: FlowsResult) -> Figures:
    figures: Figures = {}
    for flows in result.flows:
        name = flows.transport.lower()
        figures |= {
            f"{name}_ports": len(flows.ports),
            f"{name}_passed": sum(port.passed for port in flows.ports),
            f"{name}_suspicious": sum(port.is_suspicious for port in flows.ports),
            f"{name}_full_size": flows.full_size or None,
            f"{name}_full_passed": sum(port.full_passed for port in flows.ports),
        }
    if result.held:
        figures["held"] = len(result.held)
        figures["held_ended"] = sum(bool(each.error) for each in result.held)
    tcp = result.tcp
    if tcp is not None and tcp.transport is FlowTransport.TCP:
        figures["instances"] = len(instance_names(tcp)) or None
    return figures
