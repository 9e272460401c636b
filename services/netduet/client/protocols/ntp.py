"""NTP over UDP (RFC 5905)."""

from __future__ import annotations

import struct
from typing import Final

from netduet.client.protocols.base import (
    Conversation,
    Protocol,
    Recognition,
    Refusal,
)
from netduet.client.protocols.messages import raw_text

_PACKET: Final = struct.Struct(">BB38s8s")
"""Flags, stratum, what is not used here, and the transmit timestamp."""
_CLIENT: Final = 4 << 3 | 3
"""Version 4, mode 3."""
_COOKIE: Final = b"netduet"
"""Stands in the transmit timestamp, which the server repeats as the origin: NTP servers
do not read a client's clock, and RFC 9109 advises against telling it."""

_ORIGIN: Final = slice(24, 32)
_REFERENCE: Final = slice(12, 16)
_MODE_MASK: Final = 0x07
_SERVER_MODE: Final = 4
"""The mode of an answer."""
_VERSIONS: Final = frozenset({3, 4})
_UNSYNCHRONISED: Final = 3
"""The leap indicator of a clock that is not synchronised."""
_MAX_STRATUM: Final = 15
_KISS_OF_DEATH: Final = frozenset({b"DENY", b"RSTR"})
"""The codes that forbid further questions (RFC 5905 §7.4)."""
_TOO_FAST: Final = b"RATE"


class NtpConversation(Conversation):
    """A request of a client, and the answer to it.

    There is no further question: a client that asks every second is abusive, and is
    told so or left without an answer (RFC 5905 §7.4; chrony.conf(5), ratelimit).
    """

    def start(self) -> bytes:
        """Return the request."""
        return _PACKET.pack(_CLIENT, 0, b"", _COOKIE + b"\0")

    def receive(self, data: bytes) -> bytes:
        """Read the answer; what was not asked for is foreign."""
        found = recognise(data)
        self.recognition = self.recognition or found
        self.is_foreign = self.is_foreign or self.recognition is None
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise an answer to our request."""
    if len(data) < _PACKET.size or not data[_ORIGIN].startswith(_COOKIE):
        return None
    flags, stratum = data[0], data[1]
    if flags & _MODE_MASK != _SERVER_MODE or flags >> 3 & 7 not in _VERSIONS:
        return None
    if not stratum:
        return _read_kiss(data[_REFERENCE])
    if stratum > _MAX_STRATUM or flags >> 6 == _UNSYNCHRONISED:
        return Recognition(PROTOCOL.name, notes=("not synchronised",))
    return Recognition(PROTOCOL.name, notes=(f"stratum {stratum}",))


def _read_kiss(code: bytes) -> Recognition:
    """Read the code of a kiss-o'-death packet, or of a server that has no time yet."""
    text = raw_text(code.rstrip(b"\0"))
    if code in _KISS_OF_DEATH:
        return Recognition(PROTOCOL.name, refusal=Refusal.DENIED, reason=text)
    if code == _TOO_FAST:
        return Recognition(PROTOCOL.name, refusal=Refusal.BUSY, reason=text)
    words = f"not synchronised: {text}" if text else "not synchronised"
    return Recognition(PROTOCOL.name, notes=(words,))


PROTOCOL: Final = Protocol(
    name="ntp",
    title="NTP",
    ports=(123,),
    converse=NtpConversation,
    recognise=recognise,
    datagrams=True,
    # chrony.conf(5): ratelimit, if it is on, allows a burst of 8.
    max_connections=8,
    max_open=2,
)
