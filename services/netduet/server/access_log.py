"""The access log: one line per connection; refusals are summed over an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netduet.server.admission import Admission, AdmissionDecision
from netduet.wire.untrusted import log_safe, recognise

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from netduet.server.connection_record import ConnectionRecord
    from netduet.server.counters import Counters

REFUSAL_INTERVAL: Final = 10.0
"""Seconds between two lines about refused connections."""


class AccessLog:
    """Counts and logs each closed connection, and aggregates refused ones."""

    def __init__(
        self,
        log: FilteringBoundLogger,
        counters: Counters,
        admission: Admission,
        max_text: int,
    ) -> None:
        """Log at most ``max_text`` bytes of what a plain peer sent."""
        self._log = log
        self._counters = counters
        self._admission = admission
        self._max_text = max_text
        self._refused = 0
        self._next_refusal_line = -REFUSAL_INTERVAL

    def closed(self, record: ConnectionRecord) -> None:
        """Count and log a connection that is closed."""
        counters = self._counters
        counters.bytes_received += record.bytes_received
        counters.bytes_sent += record.bytes_sent
        counters.frames_received += record.frames_received
        counters.frames_sent += record.frames_sent
        if not record.served:
            return
        if record.dialect == "plain":
            counters.plain += 1
        elif record.conn_id is not None:
            counters.framed += 1
        labels = (record.dialect, record.ended, record.ended_by)
        counters.ended[labels] = counters.ended.get(labels, 0) + 1
        fields = self._fields(record)
        if record.is_health_check:
            self._log.debug("connection.closed", **fields)
        else:
            self._log.info("connection.closed", **fields)

    def refused(self, address: str, decision: AdmissionDecision, now: float) -> None:
        """Log the first refusal at once, then one line with a count per interval.

        ``now`` is in seconds of any monotonic clock.
        """
        if decision is AdmissionDecision.TURNED_AWAY:
            self._counters.turned_away += 1
        else:
            self._counters.refused += 1
        self._refused += 1
        if now < self._next_refusal_line:
            return
        self._next_refusal_line = now + REFUSAL_INTERVAL
        self._log.warning(
            "server.limit_reached",
            **{
                "client.address": address,
                "netduet.limit": self._admission.total,
                "netduet.limit_per_client": self._admission.per_client,
                "netduet.open": self._admission.open,
                "netduet.refused": self._refused,
            },
        )
        self._refused = 0

    def _fields(self, record: ConnectionRecord) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "client.address": record.peer[0],
            "client.port": record.peer[1],
            "network.local.address": record.local[0],
            "network.local.port": record.local[1],
            "network.transport": "tcp",
            "network.type": "ipv6" if ":" in record.peer[0] else "ipv4",
            "netduet.dialect": record.dialect,
            "netduet.ended": record.ended,
            "netduet.ended_by": record.ended_by,
            "netduet.duration_s": round(record.duration, 6),
            "netduet.bytes_received": record.bytes_received,
            "netduet.bytes_sent": record.bytes_sent,
        }
        if record.conn_id is not None:
            fields["netduet.conn_id"] = record.conn_id
            fields["netduet.frames_received"] = record.frames_received
            fields["netduet.frames_sent"] = record.frames_sent
        if record.dialect == "plain":
            fields["netduet.text"] = log_safe(record.text, self._max_text)
            protocol = recognise(record.text)
            if protocol is not None:
                fields["netduet.looks_like"] = protocol
        if record.error_type is not None:
            fields["error.type"] = record.error_type
        if record.error_message is not None:
            fields["error.message"] = record.error_message
        return fields
