"""PostgreSQL, and what speaks its protocol 3.0 (PgBouncer, CockroachDB).

As ``pg_isready`` does: SSLRequest, then a StartupMessage, to see whether the server
takes logins. No password is ever sent.
"""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from typing import Final

from netduet.client.protocols.base import (
    MAX_ANSWER_BYTES,
    Protocol,
    Recognition,
    Refusal,
)
from netduet.client.protocols.messages import (
    ForeignDataError,
    MessageConversation,
    raw_text,
)
from netduet.client.protocols.tls_session import TlsError, TlsSession

# PostgreSQL manual, "Message Formats".
_SSL_REQUEST: Final = struct.pack(">II", 8, 80877103)
_PARAMETERS: Final = b"user\0netduet\0database\0postgres\0application_name\0netduet\0\0"
_STARTUP: Final = struct.pack(">II", 8 + len(_PARAMETERS), 3 << 16) + _PARAMETERS

_TERMINATE: Final = b"X\0\0\0\4"
_HEAD_BYTES: Final = 5
_KINDS: Final = frozenset({b"R", b"E", b"N", b"S", b"K", b"Z"})
"""Authentication, error, notice; then parameters, key data, ready for a query."""

_AUTHENTICATION_OK: Final = b"R\0\0\0\x08\0\0\0\0"
_VERSION: Final = re.compile(rb"S.{4}server_version\0([^\0 ]*).*", re.DOTALL)
_METHODS: Final = {3: "password", 5: "MD5", 7: "GSSAPI", 9: "SSPI", 10: "SCRAM"}

_REFUSALS: Final = {
    # PostgreSQL manual, "PostgreSQL Error Codes".
    b"57P01": Refusal.NOT_READY,  # admin_shutdown
    b"57P02": Refusal.NOT_READY,  # crash_shutdown
    b"57P03": Refusal.NOT_READY,  # cannot_connect_now
    b"53300": Refusal.BUSY,  # too_many_connections
}
_POOL_IS_FULL: Final = b"no more connections allowed"
"""PgBouncer's max_client_conn; its code is that of any protocol violation."""

_ERROR: Final = re.compile(rb"E\0\0[\0-\xff]{2}S[A-Z]+\0", re.DOTALL)
_OLD_ERROR: Final = re.compile(rb"EFATAL:|Eunsupported frontend protocol")
_AUTHENTICATION: Final = re.compile(rb"R\0\0\0[\x08-\xff]\0\0\0[\0-\x0d]", re.DOTALL)


