"""Datagrams: one frame after the magic, padded with zeros; sans-I/O.

An answer is never larger than its question, so a forged source address gains no
amplification (like RFC 9000 §8.1, with a factor of one). Only questions are answered,
so two servers cannot echo each other for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netduet.wire import frames
from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import ANSWER, FLAGS_OFFSET, HEADER_SIZE, MAGIC, Frame, Kind
from netduet.wire.messages import ErrorMessage, encode
from netduet.wire.udp_count import ANSWER_SIZE, PLAIN, CountFlag, CountQuestion

if TYPE_CHECKING:
    from pydantic import BaseModel

OPENING_SIZE: Final = 1200
"""Bytes a client pads its opening to: room for the answer, within any IPv6 path MTU."""

QUESTIONS: Final = frozenset({Kind.OPEN, Kind.ECHO, Kind.COUNT, Kind.STREAM})
_KNOWN: Final = frozenset(Kind)
_OVERHEAD: Final = len(MAGIC) + HEADER_SIZE
_FLAGS: Final = len(MAGIC) + FLAGS_OFFSET
_COUNT_ID: Final = 3

MIN_COUNT_SIZE: Final = _OVERHEAD + ANSWER_SIZE
"""Bytes of the smallest COUNT, which has room for its answer."""


def serialize(kind: Kind, payload: bytes, frame_id: int, size: int = 0) -> bytes:
    """Return a question, padded with zeros to ``size`` bytes."""
    frame = frames.serialize(kind, payload, id=frame_id)
    return (MAGIC + frame).ljust(size, b"\0")


def count_question(
    flow: int, sequence: int, size: int, flags: CountFlag = PLAIN
) -> bytes:
    """Return a COUNT of ``size`` bytes, at least ``MIN_COUNT_SIZE``."""
    payload = CountQuestion(flow, sequence, flags).serialize(size - _OVERHEAD)
    return serialize(Kind.COUNT, payload, _COUNT_ID)


def answer(
    kind: Kind, payload: BaseModel | bytes, frame_id: int, room: int
) -> bytes | None:
    """Return an answer, or None when it would be larger than ``room`` bytes."""
    data = payload if isinstance(payload, bytes) else encode(payload)
    frame = MAGIC + frames.serialize(kind, data, flags=ANSWER, id=frame_id)
    return frame if len(frame) <= room else None


def failure(error: RemoteError, room: int) -> bytes | None:
    """Return the ERROR datagram for a protocol error, or None when it does not fit."""
    return answer(Kind.ERROR, ErrorMessage.of(error), error.frame_id, room)


def parse(data: bytes) -> Frame | None:
    """Return the frame of a datagram; None when the datagram is not netduet's.

    Raises:
        RemoteError: it has the magic, but is invalid.
    """
    if len(data) < _OVERHEAD or not data.startswith(MAGIC):
        return None
    length, kind, flags, reserved, frame_id = frames.HEADER.unpack_from(
        data, len(MAGIC)
    )
    if reserved or flags & ~ANSWER or kind not in _KNOWN:
        frames.judge_header(kind, flags, reserved, frame_id, "DATAGRAM")
    end = _OVERHEAD + length
    if end > len(data):
        raise RemoteError(
            Code.TRUNCATED,
            f"a payload of {length} bytes in a datagram of {len(data)}",
            {"length": length, "datagram": len(data)},
            frame_id,
        )
    if data.count(b"\0", end) != len(data) - end:
        message = "padding behind the frame is not zero"
        raise RemoteError(Code.BAD_MESSAGE, message, {}, frame_id)
    return Frame(kind, flags, frame_id, data[_OVERHEAD:end])


def parse_question(data: bytes) -> Frame | None:
    """Return a question that a server answers; None for what it ignores.

    It ignores datagrams of other programs, and all answers, even invalid ones.

    Raises:
        RemoteError: the question is invalid.
    """
    if len(data) > _FLAGS and data[_FLAGS] & ANSWER:
        return None
    frame = parse(data)
    if frame is not None and frame.kind not in QUESTIONS:
        frames.judge_header(frame.kind, frame.flags, 0, frame.id, "DATAGRAM")
    return frame
