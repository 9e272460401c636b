"""Notes on a pair: what both namespaces show that is no verdict by itself. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from netduet.between.far_end import listing, queue_length, target_port
from netduet.between.pair_result import PairResult
from netduet.between.pairs import service_listeners
from netduet.client.report.json_report import TargetPart
from netduet.client.results.verdict import Outcome
from netduet.net.namespace.snapshot import Snapshot, compare


def notes(result: PairResult, services: Sequence[TargetPart]) -> Iterator[str]:
    """Yield what both namespaces show that is not a failure by itself."""
    client, service = result.client.title, result.service.title
    if result.restarted:
        yield (
            f"{service} was restarted or removed during the run: the results are about "
            "that too; run it again"
        )
    if result.route.same_namespace:
        yield (
            f"{client} and {service} share one network namespace: nothing is between "
            "them"
        )
    elif not result.route.is_shared and not all(
        each.outcome is Outcome.FAIL for each in services
    ):
        yield f"{client} and {service} share no network: {client} reaches {service} by routing"
    if not services:
        yield f"{service} listens on no TCP port: the network alone was tested"
    checked = {target_port(each.target) for each in services}
    yield from _untested(result, checked)
    yield from _queues(result, checked)
    yield from _interfaces(result)


def _untested(result: PairResult, checked: set[int]) -> Iterator[str]:
    """Yield the listeners that only the service's own container can reach."""
    service = result.service.title
    hidden = [
        each
        for each in service_listeners(result.before)
        if each.is_loopback and each.port not in checked
    ]
    if hidden and not result.ports_requested:
        shown = listing([str(each) for each in hidden])
        yield (
            f"{service} also listens on {shown} alone, which nothing outside its "
            "container can reach; name the port to test it"
        )
    declared = set(result.service.exposed)
    listening = {each.port for each in service_listeners(result.before)}
    for port in sorted(declared - listening - checked):
        if not result.ports_requested:
            yield f"the image of {service} declares port {port}, and nothing listens there"


def _queues(result: PairResult, checked: set[int]) -> Iterator[str]:
    service, overflows = result.service.title, result.overflows
    waiting = {
        port: min(
            queue_length(snapshot, port) for snapshot in (result.before, result.after)
        )
        for port in sorted(checked)
    }
    for port, count in waiting.items():
        if count:
            yield (
                f"{count} connections wait in the accept queue of {service}:{port}: "
                f"{service} does not accept them"
            )
    if overflows:
        yield (
            f"during the run {overflows} connections found an accept queue of {service} "
            "full (ListenOverflows of its namespace)"
        )


def _interfaces(result: PairResult) -> Iterator[str]:
    """Yield MTUs that differ, a missing route, and what interfaces dropped."""
    client, service = result.client.title, result.service.title
    change = compare(result.before, result.after)
    for name, count in change.interface_drops.items():
        yield f"interface {name} of {service} dropped {count} packets during the run"
    if result.route.same_namespace or result.near is None:
        return
    for address in result.addresses:
        near = _interface_to(result.near, address)
        far = _interface_to(result.before, address)
        if near == "":
            yield f"{client} has no route to {address}, an address of {service}"
            continue
        mtus = (_mtu(result.near, near), _mtu(result.before, far))
        if result.route.shared and None not in mtus and mtus[0] != mtus[1]:
            yield (
                f"the MTUs of one network differ: {near} of {client} has {mtus[0]}, {far} "
                f"of {service} has {mtus[1]}"
            )


def _interface_to(snapshot: Snapshot, address: str) -> str:
    """Return the interface of the longest route to an address, "" without one."""
    wanted = ipaddress.ip_address(address)
    matching = []
    for each in snapshot.routes:
        network = ipaddress.ip_network(each.destination, strict=False)
        if network.version == wanted.version and wanted in network and not each.rejects:
            matching.append((network.prefixlen, -each.metric, each.interface))
    return max(matching)[2] if matching else ""


def _mtu(snapshot: Snapshot, name: str) -> int | None:
    return next((each.mtu for each in snapshot.interfaces if each.name == name), None)
