"""What peers that are out together share: a node, or this client. Pure.

All peers share this client's link, its node's network, and the rules for outgoing
packets. Only the client can detect that these fail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.outages.outage import Outage
from netduet.client.watch.availability import OutageRecord, PeerAvailability

MIN_HOSTS: Final = 3
"""Hosts that must be out at once: two may be out by chance, or share a switch."""

NETWORK_CLASSES: Final = frozenset({"stream.outage", "stream.new_connections"})
"""Classes in which no packets arrive. A peer that refuses or restarts is reachable."""


@dataclass(frozen=True, slots=True)
class CommonCause:
    """Peers that were out together, and their node; "" if all watched peers were out."""

    node: str
    peers: int
    start: float


def find_common_causes(
    history: Iterable[OutageRecord],
    rows: Sequence[PeerAvailability],
    complete_since: float,
) -> Iterator[CommonCause]:
    """Yield the times at which only the peers of one node were out, or all peers.

    Only certain cases: each of the peers has named the node, all ends were running, and
    a peer on another known node was watched throughout. The history is complete from
    the monotonic second ``complete_since`` on.
    """
    for group in _overlapping(history):
        start = min(record.outage.start for record in group)
        end = max(record.outage.end for record in group)
        nodes = {
            "" if record.instance is None else record.instance.node for record in group
        }
        peers = len({record.peer for record in group})
        certain = start > complete_since and all(
            record.outage.proven for record in group
        )
        if certain and _all_out(group, rows):
            yield CommonCause("", peers, start)
        elif certain and peers > 1 and len(nodes) == 1 and "" not in nodes:
            [node] = nodes
            if any(_on_other_node(row, node, start, end) for row in rows):
                yield CommonCause(node, peers, start)


def all_peers_out(ongoing: Collection[tuple[Address, Outage | None]]) -> float | None:
    """Return the time since which all peers are out; None if one is reachable.

    ``ongoing`` has the peers that have answered before, each with its ongoing outage.
    """
    outages = [outage for _, outage in ongoing if outage is not None]
    hosts = (address.host for address, _ in ongoing)
    if len(outages) < len(ongoing) or not _points_at_client(hosts, outages):
        return None
    return max(outage.start for outage in outages)


def _points_at_client(hosts: Iterable[str], outages: Iterable[Outage]) -> bool:
    """Whether simultaneous outages of these hosts suggest that this client is at fault."""
    return len(set(hosts)) >= MIN_HOSTS and all(
        outage.failure in NETWORK_CLASSES and outage.proven for outage in outages
    )


def _all_out(group: Sequence[OutageRecord], rows: Sequence[PeerAvailability]) -> bool:
    """Whether all watched peers were unreachable at the same time."""
    out = {record.peer: record.outage for record in group}
    start = max(outage.start for outage in out.values())
    end = min(outage.end for outage in out.values())
    hosts = (peer.rpartition(":")[0] for peer in out)
    if start >= end or not _points_at_client(hosts, out.values()):
        return False
    watched = (row for row in rows if row.since <= start)
    return all(
        peer.peer in out for peer in watched if peer.until is None or peer.until > start
    )


def _overlapping(history: Iterable[OutageRecord]) -> Iterator[list[OutageRecord]]:
    group: list[OutageRecord] = []
    end = float("-inf")
    for record in sorted(history, key=lambda record: record.outage.start):
        if group and record.outage.start >= end:
            yield group
            group = []
        group.append(record)
        end = max(end, record.outage.end)
    if group:
        yield group


def _on_other_node(peer: PeerAvailability, node: str, start: float, end: float) -> bool:
    """Whether a peer was watched throughout, and is on another node."""
    if peer.instance is None or peer.instance.node in {"", node}:
        return False
    return peer.instance_since <= start and (peer.until is None or peer.until >= end)
