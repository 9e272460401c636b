"""What the namespace of a service shows about a port that is not reachable. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netduet.between.pair_result import PairResult
from netduet.between.pairs import service_listeners
from netduet.client.report.json_report import EvidencePart, FindingPart, TargetPart
from netduet.client.results.location import Location, Side
from netduet.net.namespace.snapshot import ListenerPart, Snapshot

REFUSED: Final = "reach.refused"
"""Failure class of a target that answers a SYN with a reset."""


def listeners(snapshot: Snapshot, port: int) -> list[ListenerPart]:
    """Return the listeners of a service on a port."""
    return [each for each in service_listeners(snapshot) if each.port == port]


def queue_length(snapshot: Snapshot, port: int) -> int:
    """Return how many connections wait in the accept queue of a port."""
    return max((each.queue for each in listeners(snapshot, port)), default=0)


def target_port(target: str) -> int:
    """Return the port of a target as reports name it."""
    return int(target.rpartition(":")[2].partition("/")[0])


def listener_blame(service: str, port: int, result: PairResult) -> str:
    """Return how the listener itself explains that a port is not reachable, or ""."""
    found = listeners(result.before, port)
    if not found:
        others = sorted({each.port for each in service_listeners(result.before)})
        shown = f"; {service} listens on {listing([str(each) for each in others])}"
        return f"nothing listens on TCP port {port} in {service}" + (
            shown if others else f"; {service} listens on no TCP port"
        )
    if all(each.is_loopback for each in found) and not result.route.same_namespace:
        where = listing([str(each) for each in found])
        every = "::" if all(":" in each.address for each in found) else "0.0.0.0"  # noqa: S104 - advice
        return (
            f"{service} listens on {where} alone: nothing outside its container can "
            f"reach it; make it listen on {every}"
        )
    addresses = set(result.addresses)
    single = [each for each in found if not each.is_wildcard and not each.is_loopback]
    tried = {each.address for each in single} & addresses
    if single and not tried and not any(each.is_wildcard for each in found):
        return (
            f"{service} listens on {listing([str(each) for each in found])} alone, and "
            f"{result.client.title} uses {listing(sorted(addresses))}; make it listen "
            "on 0.0.0.0"
        )
    return ""


def with_evidence(target: TargetPart, result: PairResult) -> TargetPart:
    """Return the target whose root finding has what the service's namespace shows."""
    root = target.root
    if root is None or not root.failure.startswith("reach."):
        return target
    port, service = target_port(target.target), result.service.title
    blame = listener_blame(service, port, result)
    found = listeners(result.before, port)
    text = blame or (
        f"{service} listens on {listing([str(each) for each in found])}; accept queue: "
        f"{max(each.queue for each in found)} connections"
    )
    evidence = EvidencePart(side=Side.SERVER, text=text)
    where = str(Location.SERVER) if blame else root.where
    if not blame and root.failure == REFUSED:
        where = str(Location.INTERMEDIARY)  # a kernel with a listener does not refuse

    def testified(finding: FindingPart) -> FindingPart:
        if finding != root:
            return finding
        kept = [each for each in finding.evidence if each.side is not Side.SERVER]
        return finding.model_copy(
            update={"evidence": [*kept, evidence], "where": where}
        )

    checks = [
        check.model_copy(
            update={
                "findings": [testified(each) for each in check.findings],
                # Guesses from this end, where the far end shows what listens.
                "remarks": [] if root in check.findings else check.remarks,
            }
        )
        for check in target.checks
    ]
    return target.model_copy(update={"root": testified(root), "checks": checks})


def listing(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: a, b and c."""
    *others, last = words or ("nothing",)
    return f"{', '.join(others)} and {last}" if others else last
