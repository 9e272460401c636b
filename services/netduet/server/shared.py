"""What all sessions of a server share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netduet.server.admission import Admission
    from netduet.server.behaviours import Behaviours
    from netduet.server.counters import Counters
    from netduet.server.lately import Lately
    from netduet.server.ledger import Ledger
    from netduet.server.records import Records
    from netduet.server.session import Session
    from netduet.wire.states import Limits


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
