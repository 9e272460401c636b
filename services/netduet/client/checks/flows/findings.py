"""The findings about source ports, instances and flows that move. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from netduet.client.checks.flows.consequences import (
    BREAKING,
    EXPLAINED_BALANCE,
    INTERRUPTED_CONSEQUENCES,
    LOSSES,
    SIZES,
    TABLE_CONSEQUENCES,
)
from netduet.client.checks.flows.port_statistics import FailingPorts, LossyPorts
from netduet.client.checks.flows.results import (
    FirstDatagrams,
    FlowsResult,
    FlowTransport,
    HeldFlow,
    PortTrial,
    SourcePort,
    TransportFlows,
)
from netduet.client.results.location import Direction, Location, Side
from netduet.client.results.verdict import Evidence, Figures, Finding
from netduet.client.stats.instances import FailingInstance
from netduet.client.stats.proportions import lower_bound, upper_bound

_MAX_PORTS_SHOWN: Final = 5

_SHARE_ERROR: Final = 0.025
"""Probability that a bound of the share of paths is wrong: between both lie 95 %."""

_WORDS: Final = {FlowTransport.TCP: "connections", FlowTransport.UDP: "datagrams"}


def dead(
    result: FlowsResult,
    flows: TransportFlows,
    found: FailingPorts,
    instances: Sequence[str],
) -> Finding:
    """Return the finding that nothing passes from a share of the ports."""
    count, is_tcp = len(found.ports), flows.transport is FlowTransport.TCP
    others = "the others do" if found.others_fail else "the others always do"
    seen = (
        f"{result.address}: {_WORDS[flows.transport]} from {count} of {found.tried} "
        f"source ports never pass, {others}: {_share(found)}"
    )
    explains = BREAKING + EXPLAINED_BALANCE if is_tcp else LOSSES
    if len(instances) > 1:
        seen += f", or a server behind the address (besides {', '.join(instances)})"
        explains = BREAKING if is_tcp else LOSSES
    failure = "flows.dead" if is_tcp else "flows.udp_dead"
    if found.is_range:
        failure = "flows.port_range" if is_tcp else "flows.udp_port_range"
    evidence = (
        (Side.CLIENT, _describe_ports(found.ports, flows)),
        *_remembered(result, found.ports),
    )
    figures = _port_figures(found)
    return Finding(failure, seen, evidence, figures, explains=explains)


def hole(result: FlowsResult, flows: TransportFlows, found: FailingPorts) -> Finding:
    """Return the finding that packets of full size do not pass from some ports."""
    is_tcp = flows.transport is FlowTransport.TCP
    count, size = len(found.ports), flows.full_size
    others = "those of the others do" if found.others_fail else "the others always do"
    where = _hole_location([t for port in found.ports for t in port.trials])
    seen = (
        f"{result.address}: {_WORDS[flows.transport]} from {count} of {found.tried} "
        f"source ports never carry full-size packets ({size:,} bytes), {others}: "
        f"{_share(found)}"
    )
    failure = "flows.black_hole" if is_tcp else "flows.udp_black_hole"
    evidence = (
        (Side.CLIENT, f"small packets pass from all of them; {_names(found.ports)}"),
    )
    return Finding(failure, seen, evidence, _port_figures(found), where, explains=SIZES)


def instance_hole(
    result: FlowsResult,
    flows: TransportFlows,
    found: FailingInstance,
    trials: tuple[PortTrial, ...],
) -> Finding:
    """Return the finding that packets of full size do not pass to one instance."""
    where = _hole_location(trials)
    seen = (
        f"instance {found.name} at {result.address}: none of {found.count} "
        f"{_WORDS[flows.transport]} carried a full-size packet ({flows.full_size:,} "
        f"bytes) {_way(where)}; with {', '.join(found.others)}, "
        f"{found.others_count - found.others_failed} of {found.others_count} did"
    )
    is_tcp = flows.transport is FlowTransport.TCP
    failure = "flows.black_hole" if is_tcp else "flows.udp_black_hole"
    evidence = ((Side.CLIENT, f"small packets pass to and from {found.name}"),)
    figures: Figures = {"instance": found.name, "failed": found.failed}
    return Finding(
        failure,
        seen,
        evidence,
        figures,
        where,
        explains=SIZES,
        causes=(f"instance {found.name}, or the link to it, has a smaller MTU",),
        culprit=found.name,
    )


def loss(result: FlowsResult, flows: TransportFlows, found: LossyPorts) -> Finding:
    """Return the finding that some ports lose more than the others."""
    is_tcp = flows.transport is FlowTransport.TCP
    share = _paths(found.estimate, found.tried)
    seen = (
        f"{result.address}: {'segments' if is_tcp else 'datagrams'} from about "
        f"{found.estimate} of {found.tried} source ports are lost "
        f"{found.direction.path.phrase} ({found.rate:.0%}), those of the others are not "
        f"({found.other_rate:.1%}): {share}"
    )
    ports = ", ".join(map(str, found.lossy[:_MAX_PORTS_SHOWN]))
    text = f"lossy source ports: {ports}{_and_more(len(found.lossy))}"
    figures: Figures = {
        "lossy": found.estimate,
        "tried": found.tried,
        "rate": round(found.rate, 4),
        "other_rate": round(found.other_rate, 4),
    }
    failure = "flows.loss" if is_tcp else "flows.udp_loss"
    where = found.direction.path
    return Finding(
        failure, seen, ((Side.CLIENT, text),), figures, where, explains=LOSSES
    )


def instance_loss(
    result: FlowsResult,
    flows: TransportFlows,
    found: FailingInstance,
    direction: Direction,
) -> Finding:
    """Return the finding that an instance loses more than the others."""
    is_tcp = flows.transport is FlowTransport.TCP
    others = found.others_failed / max(1, found.others_count)
    seen = (
        f"instance {found.name} at {result.address}: {found.failed} of {found.count} "
        f"{'segments' if is_tcp else 'datagrams'} ({found.rate:.0%}) are lost "
        f"{direction.path.phrase}; of those of {', '.join(found.others)}, {others:.1%}"
    )
    failure = "flows.loss" if is_tcp else "flows.udp_loss"
    figures: Figures = {"instance": found.name, "rate": round(found.rate, 4)}
    return Finding(
        failure,
        seen,
        (),
        figures,
        direction.path,
        explains=LOSSES,
        causes=(f"instance {found.name}, or the link to it, loses packets",),
        culprit=found.name,
    )


def stopped(
    result: FlowsResult, stops: Sequence[tuple[TransportFlows, int]]
) -> Finding:
    """Return the finding that no new flow passes after a number of them.

    ``stops`` has the transports that stopped, each with how many ports passed: a table
    that is full lets neither pass.
    """
    counts = [(flows.transport, len(flows.ports), passed) for flows, passed in stops]
    before = " and ".join(f"{passed} new {name} flows" for name, _, passed in counts)
    failed = " and ".join(str(tried - passed) for _, tried, passed in counts)
    seen = (
        f"{result.address}: after {before}, none of {failed} further ones passed, from "
        "whichever source port; those that had passed before still do"
    )
    evidence = tuple(
        (Side.CLIENT, f"the first {passed} of {tried} source ports passed ({name})")
        for name, tried, passed in counts
    )
    figures: Figures = {
        "passed": sum(passed for *_, passed in counts),
        "failed": sum(tried - passed for _, tried, passed in counts),
    }
    return Finding(
        "flows.table_full", seen, evidence, figures, explains=TABLE_CONSEQUENCES
    )


def first_lost(result: FlowsResult, first: FirstDatagrams) -> Finding:
    """Return the finding that each new flow loses its first datagram."""
    seen = (
        f"{result.address}: the first datagram from {first.new_lost} of {first.new} new "
        "source ports was lost, and the second one passed"
    )
    known = f"{first.known - first.known_lost} of {first.known}"
    evidence: Evidence = (
        (
            Side.CLIENT,
            f"from known source ports, tried by turns, the first one of {known} passed",
        ),
        (
            Side.SERVER,
            f"it received the first one from {first.new_arrived} of {first.new_lost}",
        ),
    )
    figures: Figures = {"new": first.new, "new_lost": first.new_lost}
    where = Location.INTERMEDIARY
    if first.new_arrived in {0, first.new_lost}:
        way = Direction.DOWN if first.new_arrived else Direction.UP
        where = way.path
    return Finding(
        "flows.udp_first_lost", seen, evidence, figures, where, explains=("udp.loss",)
    )


def moved(result: FlowsResult, connections: Sequence[HeldFlow]) -> Finding:
    """Return the finding that connections are led to another instance on the way."""
    names = sorted(
        {str(each.instance) for each in connections}
        | {str(each.instance_after) for each in connections if each.instance_after}
    )
    seen = (
        f"{result.address}: {len(connections)} of {len(result.held)} connections were "
        f"reset within {result.held_seconds:.1f} s, and their source ports then led to "
        f"another instance: {' and '.join(names)} answer there by turns"
    )
    first = connections[0]
    errors = Counter(each.error for each in connections).most_common(2)
    evidence: Evidence = (
        (Side.CLIENT, "; ".join(f"{number}×: {text}" for text, number in errors)),
        (
            Side.CLIENT,
            (
                f"source port {first.port}: first {first.instance}, then "
                f"{first.instance_after}; the first still answers other connections"
            ),
        ),
    )
    figures: Figures = {"moved": len(connections), "held": len(result.held)}
    return Finding(
        "flows.moved",
        seen,
        evidence,
        figures,
        explains=BREAKING + EXPLAINED_BALANCE,
    )


def interrupted(result: FlowsResult, connections: Sequence[HeldFlow]) -> Finding:
    """Return the finding that connections in use end while their server goes on."""
    seen = (
        f"{result.address}: {len(connections)} of {len(result.held)} connections ended "
        f"within {result.held_seconds:.1f} s while they were in use, and the same server "
        "answered new ones afterwards"
    )
    errors = Counter(each.error for each in connections).most_common(2)
    evidence: Evidence = (
        (Side.CLIENT, "; ".join(f"{number}×: {text}" for text, number in errors)),
    )
    figures: Figures = {"interrupted": len(connections), "held": len(result.held)}
    return Finding(
        "flows.interrupted", seen, evidence, figures, explains=INTERRUPTED_CONSEQUENCES
    )


def duplicate_address(result: FlowsResult) -> Finding:
    """Return the finding that two hosts have the address by turns."""
    addresses = list(dict.fromkeys(result.link_addresses))
    changes = len(result.link_addresses) - 1
    seen = (
        f"{result.address}: two or more hosts have this address by turns: the MAC address "
        f"changed {changes} times during this check, between "
        f"{' and '.join(addresses)}"
    )
    text = (
        f"this kernel's neighbours (ip neigh): {', '.join(result.link_addresses[:8])}"
    )
    figures: Figures = {"link_addresses": len(addresses), "changes": changes}
    return Finding(
        "flows.duplicate_address",
        seen,
        ((Side.CLIENT, text),),
        figures,
        explains=(
            *BREAKING,
            *EXPLAINED_BALANCE,
            *LOSSES,
            "flows.moved",
            "flows.dead",
            "flows.interrupted",
        ),
    )


# Texts


def _share(found: FailingPorts) -> str:
    """Return what the failing ports have in common: a range, or a share of the paths."""
    if found.is_range:
        return f"all from {found.ports[0].port} to {found.ports[-1].port}"
    return _paths(len(found.ports), found.tried)


def _paths(count: int, tried: int) -> str:
    """Return the share of paths that this share of the ports suggests, with its bounds."""
    low = round(1 / upper_bound(count, tried, _SHARE_ERROR))
    high = round(1 / lower_bound(count, tried, _SHARE_ERROR))
    middle = max(1, round(tried / count))
    bounds = "" if low == high else f" (one in {low} to {high})"
    return f"about one path in {middle}{bounds}"


def _describe_ports(ports: Sequence[SourcePort], flows: TransportFlows) -> str:
    trials = len(ports[0].trials)
    word = (
        "connection attempts" if flows.transport is FlowTransport.TCP else "exchanges"
    )
    details = Counter(port.first.detail for port in ports)
    how = details.most_common(1)[0][0] or "no response in time"
    return f"{trials} {word} from each of them failed ({how}); {_names(ports)}"


def _names(ports: Sequence[SourcePort]) -> str:
    shown = ", ".join(str(port.port) for port in ports[:_MAX_PORTS_SHOWN])
    return f"source ports: {shown}{_and_more(len(ports))}"


def _and_more(count: int) -> str:
    more = count - _MAX_PORTS_SHOWN
    return f" and {more} more" if more > 0 else ""


def _remembered(result: FlowsResult, ports: Sequence[SourcePort]) -> Evidence:
    """Return that an earlier check has met one of these ports."""
    numbers = {port.port for port in ports}
    met = [str(each.port) for each in result.failed_ports if each.port in numbers]
    if not met:
        return ()
    text = f"an earlier check got no response from source port {', '.join(met)} either"
    return ((Side.CLIENT, text),)


def _port_figures(found: FailingPorts) -> Figures:
    return {
        "failing": len(found.ports),
        "tried": found.tried,
        "first_port": found.ports[0].port,
        "last_port": found.ports[-1].port,
        "is_range": found.is_range,
    }


def _hole_location(trials: Sequence[PortTrial]) -> Location:
    """Return where packets of full size are lost."""
    arrived = [
        trial.full_arrived
        for trial in trials
        if trial.full is False and trial.full_arrived is not None
    ]
    if arrived and all(arrived):
        return Location.FROM_SERVER
    if arrived and not any(arrived):
        return Location.TO_SERVER
    return Location.INTERMEDIARY


def _way(where: Location) -> str:
    return "" if where is Location.INTERMEDIARY else where.phrase
