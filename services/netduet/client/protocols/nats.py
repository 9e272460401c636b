"""NATS: the server greets with INFO."""

from __future__ import annotations

import re
from typing import Final

from netduet.client.protocols.base import Protocol, Recognition, Refusal
from netduet.client.protocols.messages import (
    ForeignDataError,
    LineConversation,
    first_line,
    raw_text,
    require_prefix,
)

_INFO: Final = re.compile(rb'INFO \{[^\r\n]*"server_id"[^\r\n]*')
_VERSION: Final = re.compile(rb'"version" ?: ?"([^"]{1,40})"')
_PING: Final = b"PING\r\n"
_PONG: Final = b"PONG\r\n"

_REQUIRES_LOGIN: Final = b'"auth_required":true'
_REQUIRES_TLS: Final = b'"tls_required":true'
_LAME_DUCK: Final = b'"ldm":true'

_REFUSALS: Final = {
    # nats-server: errors.go
    b"maximum connections exceeded": Refusal.BUSY,
    b"maximum account active connections exceeded": Refusal.BUSY,
}


class NatsConversation(LineConversation):
    """INFO, then PING and PONG; without PONG only if the server requires a login."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._info: Recognition | None = None
        self._is_closed_to_us = False

    def ask(self, size: int = 0) -> bytes:
        """Return PING; b"" if the server requires a login or TLS before it."""
        del size
        return b"" if self._is_closed_to_us else self._question(_PING)

    def _check_beginning(self, beginning: bytes) -> None:
        require_prefix(beginning, b"INFO {", b"-ERR '", b"PONG", b"PING")

    def _read_line(self, line: bytes) -> bytes:
        if self._info is None:
            return self._read_info(line)
        if line.startswith(b"-ERR"):
            self._read_error(line)
        elif line == b"PING":
            return _PONG
        elif line == b"PONG":
            if self.recognition is None:
                self.recognition = self._info
            else:
                self._count_answer()
        elif not line.startswith((b"INFO ", b"+OK")):
            raise ForeignDataError(line[:20])
        return b""

    def _read_info(self, line: bytes) -> bytes:
        self._info = recognise(line)
        if self._info is None:
            raise ForeignDataError(line[:20])
        self._is_closed_to_us = _REQUIRES_LOGIN in line or _REQUIRES_TLS in line
        if self._is_closed_to_us or self._info.refusal:
            self.recognition = self._info
            return b""
        return _PING  # -ERR may follow: the server greets before it counts

    def _read_error(self, line: bytes) -> None:
        text = line.removeprefix(b"-ERR").strip().strip(b"'")
        refusal = _REFUSALS.get(text.lower())
        if refusal is not None:
            self.recognition = Recognition(
                PROTOCOL.name, refusal=refusal, reason=raw_text(text)
            )
        elif self.recognition is None:
            self.recognition = Recognition(PROTOCOL.name, notes=(raw_text(text),))


def recognise(data: bytes) -> Recognition | None:
    """Recognise INFO."""
    line = first_line(data)
    if _INFO.fullmatch(line) is None:
        return None
    version = _VERSION.search(line)
    product = f"NATS {raw_text(version[1])}" if version else ""
    if _LAME_DUCK in line:
        return Recognition(
            PROTOCOL.name, product, refusal=Refusal.NOT_READY, reason="lame duck mode"
        )
    notes = []
    if _REQUIRES_LOGIN in line:
        notes.append("requires a login")
    if _REQUIRES_TLS in line:
        notes.append("requires TLS")
    return Recognition(PROTOCOL.name, product, tuple(notes))


PROTOCOL: Final = Protocol(
    name="nats",
    title="NATS",
    ports=(4222,),
    converse=NatsConversation,
    recognise=recognise,
    server_first=True,
    # NATS documentation, "Server configuration": authorization timeout, 2 s; it
    # applies to servers that require a login.
    login_timeout=2.0,
    login_setting="authorization.timeout",
)
