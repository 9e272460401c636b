"""What all connections of a server share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netduet.server.access_log import AccessLog
    from netduet.server.admission import Admission
    from netduet.server.buffer_budget import BufferBudget
    from netduet.server.counters import Counters
    from netduet.server.handlers import Handlers
    from netduet.server.holds import HoldBudget
    from netduet.server.ledger import Ledger
    from netduet.server.limit_log import LimitLog
    from netduet.server.rate_limit import RateLimit
    from netduet.server.recent_clients import RecentClients
    from netduet.server.traffic_limit import TrafficLimit
    from netduet.wire.state_machine import Limits


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What all connections of a server share. Times in seconds, sizes in bytes."""

    limits: Limits
    refusal_limits: Limits
    greeting: bytes
    write_buffer: int
    write_timeout: float
    handlers: Handlers
    ledger: Ledger
    admission: Admission
    counters: Counters
    recent_clients: RecentClients
    access_log: AccessLog
    buffers: BufferBudget
    holds: HoldBudget
    limit_log: LimitLog
    traffic: TrafficLimit
    datagram_rates: RateLimit
    token: bytes = b""
