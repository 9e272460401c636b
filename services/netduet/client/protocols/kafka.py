"""Kafka: ApiVersions, the request that clients make before all others (KIP-35)."""

from __future__ import annotations

import struct
from typing import Final

from netduet.client.protocols.base import (
    MAX_ANSWER_BYTES,
    Protocol,
    Recognition,
)
from netduet.client.protocols.messages import ForeignDataError, NumberedConversation

_API_VERSIONS: Final = 18
"""The key of the request (Kafka protocol guide, "Api Keys")."""
_CORRELATION: Final = 0x6E647565
"""What the first answer repeats; each further request has the next number."""
_CLIENT: Final = b"netduet"

_HEAD: Final = struct.Struct(">IIhI")
"""Of an answer: its size, the correlation, an error, the number of APIs."""
_API_BYTES: Final = 6
_MAX_APIS: Final = 1000


class KafkaConversation(NumberedConversation):
    """ApiVersions version 0, as the hello and as the question."""

    FIRST = _CORRELATION

    def _request(self, number: int) -> bytes:
        return _request(number)

    def _message_size(self, received: bytearray) -> int:
        if len(received) < _HEAD.size:
            if received and received[0]:
                raise ForeignDataError(bytes(received))
            return 0
        size = 4 + int.from_bytes(received[:4])
        head = _CORRELATION.to_bytes(4)[:2]
        if size > MAX_ANSWER_BYTES or not received.startswith(head, 4):
            raise ForeignDataError(bytes(received[:20]))
        return size if len(received) >= size else 0

    def _read_message(self, message: bytes) -> bytes:
        _, number, *_ = _HEAD.unpack_from(message)
        if self.recognition is None:
            self.recognition = recognise(message)
            if self.recognition is None:
                raise ForeignDataError(message[:20])
        elif _CORRELATION < number <= self._number:
            self._count_answer()
        return b""


def _request(number: int) -> bytes:
    words = struct.pack(">hhIh", _API_VERSIONS, 0, number, len(_CLIENT)) + _CLIENT
    return len(words).to_bytes(4) + words


def recognise(data: bytes) -> Recognition | None:
    """Recognise the answer to our request; brokers say nothing to other protocols."""
    if len(data) < _HEAD.size:
        return None
    size, number, error, apis = _HEAD.unpack_from(data)
    if number != _CORRELATION or apis > _MAX_APIS:
        return None
    if size != _HEAD.size - 4 + apis * _API_BYTES:
        return None
    notes = (f"ApiVersions: error {error}",) if error else (f"{apis} APIs",)
    return Recognition(PROTOCOL.name, notes=notes)


PROTOCOL: Final = Protocol(
    name="kafka",
    title="Kafka",
    ports=(9092,),
    converse=KafkaConversation,
    recognise=recognise,
)
