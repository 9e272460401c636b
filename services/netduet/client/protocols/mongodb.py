"""MongoDB: the command ``hello`` in OP_MSG (MongoDB wire protocol)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from netduet.client.protocols.base import (
    MAX_ANSWER_BYTES,
    Protocol,
    Recognition,
    Refusal,
)
from netduet.client.protocols.messages import (
    ForeignDataError,
    NumberedConversation,
    raw_text,
)

_HEADER: Final = struct.Struct("<IIII")
"""Size, request id, the id that is answered, opcode."""
_SIZE_BYTES: Final = 4
_OP_MSG: Final = 2013
"""The opcode of requests and answers since MongoDB 3.6."""
_FIRST_ID: Final = 0x6E6475
"""The id of the first request; each further request has the next one."""
_BODY: Final = 21
"""The offset of the document in OP_MSG: header, flags, kind of section."""

# isMaster, for hello is known since 4.4 only, and all versions answer the former.
_DOCUMENT: Final = b"\x10isMaster\0\1\0\0\0\x08helloOk\0\1\x02$db\0\x06\0\0\0admin\0\0"
_HTTP: Final = b"It looks like you are trying to access MongoDB over HTTP"

_SIZES: Final = {
    # bsonspec.org: type and size of the value.
    0x01: 8,
    0x06: 0,
    0x07: 12,
    0x08: 1,
    0x09: 8,
    0x0A: 0,
    0x10: 4,
    0x11: 8,
    0x12: 8,
    0x13: 16,
}
_STRING: Final = 0x02
"""BSON type: a string."""
_CONTAINERS: Final = frozenset({0x03, 0x04})
_BINARY: Final = 0x05
"""BSON type: bytes."""

Fields = dict[bytes, bytes]


class MongodbConversation(NumberedConversation):
    """isMaster, as the hello and as the question."""

    FIRST = _FIRST_ID

    def _request(self, number: int) -> bytes:
        return _request(number)

    def _message_size(self, received: bytearray) -> int:
        if len(received) < _HEADER.size:
            size = int.from_bytes(received[:_SIZE_BYTES], "little")
            if len(received) >= _SIZE_BYTES and size > MAX_ANSWER_BYTES:
                raise ForeignDataError(bytes(received))
            return 0
        size, _, answered, opcode = _HEADER.unpack_from(received)
        known = _FIRST_ID <= answered <= self._number and opcode == _OP_MSG
        if not known or not _BODY < size <= MAX_ANSWER_BYTES:
            raise ForeignDataError(bytes(received[:20]))
        return size if len(received) >= size else 0

    def _read_message(self, message: bytes) -> bytes:
        if self.recognition is None:
            self.recognition = recognise(message)
            if self.recognition is None:
                raise ForeignDataError(message[:20])
        else:
            self._count_answer()
        return b""


def _request(number: int) -> bytes:
    document = (4 + len(_DOCUMENT)).to_bytes(4, "little") + _DOCUMENT
    body = bytes(5) + document
    return _HEADER.pack(_HEADER.size + len(body), number, 0, _OP_MSG) + body


def recognise(data: bytes) -> Recognition | None:
    """Recognise an answer to our request, and the one to HTTP."""
    if data.startswith(b"HTTP/1.0 200") and _HTTP in data:
        return Recognition(PROTOCOL.name)
    if len(data) < _BODY:
        return None
    _, _, answered, opcode = _HEADER.unpack_from(data)
    if opcode != _OP_MSG or answered >> 8 != _FIRST_ID >> 8:
        return None
    try:
        fields = dict(_read_document(data[_BODY:]))
    except (ValueError, IndexError):
        return None
    return _read_fields(fields) if b"ok" in fields else None


def _read_document(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and raw value of each field of a BSON document."""
    place = 4
    while data[place]:
        kind = data[place]
        end = data.index(b"\0", place + 1)
        name, start = data[place + 1 : end], end + 1
        length = int.from_bytes(data[start : start + 4], "little")
        if kind in _SIZES:
            place = start + _SIZES[kind]
        elif kind == _STRING:
            start, place = start + 4, start + 4 + length
        elif kind in _CONTAINERS:
            place = start + max(length, 5)
        elif kind == _BINARY:
            place = start + 5 + length
        else:
            raise ForeignDataError(name)
        yield name, data[start:place]


def _read_fields(fields: Fields) -> Recognition:
    is_true = {name for name, value in fields.items() if value == b"\1"}
    notes = []
    replica_set = _text(fields, b"setName")
    if fields.get(b"ok") != struct.pack("<d", 1.0):
        text = _text(fields, b"errmsg") or "an error"
        return Recognition(PROTOCOL.name, notes=(text,))
    if b"arbiterOnly" in is_true:
        notes.append("arbiter")
    elif b"secondary" in is_true:
        notes.append("secondary")
    elif is_true & {b"ismaster", b"isWritablePrimary"}:
        notes.append("primary" if replica_set else "standalone or mongos")
    else:
        reason = _text(fields, b"info") or "neither primary nor secondary"
        return Recognition(PROTOCOL.name, refusal=Refusal.NOT_READY, reason=reason)
    if replica_set:
        notes.append(f"replica set {replica_set}")
    return Recognition(PROTOCOL.name, notes=tuple(notes))


def _text(fields: Fields, name: bytes) -> str:
    return raw_text(fields.get(name, b"").rstrip(b"\0"))


PROTOCOL: Final = Protocol(
    name="mongodb",
    title="MongoDB",
    ports=(27017, 27018, 27019),
    converse=MongodbConversation,
    recognise=recognise,
    aliases=("mongo",),
)
