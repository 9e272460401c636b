"""What all sessions of a server share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netduet.server.access_log import Records
    from netduet.server.admission import Admission
    from netduet.server.counters import Counters
    from netduet.server.handlers import Behaviours
    from netduet.server.ledger import Ledger
    from netduet.server.recent_clients import Lately
    from netduet.server.tcp_connection import Session
    from netduet.wire.state_machine import Limits


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a server share. Times in seconds, sizes in bytes."""

    limits: Limits
    refusal_limits: Limits
    greeting: bytes
    write_buffer: int
    write_timeout: float
    behaviours: Behaviours
    ledger: Ledger
    admission: Admission
    counters: Counters
    lately: Lately
    records: Records
    sessions: set[Session]
