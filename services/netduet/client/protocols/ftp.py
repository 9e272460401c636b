"""FTP (RFC 959)."""

from __future__ import annotations

import re
from typing import Final

from netduet.client.protocols.base import Protocol, Recognition
from netduet.client.protocols.messages import ForeignDataError
from netduet.client.protocols.replies import (
    UNAVAILABLE,
    Reply,
    ReplyConversation,
    parse_first_line,
    refusal_of_unavailable,
)

_READY: Final = 220
"""The service is ready for a new user."""
_FEATURES: Final = 211
"""The answer to FEAT (RFC 2389 §3.2)."""
_NOT_LOGGED_IN: Final = 530
"""The answer to most commands before a login."""

_BANNER: Final = re.compile(r"FTP|FileZilla", re.IGNORECASE)
_SOFTWARE: Final = re.compile(
    r"(vsFTPd|ProFTPD|Pure-FTPd|FileZilla Server)(?:[ /](?:version )?([\d.]+\w*))?",
    re.IGNORECASE,
)


class FtpConversation(ReplyConversation):
    """A greeting, FEAT as the question, QUIT."""

    def ask(self, size: int = 0) -> bytes:
        """Return FEAT, which needs no login and cannot be padded."""
        del size
        return self._question(b"FEAT\r\n")

    def _read_reply(self, reply: Reply) -> bytes:
        if self.recognition is not None:
            self._count_answer()
        elif self._greeting is None:
            self._greeting = reply
            if reply.code == _READY and not _BANNER.search(reply.first):
                return b"FEAT\r\n"  # any server greets with 220
            self.recognition = _read_greeting(reply)
        elif reply.code in {_FEATURES, _NOT_LOGGED_IN}:
            self.recognition = Recognition(PROTOCOL.name)
        else:
            raise ForeignDataError(reply.first)
        return b""


def _read_greeting(reply: Reply) -> Recognition:
    if reply.code == UNAVAILABLE:
        return Recognition(
            PROTOCOL.name,
            refusal=refusal_of_unavailable(reply),
            reason=reply.first,
        )
    if reply.code != _READY:
        raise ForeignDataError(reply.first)
    software = _SOFTWARE.search(reply.first)
    product = " ".join(filter(None, software.groups())) if software else ""
    return Recognition(PROTOCOL.name, product)


def recognise(data: bytes) -> Recognition | None:
    """Recognise a greeting that speaks of FTP, or of users."""
    reply = parse_first_line(data)
    if reply is None:
        return None
    is_ftp = reply.code == _READY and _BANNER.search(reply.first)
    # Of vsftpd, ProFTPD and Pure-FTPd; SMTP servers speak of connections.
    is_full = reply.code == UNAVAILABLE and re.search(r"\busers?\b", reply.first)
    return _read_greeting(reply) if is_ftp or is_full else None


PROTOCOL: Final = Protocol(
    name="ftp",
    title="FTP",
    ports=(21,),
    converse=FtpConversation,
    recognise=recognise,
    server_first=True,
    # Servers often allow 50 clients at once, and few of the same address.
    max_connections=50,
    max_open=5,
    # vsftpd.conf(5): idle_session_timeout, 300 s.
    login_timeout=300.0,
    login_setting="idle_session_timeout",
)
