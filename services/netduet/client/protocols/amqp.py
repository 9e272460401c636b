"""AMQP 0-9-1 (RabbitMQ), and the answer of brokers that speak AMQP 1.0 alone."""

from __future__ import annotations

import re
from typing import Final

from netduet.client.protocols.base import (
    MAX_ANSWER_BYTES,
    Protocol,
    Recognition,
)
from netduet.client.protocols.messages import (
    ForeignDataError,
    MessageConversation,
    agrees,
    raw_text,
)

# AMQP 0-9-1 §4.2.2: a protocol header, then frames.
_HEADER: Final = b"AMQP\0\0\x09\x01"
_ANY_HEADER: Final = re.compile(rb"AMQP(?:\0\0\x09\x01|[\0\2\3]\x01\0\0)")
_FRAME_HEAD_BYTES: Final = 7
_FRAME_END: Final = 0xCE
"""The last byte of each frame."""
_START: Final = re.compile(rb"\x01\0\0.{4}\0\x0a\0\x0a\0\x09", re.DOTALL)
"""A method frame on channel 0 with Connection.Start, of version 0-9."""
_START_HEAD_BYTES: Final = 3
_STRING: Final = rb"S\0\0\0([\x01-\x40])(.{1,64})"
_PRODUCT: Final = re.compile(rb"\x07product" + _STRING, re.DOTALL)
_VERSION: Final = re.compile(rb"\x07version" + _STRING, re.DOTALL)


class AmqpConversation(MessageConversation):
    """The header, and Connection.Start; no Start-Ok, which would be a login."""

    def start(self) -> bytes:
        """Return the header."""
        return _HEADER

    def _message_size(self, received: bytearray) -> int:
        if received[:1] == b"A":
            if not agrees(bytes(received), b"AMQP"):
                raise ForeignDataError(bytes(received[:20]))
            return len(_HEADER) if len(received) >= len(_HEADER) else 0
        if not agrees(bytes(received), b"\x01\0\0") and self.recognition is None:
            raise ForeignDataError(bytes(received[:20]))
        if len(received) < _FRAME_HEAD_BYTES:
            return 0
        size = _FRAME_HEAD_BYTES + int.from_bytes(received[3:_FRAME_HEAD_BYTES]) + 1
        if size > MAX_ANSWER_BYTES:
            raise ForeignDataError(bytes(received[:20]))
        return size if len(received) >= size else 0

    def _read_message(self, message: bytes) -> bytes:
        if self.recognition is None:
            is_frame = not message.startswith(b"A")
            self.recognition = recognise(message)
            if self.recognition is None or (is_frame and message[-1] != _FRAME_END):
                self.recognition = None
                raise ForeignDataError(message[:20])
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise Connection.Start, and the header that other hellos are answered with."""
    header = _ANY_HEADER.match(data)
    if header is not None:
        notes = () if data.startswith(_HEADER) else ("speaks AMQP 1.0",)
        return Recognition(PROTOCOL.name, notes=notes)
    if _START.match(data) is None:
        return None
    words = [_read_string(field, data) for field in (_PRODUCT, _VERSION)]
    return Recognition(PROTOCOL.name, " ".join(filter(None, words)))


def _read_string(field: re.Pattern[bytes], data: bytes) -> str:
    match = field.search(data)
    return raw_text(match[2][: match[1][0]]) if match else ""


PROTOCOL: Final = Protocol(
    name="amqp",
    title="AMQP",
    ports=(5672,),
    converse=AmqpConversation,
    recognise=recognise,
    aliases=("rabbitmq",),
    # rabbit.schema: handshake_timeout, 10 s.
    login_timeout=10.0,
    login_setting="handshake_timeout",
)
