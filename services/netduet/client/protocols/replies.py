"""Replies of three digits, which SMTP and FTP share (RFC 5321 §4.2, RFC 959 §4.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from netduet.client.protocols.base import Refusal
from netduet.client.protocols.messages import (
    ForeignDataError,
    LineConversation,
    first_line,
    raw_text,
)

CODE_DIGITS: Final = 3
_REPLY: Final = re.compile(rb"([1-6]\d\d)([ -].*|)")
_TOO_MANY: Final = re.compile(r"too many|too much|maximum|limit|rate", re.IGNORECASE)

UNAVAILABLE: Final = 421
"""The service is not available and closes the connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply: its code, and the text of its lines."""

    code: int
    lines: tuple[str, ...]

    @property
    def first(self) -> str:
        """The first line as it came."""
        return f"{self.code} {self.lines[0]}".rstrip()


class ReplyConversation(LineConversation):
    """A conversation in replies, of which a subclass reads the greeting and the others.

    It ends with QUIT.
    """

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._code = 0
        self._lines: list[str] = []
        self._line_bytes = 0
        self._greeting: Reply | None = None

    def end(self) -> bytes:
        """Return QUIT."""
        return b"QUIT\r\n" if self.recognition else b""

    def _check_beginning(self, beginning: bytes) -> None:
        if not beginning[:CODE_DIGITS].isdigit():
            raise ForeignDataError(beginning[:20])

    def _read_line(self, line: bytes) -> bytes:
        match = _REPLY.fullmatch(line)
        code = int(match[1]) if match else 0
        if self._lines:
            # FTP lets inner lines begin with anything.
            is_last = code == self._code and not line[CODE_DIGITS:].startswith(b"-")
            text = line[CODE_DIGITS + 1 :] if code == self._code else line
        elif match is None:
            raise ForeignDataError(line[:20])
        else:
            self._code = code
            is_last = not match[2].startswith(b"-")
            text = match[2][1:]
        self._keep(raw_text(text))
        if not is_last:
            return b""
        reply = Reply(self._code, tuple(self._lines))
        self._lines.clear()
        self._line_bytes = 0
        return self._read_reply(reply)

    def _keep(self, line: str) -> None:
        self._line_bytes += len(line) + 1
        if self._line_bytes > MAX_REPLY_BYTES:
            raise ForeignDataError("no end of a reply")
        self._lines.append(line)

    def _read_reply(self, reply: Reply) -> bytes:
        """Read a reply; return the next command, b"" for none."""
        raise NotImplementedError


MAX_REPLY_BYTES: Final = 16 * 1024


def parse_first_line(data: bytes) -> Reply | None:
    """Return the first line of data as a reply, None if it is none."""
    match = _REPLY.fullmatch(first_line(data))
    if match is None:
        return None
    return Reply(int(match[1]), (raw_text(match[2][1:]),))


def refusal_of_unavailable(reply: Reply) -> Refusal:
    """Return whether a 421 is about too many connections, or another reason."""
    return Refusal.BUSY if _TOO_MANY.search(reply.lines[0]) else Refusal.NOT_READY
