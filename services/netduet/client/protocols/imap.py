"""IMAP (RFC 9051)."""

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

_GREETING: Final = re.compile(
    rb"\* (OK|PREAUTH|BYE)\b(?: \[([^\]\r\n]*)\])? ?([^\r\n]*)", re.IGNORECASE
)
_SOFTWARE: Final = re.compile(
    r"Dovecot|Cyrus IMAP [\d.]+|Courier-IMAP|Microsoft Exchange"
)
_TOO_MANY: Final = re.compile(rb"too many|maximum|limit", re.IGNORECASE)


class ImapConversation(LineConversation):
    """A greeting, NOOP as the question, LOGOUT."""

    def ask(self, size: int = 0) -> bytes:
        """Return NOOP, which cannot be padded."""
        del size
        return self._question(b"n NOOP\r\n")

    def end(self) -> bytes:
        """Return LOGOUT."""
        return b"z LOGOUT\r\n" if self.recognition else b""

    def _check_beginning(self, beginning: bytes) -> None:
        require_prefix(beginning, b"* OK", b"* PREAUTH", b"* BYE")

    def _read_line(self, line: bytes) -> bytes:
        if self.recognition is None:
            self.recognition = recognise(line)
            if self.recognition is None:
                raise ForeignDataError(line[:20])
        elif line.startswith(b"n "):
            self._count_answer()
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise a greeting."""
    match = _GREETING.fullmatch(first_line(data))
    if match is None:
        return None
    kind, codes, text = match.groups(b"")
    if kind.upper() == b"BYE":
        refusal = Refusal.BUSY if _TOO_MANY.search(text) else Refusal.NOT_READY
        return Recognition(PROTOCOL.name, refusal=refusal, reason=raw_text(text))
    software = _SOFTWARE.search(raw_text(text))
    notes = ("offers STARTTLS",) if b"STARTTLS" in codes.upper().split() else ()
    return Recognition(PROTOCOL.name, software[0] if software else "", notes)


PROTOCOL: Final = Protocol(
    name="imap",
    title="IMAP",
    ports=(143,),
    converse=ImapConversation,
    recognise=recognise,
    server_first=True,
    # Dovecot: mail_max_userip_connections, 10, counts after the login only;
    # login processes take 100 clients.
    max_connections=50,
    max_open=10,
    # Dovecot, login-common: CLIENT_LOGIN_TIMEOUT_MSECS, 3 min.
    login_timeout=180.0,
    login_setting="CLIENT_LOGIN_TIMEOUT",
)