class PostgresConversation(MessageConversation):
    """SSLRequest; inside TLS if the server offers it, a StartupMessage."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._has_offered = False
        self._notes: tuple[str, ...] = ()
        self._product = ""
        self._is_logged_in = False
        self._session: TlsSession | None = None

    def start(self) -> bytes:
        """Return SSLRequest."""
        return _SSL_REQUEST

    def receive(self, data: bytes) -> bytes:
        """Read the answers, through TLS once it is on."""
        if self.is_foreign or self._session is None:
            return super().receive(data)
        was_ready = self._session.is_ready
        try:
            received = self._session.receive(data)
        except TlsError as error:
            notes = (f"the TLS handshake failed: {error}",)
            self.recognition = self.recognition or Recognition(
                PROTOCOL.name, notes=notes
            )
            return b""
        if self._session.is_ready and not was_ready:
            self._session.send(_STARTUP)
            self._notes = (f"offers TLS: {self._session.version}",)
        self._session.send(super().receive(received))
        return self._session.pending()

    def end(self) -> bytes:
        """Return Terminate after a login, and the end of TLS.

        No Terminate while the server waits for a password: it would log that as FATAL,
        but it does not log a mere end of the connection.
        """
        farewell = _TERMINATE if self._is_logged_in else b""
        if self._session is None or not self._session.is_ready:
            return farewell
        self._session.send(farewell)
        self._session.close()
        return self._session.pending()

    def _message_size(self, received: bytearray) -> int:
        if not received:
            return 0
        kind = bytes(received[:1])
        if not self._has_offered and kind in {b"S", b"N"}:
            return len(kind)
        if kind not in _KINDS and self.recognition is None:
            raise ForeignDataError(bytes(received[:20]))
        if _OLD_ERROR.match(received):
            return received.find(b"\0") + 1
        if len(received) < _HEAD_BYTES:
            return 0
        size = 1 + int.from_bytes(received[1:_HEAD_BYTES])
        if not _HEAD_BYTES <= size <= MAX_ANSWER_BYTES:
            raise ForeignDataError(bytes(received[:20]))
        return size if len(received) >= size else 0

    def _read_message(self, message: bytes) -> bytes:
        if not self._has_offered and message in {b"S", b"N"}:
            return self._start_up(has_tls=message == b"S")
        if self.recognition is None:
            self._read_answer(message)
        return b""

    def _read_answer(self, message: bytes) -> None:
        if message == _AUTHENTICATION_OK:
            # The server may still find that it has no place, or name its version.
            self._notes += ("requires no password",)
        elif message[:1] in {b"R", b"E"}:
            found = recognise(message)
            if found is None:
                raise ForeignDataError(message[:20])
            self.recognition = replace(found, notes=self._notes + found.notes)
        elif version := _VERSION.fullmatch(message):
            self._product = f"PostgreSQL {raw_text(version[1])}"
        elif message[:1] == b"Z":
            self._is_logged_in = True
            self.recognition = Recognition(PROTOCOL.name, self._product, self._notes)

    def _start_up(self, *, has_tls: bool) -> bytes:
        self._has_offered = True
        if not has_tls:
            self._notes = ("offers no TLS",)
            return _STARTUP
        if self._received:  # bytes that TLS does not protect (CVE-2021-23222)
            raise ForeignDataError(bytes(self._received[:20]))
        self._session = TlsSession(self.host, (b"postgresql",))
        self._session.receive()
        return self._session.pending()


def recognise(data: bytes) -> Recognition | None:
    """Recognise a request for authentication, and errors.

    S and N in answer to SSLRequest are too little to recognise anything.
    """
    if _AUTHENTICATION.match(data):
        method = int.from_bytes(data[_HEAD_BYTES : _HEAD_BYTES + 4])
        if not method:
            return Recognition(PROTOCOL.name, notes=("requires no password",))
        name = _METHODS.get(method, f"method {method}")
        return Recognition(PROTOCOL.name, notes=(f"requires a login ({name})",))
    if _OLD_ERROR.match(data):
        text = raw_text(data[1:].partition(b"\0")[0].strip())
        return Recognition(PROTOCOL.name, notes=(text,))
    return _read_error(data) if _ERROR.match(data) else None


def _read_error(message: bytes) -> Recognition:
    fields = {field[:1]: field[1:] for field in message[_HEAD_BYTES:].split(b"\0")}
    code, text = fields.get(b"C", b""), fields.get(b"M", b"")
    words = raw_text(b"%s: %s (%s)" % (fields.get(b"S", b"ERROR"), text, code))
    refusal = _REFUSALS.get(code)
    if text.startswith(_POOL_IS_FULL):
        refusal = Refusal.BUSY
    if refusal is not None:
        return Recognition(PROTOCOL.name, refusal=refusal, reason=words)
    return Recognition(PROTOCOL.name, notes=(words,))


PROTOCOL: Final = Protocol(
    name="postgres",
    title="PostgreSQL",
    ports=(5432, 6432),
    converse=PostgresConversation,
    recognise=recognise,
    aliases=("postgresql", "pg", "pgsql"),
    # Each connection occupies a slot of max_connections (100) until it ends.
    max_open=16,
    # The PostgreSQL manual, "Authentication": authentication_timeout, 1 min.
    login_timeout=60.0,
    login_setting="authentication_timeout",
)
