"""SMTP: a mail server (RFC 5321), also for submission (RFC 6409)."""

from __future__ import annotations

import re
from typing import Final

from netduet.client.protocols.base import Protocol, Recognition, Refusal
from netduet.client.protocols.messages import ForeignDataError
from netduet.client.protocols.replies import (
    UNAVAILABLE,
    Reply,
    ReplyConversation,
    parse_first_line,
    refusal_of_unavailable,
)

_READY: Final = 220
"""The greeting (RFC 5321 §4.2.3)."""
_DONE: Final = 250
"""A command is carried out."""
_NO_SERVICE: Final = 554
"""Instead of 220: no mail service for this client (RFC 5321 §3.1)."""
_UNKNOWN_COMMANDS: Final = frozenset({500, 502})

MAX_COMMAND_BYTES: Final = 512
"""A command line with its end (RFC 5321 §4.5.3.1.4)."""

_BANNER: Final = re.compile(r"\bE?SMTP\b|\bmail\b|Postfix|Exim|Sendmail", re.IGNORECASE)
_SOFTWARE: Final = re.compile(
    r"(Postfix|Exim [\d.]+|Sendmail [\d.]+|OpenSMTPD|Haraka [\d.]+|Microsoft ESMTP)",
    re.IGNORECASE,
)


class SmtpConversation(ReplyConversation):
    """A greeting, EHLO, NOOP as the question, QUIT."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._hello = b"EHLO netduet\r\n"

    def ask(self, size: int = 0) -> bytes:
        """Return NOOP with a text, which servers ignore (RFC 5321 §4.1.1.9)."""
        words = b"NOOP"
        if size > len("NOOP\r\n"):
            words += b" " + b"n" * (min(size, MAX_COMMAND_BYTES) - len("NOOP \r\n"))
        return self._question(words + b"\r\n")

    def _read_reply(self, reply: Reply) -> bytes:
        if self.recognition is not None:
            self._count_answer()
        elif self._greeting is None:
            return self._read_greeting(reply)
        elif reply.code == _DONE:
            self.recognition = _recognition(self._greeting, reply)
        elif reply.code in _UNKNOWN_COMMANDS and self._hello.startswith(b"EHLO"):
            self._hello = b"HELO netduet\r\n"
            return self._hello
        elif reply.code == UNAVAILABLE or _BANNER.search(self._greeting.first):
            self.recognition = _refused(reply)
        else:
            raise ForeignDataError(reply.first)
        return b""

    def _read_greeting(self, reply: Reply) -> bytes:
        self._greeting = reply
        if reply.code == _READY:
            return self._hello
        if reply.code not in {UNAVAILABLE, _NO_SERVICE}:
            raise ForeignDataError(reply.first)
        self.recognition = _refused(reply)
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise a greeting that speaks of mail, and 554 in its place."""
    reply = parse_first_line(data)
    if reply is None or not (
        reply.code == _NO_SERVICE
        or (reply.code in {_READY, UNAVAILABLE} and _BANNER.search(reply.first))
    ):
        return None
    return _recognition(reply) if reply.code == _READY else _refused(reply)


def _recognition(greeting: Reply, extensions: Reply | None = None) -> Recognition:
    software = _SOFTWARE.search(greeting.first)
    lines = extensions.lines if extensions else ()
    notes = ("offers STARTTLS",) if "STARTTLS" in map(str.upper, lines) else ()
    return Recognition(PROTOCOL.name, software[0] if software else "", notes)


def _refused(reply: Reply) -> Recognition:
    refusal = (
        Refusal.DENIED if reply.code == _NO_SERVICE else refusal_of_unavailable(reply)
    )
    return Recognition(PROTOCOL.name, refusal=refusal, reason=reply.first)


PROTOCOL: Final = Protocol(
    name="smtp",
    title="SMTP",
    ports=(25, 587, 2525),
    converse=SmtpConversation,
    recognise=recognise,
    aliases=("submission", "mail"),
    server_first=True,
    # postconf(5): smtpd_client_connection_count_limit is 50 at once.
    max_connections=50,
    max_open=10,
    login_timeout=300.0,
    login_setting="smtpd_timeout",
)
