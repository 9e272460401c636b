"""Whether all peers are out at once: what they share is at fault then. Pure.

This end is shared by all of them: its link, its node's network, the policy on what
leaves there. That a network ends here is seen by nobody else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.outages.outage import Outage

MIN_HOSTS: Final = 3
"""Hosts that must be out at once: two may be so by chance, or share a switch."""

NETWORK_CLASSES: Final = frozenset({"stream.outage", "stream.new_connections"})
"""Classes in which packets stay away. Who refuses, or restarts, is reached."""


def all_peers_out(ongoing: Collection[tuple[Address, Outage | None]]) -> float | None:
    """Return since when none of the peers can be reached; None where one can.

    Args:
        ongoing: each peer's address, and its trouble, None where it is well; without
            those that have never answered.

    """
    outages = [outage for _, outage in ongoing if outage is not None]
    hosts = (address.host for address, _ in ongoing)
    if len(outages) < len(ongoing) or not points_at_client(hosts, outages):
        return None
    return max(outage.start for outage in outages)


def points_at_client(hosts: Iterable[str], outages: Iterable[Outage]) -> bool:
    """Tell whether troubles of so many hosts, at one time, point at what they share."""
    return len(set(hosts)) >= MIN_HOSTS and all(
        outage.failure in NETWORK_CLASSES and outage.proven for outage in outages
    )
