"""The ledger: what became of recent framed connections, for a peer who asks later."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netduet.wire.messages import Endpoint, LedgerEntry

if TYPE_CHECKING:
    from netduet.wire.connection import Connection


@dataclass(slots=True)
class ConnectionEntry:
    """One connection. ``opened_at`` is Unix time, ``opened`` and ``closed`` monotonic.

    While ``connection`` is there its counters are live; ``close`` freezes them.
    ``descriptor`` gives the socket's, for the kernel's view of it.
    """

    conn_id: str
    peer: tuple[str, int]
    opened_at: float
    opened: float
    connection: Connection | None
    descriptor: Callable[[], int] | None = None
    closed: float | None = None
    ended: str | None = None
    ended_by: str | None = None
    bytes_received: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    frames_sent: int = 0

    def read(self) -> None:
        """Take the counters from the connection while it lives."""
        if self.connection is not None:
            self.bytes_received = self.connection.bytes_received
            self.bytes_sent = self.connection.bytes_sent
            self.frames_received = self.connection.frames_received
            self.frames_sent = self.connection.frames_sent

    def close(self, now: float, ended: str, ended_by: str) -> None:
        """Freeze the entry: how the connection ended, and by whom."""
        self.read()
        self.connection = self.descriptor = None
        self.closed = now
        self.ended = ended
        self.ended_by = ended_by

    def message(self, now: float) -> LedgerEntry:
        """Return the entry as it is told to a peer."""
        self.read()
        return LedgerEntry(
            conn_id=self.conn_id,
            peer=Endpoint(address=self.peer[0], port=self.peer[1]),
            opened_at=self.opened_at,
            duration=(now if self.closed is None else self.closed) - self.opened,
            bytes_received=self.bytes_received,
            bytes_sent=self.bytes_sent,
            frames_received=self.frames_received,
            frames_sent=self.frames_sent,
            ended=self.ended,
            ended_by=self.ended_by,
        )


class Ledger:
    """The last ``size`` framed connections by their ``conn_id``; the oldest goes first."""

    def __init__(self, size: int) -> None:
        """Start empty."""
        self._size = size
        self._entries: OrderedDict[str, ConnectionEntry] = OrderedDict()

    def __len__(self) -> int:
        """Return how many connections are remembered."""
        return len(self._entries)

    def add(self, entry: ConnectionEntry) -> None:
        """Remember a connection; forget the oldest one beyond the size."""
        self._entries[entry.conn_id] = entry
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def find(self, conn_id: str) -> ConnectionEntry | None:
        """Return the entry, or None when it was never here or is forgotten."""
        return self._entries.get(conn_id)
