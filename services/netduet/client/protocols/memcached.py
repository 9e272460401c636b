"""memcached: its text protocol (protocol.txt)."""

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

_COMMAND: Final = b"version"
_MAX_COMMAND_BYTES: Final = 1024
"""A longer line without a key is taken for an attack (proto_text.c)."""

_VERSION: Final = re.compile(rb"VERSION (\d[^\r\n]{0,60})")
_FULL: Final = b"ERROR Too many open connections"
_UNAUTHENTICATED: Final = b"CLIENT_ERROR unauthenticated"


class MemcachedConversation(LineConversation):
    """The command ``version``, as the hello and as the question."""

    def start(self) -> bytes:
        """Return the command."""
        return _COMMAND + b"\r\n"

    def ask(self, size: int = 0) -> bytes:
        """Return the command, padded with spaces."""
        width = min(size, _MAX_COMMAND_BYTES) - len("\r\n")
        return self._question(_COMMAND.ljust(width) + b"\r\n")

    def end(self) -> bytes:
        """Return ``quit``."""
        return b"quit\r\n" if self.recognition and not self.is_foreign else b""

    def _check_beginning(self, beginning: bytes) -> None:
        require_prefix(beginning, b"VERSION ", b"ERROR", _UNAUTHENTICATED)

    def _read_line(self, line: bytes) -> bytes:
        found = recognise(line)
        if found is None:
            raise ForeignDataError(line[:20])
        if self.recognition is None:
            self.recognition = found
        else:
            self._count_answer()
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise a version, and the errors about what is no command."""
    line = first_line(data)
    if version := _VERSION.fullmatch(line):
        return Recognition(PROTOCOL.name, f"memcached {raw_text(version[1])}")
    if line == _FULL:
        return Recognition(
            PROTOCOL.name, refusal=Refusal.BUSY, reason="Too many open connections"
        )
    if line == _UNAUTHENTICATED:
        return Recognition(PROTOCOL.name, notes=("requires a login",))
    # To a hello of several lines it answers with as many errors.
    if re.fullmatch(rb"(ERROR\r\n)+", data) or line == b"ERROR" == data:
        return Recognition(PROTOCOL.name)
    return None


PROTOCOL: Final = Protocol(
    name="memcached",
    title="memcached",
    ports=(11211,),
    converse=MemcachedConversation,
    recognise=recognise,
    aliases=("memcache",),
)
