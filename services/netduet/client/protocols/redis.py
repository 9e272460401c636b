"""Redis and what speaks its protocol (RESP): Valkey, KeyDB, Sentinel."""

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

# An array, not an inline command: proxies accept nothing else.
_PING: Final = b"*1\r\n$4\r\nPING\r\n"

MAX_PING_BYTES: Final = 16 * 1024
"""Largest argument that Redis takes before a login (networking.c, since 6.2.6)."""

_REFUSALS: Final = {
    b"LOADING": Refusal.NOT_READY,
    b"MASTERDOWN": Refusal.NOT_READY,
    b"MISCONF": Refusal.NOT_READY,
    b"BUSY": Refusal.NOT_READY,  # it runs a script
    b"DENIED": Refusal.DENIED,  # protected mode
}
_TOO_MANY: Final = b"-ERR max number of clients"
_ERROR: Final = re.compile(
    rb"-(?:(LOADING|MASTERDOWN|MISCONF|BUSY|DENIED) (?:Redis|Valkey|KeyDB|Link|Errors)"
    rb"|NOAUTH |NOPERM |WRONGTYPE |ERR (?:unknown command|wrong number of arg"
    rb"|max number of clients|Protocol error|unauthenticated|operation not permitted))"
)


class RedisConversation(LineConversation):
    """PING, and PONG in return, or an error that says what the server is."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._bulk_bytes: int | None = None

    def start(self) -> bytes:
        """Return PING."""
        return _PING

    def ask(self, size: int = 0) -> bytes:
        """Return PING, with an argument that comes back if a size is asked for."""
        if not size:
            return self._question(_PING)
        text = b"n" * min(size, MAX_PING_BYTES)
        return self._question(b"*2\r\n$4\r\nPING\r\n$%d\r\n%s\r\n" % (len(text), text))

    def _check_beginning(self, beginning: bytes) -> None:
        require_prefix(beginning, b"+PONG", b"-")

    def _read_line(self, line: bytes) -> bytes:
        if self.recognition is None:
            self.recognition = recognise(line)
            if self.recognition is None:
                raise ForeignDataError(line[:20])
        elif self._bulk_bytes is not None:
            # Our own argument, which has no end of a line in it.
            if len(line) != self._bulk_bytes:
                raise ForeignDataError(line[:20])
            self._bulk_bytes = None
            self._count_answer()
        elif re.fullmatch(rb"\$\d{1,5}", line):
            self._bulk_bytes = int(line[1:])
        elif line.startswith((b"+PONG", b"-")):
            self._count_answer()
        else:
            raise ForeignDataError(line[:20])
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise PONG, and the errors of Redis, also about what is no command of it."""
    line = first_line(data)
    if line == b"+PONG":
        return Recognition(PROTOCOL.name)
    match = _ERROR.match(line)
    if match is None:
        return None
    refusal = _REFUSALS.get(match[1])
    if line.startswith(_TOO_MANY):
        refusal = Refusal.BUSY
    if refusal:
        return Recognition(
            PROTOCOL.name, refusal=refusal, reason=raw_text(line.removeprefix(b"-"))
        )
    notes = ("requires a password",) if line.startswith(b"-NOAUTH") else ()
    return Recognition(PROTOCOL.name, notes=notes)


PROTOCOL: Final = Protocol(
    name="redis",
    title="Redis",
    ports=(6379, 26379),
    converse=RedisConversation,
    recognise=recognise,
    aliases=("valkey",),
)
