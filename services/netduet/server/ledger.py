"""The ledger: recent framed connections, which clients can ask about later."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netduet.wire.messages import Endpoint, LedgerEntry

if TYPE_CHECKING:
    from netduet.server.address import Address
    from netduet.server.connection_record import ConnectionRecord
    from netduet.wire.connection import Connection


@dataclass(slots=True)
class ConnectionEntry:
    """One connection: ``opened_at`` is Unix time, ``started`` is monotonic.

    ``state`` is the open connection with its current counters, until ``close`` replaces
    it by the final record. ``descriptor`` returns the socket's descriptor while it is
    open, to ask the kernel about it.
    """

    conn_id: str
    peer: Address
    opened_at: float
    started: float
    state: Connection | ConnectionRecord
    descriptor: Callable[[], int] | None = None
    record: ConnectionRecord | None = None

    def close(self, record: ConnectionRecord) -> None:
        """Keep the final record and release the connection."""
        self.state = self.record = record
        self.descriptor = None

    def message(self, now: float) -> LedgerEntry:
        """Return the entry as a client gets it."""
        state, record = self.state, self.record
        return LedgerEntry(
            conn_id=self.conn_id,
            peer=Endpoint(address=self.peer[0], port=self.peer[1]),
            opened_at=self.opened_at,
            duration=now - self.started if record is None else record.duration,
            bytes_received=state.bytes_received,
            bytes_sent=state.bytes_sent,
            frames_received=state.frames_received,
            frames_sent=state.frames_sent,
            ended=None if record is None else record.ended,
            ended_by=None if record is None else record.ended_by,
        )


class Ledger:
    """The last ``size`` framed connections by ``conn_id``; the oldest is dropped first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, ConnectionEntry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: ConnectionEntry) -> None:
        """Add a connection; drop the oldest beyond the size."""
        self._entries[entry.conn_id] = entry
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def find(self, conn_id: str) -> ConnectionEntry | None:
        """Return the entry, or None if the connection is unknown or was dropped."""
        return self._entries.get(conn_id)
