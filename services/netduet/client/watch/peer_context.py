"""What all watched addresses share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netduet.client.watch.connection_budget import ConnectionBudget

if TYPE_CHECKING:
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.outages.udp_scheduler import UdpScheduler
    from netduet.runtime.stall_monitor import StallMonitor


@dataclass(frozen=True, slots=True)
class PeerContext:
    """What all peers share. ``period`` is the seconds between datagrams of a stream."""

    period: float
    max_outage: float
    timeouts: Timeouts
    udp_scheduler: UdpScheduler
    stalls: StallMonitor
    outage_numbers: Iterator[int]
    connection_budget: ConnectionBudget = field(default_factory=ConnectionBudget)
