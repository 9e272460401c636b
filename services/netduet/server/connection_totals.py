"""The sum of several connections, as a line of the log shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netduet.server.connection_record import ConnectionRecord


@dataclass(slots=True)
class ConnectionTotals:
    """What is added up of connections that have ended.

    ``silent`` are those that sent no byte, ``refused`` those beyond a limit, which are
    not among ``connections``. ``ends`` counts by how a connection ended and by whom,
    ``errors`` by the error's type: the server's words and the kernel's, so both are
    short whatever a peer does.
    """

    connections: int = 0
    opened: int = 0
    silent: int = 0
    refused: int = 0
    datagrams: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    frames_sent: int = 0
    ends: dict[tuple[str, str], int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    def add(self, record: ConnectionRecord) -> None:
        """Add a connection that has ended."""
        self.connections += 1
        self.opened += record.conn_id is not None
        self.silent += not record.bytes_received
        self.bytes_received += record.bytes_received
        self.bytes_sent += record.bytes_sent
        self.frames_received += record.frames_received
        self.frames_sent += record.frames_sent
        end = (record.ended_by, record.ended)
        self.ends[end] = self.ends.get(end, 0) + 1
        if record.error_type is not None:
            self.errors[record.error_type] = self.errors.get(record.error_type, 0) + 1

    def merge(self, other: ConnectionTotals) -> None:
        """Add another sum."""
        self.connections += other.connections
        self.opened += other.opened
        self.silent += other.silent
        self.refused += other.refused
        self.datagrams += other.datagrams
        self.bytes_received += other.bytes_received
        self.bytes_sent += other.bytes_sent
        self.frames_received += other.frames_received
        self.frames_sent += other.frames_sent
        for end, count in other.ends.items():
            self.ends[end] = self.ends.get(end, 0) + count
        for name, count in other.errors.items():
            self.errors[name] = self.errors.get(name, 0) + count

    def fields(self) -> dict[str, Any]:
        """Return the fields of a line; what is zero or empty and not common is left out."""
        fields: dict[str, Any] = {
            "netduet.connections": self.connections,
            "netduet.bytes_received": self.bytes_received,
            "netduet.bytes_sent": self.bytes_sent,
            "netduet.frames_received": self.frames_received,
            "netduet.frames_sent": self.frames_sent,
        }
        for side in ("client", "server"):
            ends = {
                ended: count
                for (ended_by, ended), count in self.ends.items()
                if ended_by == side
            }
            if ends:
                fields[f"netduet.ended_by_{side}"] = ends
        if self.errors:
            fields["netduet.errors"] = self.errors
        for name in ("silent", "refused", "datagrams"):
            if count := getattr(self, name):
                fields[f"netduet.{name}"] = count
        return fields
