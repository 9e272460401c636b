"""SSH: both sides send an identification string (RFC 4253 §4.2)."""

from __future__ import annotations

import re
import struct
from typing import Final

from netduet.client.protocols.base import Protocol, Recognition, Refusal
from netduet.client.protocols.messages import (
    ForeignDataError,
    LineConversation,
    first_line,
    raw_text,
)

_IDENTIFICATION: Final = b"SSH-2.0-netduet\r\n"
_BANNER: Final = re.compile(rb"SSH-(\d\.\d+)-([^\r\n]*)")
_REFUSALS: Final = {
    # sshd.c of OpenSSH 8.5 to 9.7, then of 9.8 and later.
    b"Exceeded MaxStartups": (),
    b"Not allowed at this time": (
        "MaxStartups, PerSourceMaxStartups or PerSourcePenalties",
    ),
}
"""The texts of a refusal, with what is known of the reason beyond them."""
_MAX_LINES_BEFORE = 50
_DISCONNECT: Final = 1
"""SSH_MSG_DISCONNECT (RFC 4253 §11.1)."""
_BY_APPLICATION: Final = 11
"""SSH_DISCONNECT_BY_APPLICATION."""


class SshConversation(LineConversation):
    """Identification strings are exchanged; no key exchange follows."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._lines_before = 0

    def receive(self, data: bytes) -> bytes:
        """Read up to the identification; what follows is the key exchange."""
        return b"" if self.recognition else super().receive(data)

    def end(self) -> bytes:
        """Disconnect with a reason, which the server logs."""
        if self.recognition is None or self.recognition.refusal:
            return b""
        text = b"netduet: only checked the connection"
        payload = struct.pack(">BII", _DISCONNECT, _BY_APPLICATION, len(text)) + text
        payload += struct.pack(">I", 0)  # no language tag
        padding = 4 + -(len(payload) + 9) % 8
        head = struct.pack(">IB", 1 + len(payload) + padding, padding)
        return head + payload + bytes(padding)

    def _check_beginning(self, beginning: bytes) -> None:
        # Lines of text may come before the identification.
        if b"\0" in beginning or (not self._lines_before and beginning[0] >= 0x80):  # noqa: PLR2004 - ASCII
            raise ForeignDataError(beginning[:20])

    def _read_line(self, line: bytes) -> bytes:
        if self.recognition is not None:
            return b""
        self.recognition = recognise(line)
        if self.recognition is None:
            self._lines_before += 1
            if self._lines_before > _MAX_LINES_BEFORE or _is_other(line):
                raise ForeignDataError(line[:20])
            return b""
        return b"" if self.recognition.refusal else _IDENTIFICATION


def _is_other(line: bytes) -> bool:
    return re.match(rb"\d{3}[ -]|HTTP/\d|[-+*:$\0]|INFO \{", line) is not None


def recognise(data: bytes) -> Recognition | None:
    """Recognise an identification string, and the refusals that stand in its place."""
    line = first_line(data)
    banner = _BANNER.match(line)
    if banner is None:
        if line not in _REFUSALS:
            return None
        return Recognition(
            PROTOCOL.name,
            notes=_REFUSALS[line],
            refusal=Refusal.BUSY,
            reason=raw_text(line),
        )
    version, software = banner.groups()
    product = raw_text(software).partition(" ")[0].replace("_", " ", 1)
    notes = () if version in {b"2.0", b"1.99"} else (f"SSH {raw_text(version)} only",)
    return Recognition(PROTOCOL.name, product, notes)


PROTOCOL: Final = Protocol(
    name="ssh",
    title="SSH",
    ports=(22, 2222),
    converse=SshConversation,
    recognise=recognise,
    aliases=("sftp", "scp"),
    server_first=True,
    # sshd_config(5): PerSourcePenalties adds 1 s for each connection without a login
    # (noauth) and refuses a source from 15 s on (min); MaxStartups refuses at random
    # from 10 such connections on (10:30:100). With 10 here, a second check within
    # seconds was refused by OpenSSH 10.0, and a person's login would have been.
    max_connections=3,
    counts_silence=True,
    max_open=2,
    login_timeout=120.0,
    login_setting="LoginGraceTime",
)
