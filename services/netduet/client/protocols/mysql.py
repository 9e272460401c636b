"""MySQL and MariaDB: the server greets with its version.

A connection that ends without a login counts towards max_connect_errors (100): from
then on the server rejects the host with error 1129 until somebody runs FLUSH HOSTS. Only
handshake errors count, a refused login does not (MySQL manual, "The host_cache Table").
So the farewell is a login without a password that is refused, as ``mysqladmin ping``
makes it.
"""

from __future__ import annotations

import re
import struct
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

# MySQL internals manual, "Protocol::HandshakeV10" and "ERR_Packet".
_HEAD_BYTES: Final = 4
_FIRST_BYTES: Final = (b"", b"\x0a", b"\xff")
"""Of the greeting and of an error; b"" while there is none yet."""

_LOGIN_FLAGS: Final = 0x1 | 0x200 | 0x8000 | 0x80000
"""CLIENT_LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION and PLUGIN_AUTH."""

_MAX_PACKET_BYTES: Final = 1 << 24
_UTF8: Final = b"\x21"
"""The character set: utf8_general_ci."""

_LOGIN: Final = (
    struct.pack("<IIc23x", _LOGIN_FLAGS, _MAX_PACKET_BYTES, _UTF8)
    + b"netduet\0\0mysql_native_password\0"
)
"""Protocol::HandshakeResponse41 of the user netduet, with an empty password."""

_SWITCH: Final = b"\xfe"
"""Of Protocol::AuthSwitchRequest."""

_CLIENT_SSL: Final = 0x0800
"""The capability flag of TLS."""
_MARIADB_PREFIX: Final = "5.5.5-"
"""MariaDB 10 and later calls itself 5.5.5 first, for the sake of old replicas."""

_GREETING: Final = re.compile(
    rb"([\x20-\xff]\0\0|[\0-\xff]\x01\0)\0\x0a\d+\.\d[^\0]{0,200}\0", re.DOTALL
)
_ERROR_PACKET: Final = re.compile(
    rb"[\x04-\xff][\0-\x03]\0[\0-\x02]\xff..[^\0-\x1f]", re.DOTALL
)
_SQL_STATE: Final = re.compile(rb"#[0-9A-Z]{5}")
_ERROR_NUMBERS: Final = range(1000, 5000)
"""The numbers of the servers' errors, of MySQL and MariaDB."""

_REFUSALS: Final = {
    # MySQL manual, "Server Error Message Reference".
    1040: Refusal.BUSY,  # ER_CON_COUNT_ERROR
    1203: Refusal.BUSY,  # ER_TOO_MANY_USER_CONNECTIONS
    1053: Refusal.NOT_READY,  # ER_SERVER_SHUTDOWN
    1129: Refusal.DENIED,  # ER_HOST_IS_BLOCKED
    1130: Refusal.DENIED,  # ER_HOST_NOT_PRIVILEGED
}


class MysqlConversation(MessageConversation):
    """The server's greeting, or an error in its place; at last a refused login."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._has_greeting = False

    def end(self) -> bytes:
        """Return a login that the server refuses; it then ends the connection."""
        if self.is_foreign or not self._has_greeting:
            return b""
        self._has_greeting = False
        return _packet(1, _LOGIN)

    def _message_size(self, received: bytearray) -> int:
        if len(received) < _HEAD_BYTES:
            return 0
        size = _HEAD_BYTES + int.from_bytes(received[:3], "little")
        if self.recognition is None and (
            received[3] or bytes(received[_HEAD_BYTES:][:1]) not in _FIRST_BYTES
        ):
            raise ForeignDataError(bytes(received[:20]))
        if size > MAX_ANSWER_BYTES:
            raise ForeignDataError(bytes(received[:20]))
        return size if len(received) >= size else 0

    def _read_message(self, message: bytes) -> bytes:
        if self.recognition is None:
            self.recognition = recognise(message)
            if self.recognition is None:
                raise ForeignDataError(message[:20])
            self._has_greeting = message[_HEAD_BYTES:].startswith(b"\x0a")
        elif message[_HEAD_BYTES:].startswith(_SWITCH):
            return _packet(message[_HEAD_BYTES - 1] + 1, b"")  # still no password
        return b""


def _packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number & 0xFF]) + payload


def recognise(data: bytes) -> Recognition | None:
    """Recognise the greeting, and an error in its place."""
    if _GREETING.match(data):
        return _read_greeting(data[_HEAD_BYTES + 1 :])
    if _ERROR_PACKET.match(data):
        return _read_error(data)
    return None


def _read_greeting(data: bytes) -> Recognition:
    version, _, rest = data.partition(b"\0")
    text = raw_text(version)
    is_mariadb = "mariadb" in text.lower()
    name = "MariaDB" if is_mariadb else "MySQL"
    number = text.removeprefix(_MARIADB_PREFIX) if is_mariadb else text
    number = number.replace("-MariaDB", "", 1).partition(" ")[0]
    product = f"{name} {number}"
    # Connection id (4), the first part of the challenge (8), a filler (1), flags (2).
    flags = int.from_bytes(rest[13:15], "little")
    notes = ("offers TLS",) if flags & _CLIENT_SSL else ()
    return Recognition(PROTOCOL.name, product, notes)


def _read_error(data: bytes) -> Recognition | None:
    size = _HEAD_BYTES + int.from_bytes(data[:3], "little")
    (number,) = struct.unpack_from("<H", data, _HEAD_BYTES + 1)
    if number not in _ERROR_NUMBERS:
        return None
    text = _SQL_STATE.sub(b"", data[_HEAD_BYTES + 3 : size], count=1)
    words = f"error {number}: {raw_text(text)}"
    refusal = _REFUSALS.get(number)
    if refusal is None:
        return Recognition(PROTOCOL.name, notes=(words,))
    return Recognition(PROTOCOL.name, refusal=refusal, reason=words)


PROTOCOL: Final = Protocol(
    name="mysql",
    title="MySQL",
    ports=(3306, 3307),
    converse=MysqlConversation,
    recognise=recognise,
    aliases=("mariadb",),
    server_first=True,
    max_connections=50,
    max_open=5,
    counts_silence=True,
    # MySQL manual, "Server System Variables": connect_timeout, 10 s.
    login_timeout=10.0,
    login_setting="connect_timeout",
)
