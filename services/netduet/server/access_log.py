"""What the server logs: one line a connection, and limits once a period."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from netduet.server.admission import Admission, AdmissionDecision
from netduet.wire.errors import RemoteError
from netduet.wire.untrusted import log_safe, recognise

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from netduet.server.counters import Counters
    from netduet.server.tcp_connection import TcpConnection

PERIOD: Final = 10.0
"""Seconds between two lines about connections that a limit refused."""


class AccessLog:
    """Counts and logs each session when its connection is gone; the refused in sum."""

    def __init__(
        self, log: FilteringBoundLogger, counters: Counters, admission: Admission
    ) -> None:
        """Bind where lines and numbers go."""
        self._log = log
        self._counters = counters
        self._admission = admission
        self._refused = 0
        self._quiet_until = -PERIOD

    def ended(self, session: TcpConnection) -> None:
        """Record a session whose connection is gone."""
        connection = session.connection
        counters = self._counters
        counters.bytes_received += connection.bytes_received
        counters.bytes_sent += connection.bytes_sent
        counters.frames_received += connection.frames_received
        counters.frames_sent += connection.frames_sent
        if session.admitted is not AdmissionDecision.SERVED:
            return
        if connection.plain:
            counters.plain += 1
        elif session.conn_id is not None:
            counters.framed += 1
        fields = _fields(session)
        how = (fields["netduet.dialect"], session.ended or "", session.ended_by or "")
        counters.ended[how] = counters.ended.get(how, 0) + 1
        if _is_health_check(session):
            self._log.debug("connection.closed", **fields)
        else:
            self._log.info("connection.closed", **fields)

    def refused(self, session: TcpConnection, now: float) -> None:
        """Say at once that a limit is reached, then only once a period, with a count.

        ``now`` is in seconds of any monotonic clock.
        """
        if session.admitted is AdmissionDecision.TURNED_AWAY:
            self._counters.turned_away += 1
        else:
            self._counters.refused += 1
        self._refused += 1
        if now < self._quiet_until:
            return
        self._quiet_until = now + PERIOD
        self._log.warning(
            "server.limit_reached",
            **{
                "client.address": session.peer[0],
                "netduet.limit": self._admission.total,
                "netduet.limit_per_client": self._admission.per_client,
                "netduet.open": self._admission.open,
                "netduet.refused": self._refused,
            },
        )
        self._refused = 0


def _fields(session: TcpConnection) -> dict[str, Any]:
    connection = session.connection
    fields: dict[str, Any] = {
        "client.address": session.peer[0],
        "client.port": session.peer[1],
        "network.local.address": session.local[0],
        "network.local.port": session.local[1],
        "network.transport": "tcp",
        "network.type": "ipv6" if ":" in session.peer[0] else "ipv4",
        "netduet.dialect": _dialect(session),
        "netduet.ended": session.ended,
        "netduet.ended_by": session.ended_by,
        "netduet.duration_s": round(session.duration, 6),
        "netduet.bytes_received": connection.bytes_received,
        "netduet.bytes_sent": connection.bytes_sent,
    }
    if session.conn_id is not None:
        fields["netduet.conn_id"] = session.conn_id
        fields["netduet.frames_received"] = connection.frames_received
        fields["netduet.frames_sent"] = connection.frames_sent
    if connection.plain:
        text = bytes(connection.text)
        fields["netduet.text"] = log_safe(text, connection.limits.max_text)
        looks_like = recognise(text)
        if looks_like is not None:
            fields["netduet.looks_like"] = looks_like
    if session.error is not None:
        fields |= _error(session.error)
    return fields


def _dialect(session: TcpConnection) -> str:
    if session.connection.plain:
        return "plain"
    # Nothing came, or bytes that began with the magic and went no further.
    return "framed" if session.connection.bytes_received else "none"


def _error(error: BaseException) -> dict[str, Any]:
    if isinstance(error, RemoteError):
        return {"error.type": error.code.value, "error.message": error.message}
    if isinstance(error, OSError) and error.errno is not None:
        return {"error.type": errno.errorcode.get(error.errno, str(error.errno))}
    return {"error.type": type(error).__name__}


def _is_health_check(session: TcpConnection) -> bool:
    """Tell the container's own check, every few seconds, from a peer: it asks nothing."""
    return (
        session.peer[0] in ("127.0.0.1", "::1")
        and session.ended == "end"
        and session.connection.frames_received <= 2  # noqa: PLR2004 - OPEN and END
    )
