"""Which peers were out together, and what they share: one node, or this end alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from netduet.client.watch.availability import OutageRecord, PeerAvailability
from netduet.client.watch.lone_client import points_at_client


@dataclass(frozen=True, slots=True)
class CommonCause:
    """Peers that were out together: how many, and since when.

    All of one node; "" where they are all that were watched.
    """

    node: str
    peers: int
    start: float


def find_common_causes(
    history: Iterable[OutageRecord],
    rows: Sequence[PeerAvailability],
    complete_since: float,
) -> Iterator[CommonCause]:
    """Yield when peers of one node were out together and nobody else, or all were.

    Only what is certain: of a node each of them said that it is there, both ends of
    each ran, and a peer that was known to be on another node was watched all the while.
    ``whole`` is the monotonic second from which on the history has all that was.
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


def _all_out(group: Sequence[OutageRecord], rows: Sequence[PeerAvailability]) -> bool:
    """Tell whether all that were watched could not be reached at one time."""
    out = {record.peer: record.outage for record in group}
    start = max(outage.start for outage in out.values())
    end = min(outage.end for outage in out.values())
    hosts = (peer.rpartition(":")[0] for peer in out)
    if start >= end or not points_at_client(hosts, out.values()):
        return False
    watched = (availability for availability in rows if availability.since <= start)
    return all(
        peer.peer in out for peer in watched if peer.until is None or peer.until > start
    )


def _overlapping(history: Iterable[OutageRecord]) -> Iterator[list[OutageRecord]]:
    """Yield what overlaps, each group once."""
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
    """Tell whether a peer was watched all that time, and is on another node."""
    if peer.instance is None or peer.instance.node in {"", node}:
        return False
    return peer.instance_since <= start and (peer.until is None or peer.until >= end)
