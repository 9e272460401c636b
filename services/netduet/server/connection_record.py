"""The final record of one TCP connection, built once when the connection is lost."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from netduet.net.tls_layer import TlsFailedError
from netduet.wire.errors import RemoteError

if TYPE_CHECKING:
    from netduet.server.address import Address
    from netduet.wire.connection import Connection

Dialect = Literal["plain", "framed", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRecord:
    """A closed connection: the access log, the counters and the ledger read it.

    ``text`` is what a plain peer sent, ``duration`` is in seconds, and ``conn_id``
    is None unless a framed peer opened the connection; ``run_id`` is 0 if that named no
    run. ``served`` is False for a connection that a limit refused.
    """

    peer: Address
    local: Address
    served: bool
    conn_id: str | None
    run_id: int
    dialect: Dialect
    text: bytes
    ended: str
    ended_by: str
    error_type: str | None
    error_message: str | None
    duration: float
    bytes_received: int
    bytes_sent: int
    frames_received: int
    frames_sent: int

    @classmethod
    def from_connection(
        cls,
        wire: Connection,
        *,
        peer: Address,
        local: Address,
        served: bool,
        conn_id: str | None,
        run_id: int,
        ended: str,
        ended_by: str,
        error: BaseException | None,
        duration: float,
    ) -> Self:
        """Copy the counters of a lost connection, and nothing that refers to it."""
        error_type, error_message = _describe(error)
        return cls(
            peer=peer,
            local=local,
            served=served,
            conn_id=conn_id,
            run_id=run_id,
            dialect=_dialect(wire),
            text=bytes(wire.text),
            ended=ended,
            ended_by=ended_by,
            error_type=error_type,
            error_message=error_message,
            duration=duration,
            bytes_received=wire.bytes_received,
            bytes_sent=wire.bytes_sent,
            frames_received=wire.frames_received,
            frames_sent=wire.frames_sent,
        )

    @property
    def is_health_check(self) -> bool:
        """Whether a local client opened and ended the connection without a question.

        A check does so too, but as part of a run.
        """
        return (
            not self.run_id
            and self.peer[0] in ("127.0.0.1", "::1")
            and self.ended == "end"
            and self.frames_received <= 2  # noqa: PLR2004 - OPEN and END
        )


def _dialect(wire: Connection) -> Dialect:
    if wire.plain:
        return "plain"
    # No bytes, or bytes that started with the magic and went no further.
    return "framed" if wire.bytes_received else "none"


def _describe(error: BaseException | None) -> tuple[str | None, str | None]:
    """Return the type and the message of an error as the log shows them.

    The record keeps these and not the exception, whose traceback would keep the whole
    connection alive.
    """
    if error is None:
        return None, None
    if isinstance(error, TlsFailedError):
        return "tls_failed", str(error)
    if isinstance(error, RemoteError):
        return error.code.value, error.message
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, str(error.errno)), None
    return type(error).__name__, None
