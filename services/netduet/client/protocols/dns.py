"""DNS over UDP and over TCP (RFC 1035 §4.2).

The question is for the root's name servers, without recursion. Resolvers and
authoritative servers both answer it at once, with data, a referral or REFUSED. With
recursion, a resolver that cannot reach its own upstream would be silent for seconds.
"""

from __future__ import annotations

import struct
from typing import Final

from netduet.client.protocols.base import (
    Conversation,
    Protocol,
    Recognition,
)
from netduet.client.protocols.messages import ForeignDataError, MessageConversation

_HEADER: Final = struct.Struct(">6H")
_QUESTION: Final = b"\0\0\2\0\1"
"""The root, type NS, class IN."""

_ANSWER_HEAD: Final = 0x80
"""The first byte of the flags, with the opcode of a query."""
_ANSWER_HEAD_MASK: Final = 0xF8
_AUTHORITATIVE: Final = 0x0400
"""The flag AA (RFC 1035 §4.1.1)."""
_RECURSION_AVAILABLE: Final = 0x0080
"""The flag RA."""
_CODE_MASK: Final = 0x000F
"""The bits of RCODE."""

_FIRST_ID: Final = 0x6E64
"""The id of the first question; each further question has the next one."""

_CODES: Final = {
    # RFC 1035 §4.1.1
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    9: "NOTAUTH",
}


class DnsConversation(Conversation):
    """Questions and answers in datagrams."""

    name = "dns"

    def __init__(self, host: str) -> None:
        """Prepare; nothing is asked yet."""
        super().__init__(host)
        self._last_id = _FIRST_ID - 1
        self._open: set[int] = set()

    def start(self) -> bytes:
        """Return the first question."""
        return self._next_question()

    def receive(self, data: bytes) -> bytes:
        """Read an answer; those that were not asked for are ignored."""
        found = recognise(data)
        if found is None:
            self.is_foreign = self.is_foreign or self.recognition is None
            return b""
        (number,) = struct.unpack_from(">H", data)
        if number in self._open:
            self._open.discard(number)
            self.answers += 1
        elif number == _FIRST_ID and self.recognition is None:
            self.recognition = Recognition(self.name, notes=found.notes)
        return b""

    def ask(self, size: int = 0) -> bytes:
        """Return another question; it cannot be padded."""
        del size
        if self.recognition is None:
            return b""
        question = self._next_question()
        self._open.add(self._last_id)
        return question

    def _next_question(self) -> bytes:
        self._last_id = (self._last_id + 1) % (1 << 16)
        return _HEADER.pack(self._last_id, 0, 1, 0, 0, 0) + _QUESTION


class DnsTcpConversation(MessageConversation):
    """The same with the size in front of each message (RFC 7766)."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is asked yet."""
        super().__init__(host)
        self._datagrams = DnsConversation(host)
        self._datagrams.name = "dns-tcp"

    def start(self) -> bytes:
        """Return the first question."""
        return _with_size(self._datagrams.start())

    def ask(self, size: int = 0) -> bytes:
        """Return another question; it cannot be padded."""
        question = self._datagrams.ask(size)
        return _with_size(question) if question and not self.is_foreign else b""

    def _message_size(self, received: bytearray) -> int:
        if len(received) < _SIZE_BYTES:
            return 0
        size = _SIZE_BYTES + int.from_bytes(received[:_SIZE_BYTES])
        # Not only at the end, which a foreign service may never reach.
        flags, questions = received[4:5], received[6:8]
        if (flags and flags[0] & _ANSWER_HEAD_MASK != _ANSWER_HEAD) or any(
            questions[:1]
        ):
            raise ForeignDataError(bytes(received[:20]))
        return size if len(received) >= size else 0

    def _read_message(self, message: bytes) -> bytes:
        self._datagrams.receive(message[_SIZE_BYTES:])
        if self._datagrams.is_foreign:
            raise ForeignDataError(message[:20])
        self.recognition = self._datagrams.recognition
        self.answers = self._datagrams.answers
        return b""


_SIZE_BYTES: Final = 2


def _with_size(message: bytes) -> bytes:
    return len(message).to_bytes(_SIZE_BYTES) + message


def recognise(data: bytes) -> Recognition | None:
    """Recognise an answer to our question, in a datagram."""
    if len(data) < _HEADER.size:
        return None
    _, flags, questions, *_ = _HEADER.unpack_from(data)
    if flags >> 8 & _ANSWER_HEAD_MASK != _ANSWER_HEAD or questions > 1:
        return None
    code = flags & _CODE_MASK
    if questions and not data.startswith(_QUESTION, _HEADER.size):
        return None
    if not questions and (code not in _CODES or len(data) > _HEADER.size):
        return None
    kind = "recursive" if flags & _RECURSION_AVAILABLE else "not recursive"
    if flags & _AUTHORITATIVE:
        kind = f"authoritative, {kind}"
    answer = (
        (f"answers {_CODES.get(code, f'code {code}')} for the root",) if code else ()
    )
    return Recognition("dns", notes=(kind, *answer))


def recognise_tcp(data: bytes) -> Recognition | None:
    """Recognise an answer to our question, on a connection."""
    if int.from_bytes(data[:_SIZE_BYTES]) != len(data) - _SIZE_BYTES:
        return None
    found = recognise(data[_SIZE_BYTES:])
    return found and Recognition("dns-tcp", notes=found.notes)


PROTOCOL: Final = Protocol(
    name="dns",
    title="DNS",
    ports=(53,),
    converse=DnsConversation,
    recognise=recognise,
    aliases=("dns-udp",),
    datagrams=True,
)

TCP_PROTOCOL: Final = Protocol(
    name="dns-tcp",
    title="DNS over TCP",
    ports=(53,),
    converse=DnsTcpConversation,
    recognise=recognise_tcp,
    # unbound.conf(5): incoming-num-tcp is 10; named: tcp-clients is 150.
    max_open=5,
    # RFC 7766 §6.2.3 leaves it to servers; named ends idle connections after 30 s.
    login_timeout=30.0,
    login_setting="tcp-idle-timeout",
)
