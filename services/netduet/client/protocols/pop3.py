"""POP3 (RFC 1939)."""

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

_GREETING: Final = re.compile(rb"\+OK [^\r\n]*(?:POP|ready|<[^<>@\r\n]+@[^<>\r\n]+>)")
_ERROR: Final = re.compile(rb"-ERR (?:\[(?:SYS/|IN-USE|LOGIN-DELAY)|Unknown command\.)")
_SYSTEM_ERROR: Final = b"-ERR [SYS/"
"""RFC 3206: a failure of the server, not of the client."""


class Pop3Conversation(LineConversation):
    """A greeting, CAPA as the question, QUIT."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._is_in_list = False

    def ask(self, size: int = 0) -> bytes:
        """Return CAPA, which needs no login (RFC 2449 §5) and cannot be padded."""
        del size
        return self._question(b"CAPA\r\n")

    def end(self) -> bytes:
        """Return QUIT."""
        return b"QUIT\r\n" if self.recognition else b""

    def _check_beginning(self, beginning: bytes) -> None:
        require_prefix(beginning, b"+OK", b"-ERR ")

    def _read_line(self, line: bytes) -> bytes:
        if self.recognition is None:
            self._read_greeting(line)
        elif self._is_in_list:
            self._is_in_list = line != b"."
            if not self._is_in_list:
                self._count_answer()
        elif line.startswith(b"+OK"):
            self._is_in_list = True
        elif line.startswith(b"-ERR"):
            self._count_answer()
        else:
            raise ForeignDataError(line[:20])
        return b""

    def _read_greeting(self, line: bytes) -> None:
        self.recognition = recognise(line)
        # The text of a greeting is free.
        if self.recognition is None and re.match(rb"\+OK\b", line):
            self.recognition = Recognition(PROTOCOL.name)
        if self.recognition is None:
            raise ForeignDataError(line[:20])


def recognise(data: bytes) -> Recognition | None:
    """Recognise a greeting that only POP3 has, and its errors."""
    line = first_line(data)
    if _ERROR.match(line):
        if not line.startswith(_SYSTEM_ERROR):
            return Recognition(PROTOCOL.name)
        return Recognition(
            PROTOCOL.name, refusal=Refusal.NOT_READY, reason=raw_text(line)
        )
    if _GREETING.match(line) is None:
        return None
    return Recognition(PROTOCOL.name, "Dovecot" if b"Dovecot" in line else "")


PROTOCOL: Final = Protocol(
    name="pop3",
    title="POP3",
    ports=(110,),
    converse=Pop3Conversation,
    recognise=recognise,
    aliases=("pop",),
    server_first=True,
    max_connections=50,
    max_open=10,
    # Dovecot, login-common: CLIENT_LOGIN_TIMEOUT_MSECS, 3 min.
    login_timeout=180.0,
    login_setting="CLIENT_LOGIN_TIMEOUT",
)
