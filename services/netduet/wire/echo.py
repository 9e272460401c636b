"""Runs of ECHO frames: found in one pass, answered in one piece.

A load test sends ECHO frames by the million, so this is the hot path: a run of equal
frames is compared by columns of bytes, a mixed one is walked by lengths. Neither looks
at the payloads.
"""

from __future__ import annotations

import struct
from typing import Final

from netduet.wire.events import EchoReceived
from netduet.wire.frames import ANSWER, FLAGS_OFFSET, HEADER_SIZE, Kind

_SHARED: Final = struct.Struct("!II")  # the header without the id
PEEK: Final = _SHARED.unpack_from
"""Unpacks the payload's length, and kind, flags and reserved bits as one word."""

_FLAG: Final = ANSWER.to_bytes()
_WORTH_COLUMNS: Final = 8
"""Number of frames from which comparing columns is faster than walking."""

_FIRST_CHUNK_FRAMES: Final = 64


def word(flags: int) -> int:
    """Return the word that ``PEEK`` unpacks for an ECHO frame with these flags."""
    return Kind.ECHO << 24 | flags << 16


def take(data: bytes, offset: int, size: int, max_frame: int) -> EchoReceived:
    """Return the complete ECHO frames from ``offset`` on, at least the first one.

    The first one has been validated and is ``size`` bytes long, header included. The
    run ends before an incomplete frame, and before a frame that is not an ECHO with the
    same flags and an allowed length.
    """
    whole = (len(data) - offset) // size
    if whole == 1:
        return EchoReceived(data[offset : offset + size], size)
    if whole >= _WORTH_COLUMNS:
        count = _uniform(data, offset, size, whole)
        if count >= _WORTH_COLUMNS:
            return EchoReceived(data[offset : offset + count * size], size)
    return _walk(data, offset, max_frame)


def _uniform(data: bytes, offset: int, size: int, whole: int) -> int:
    """Count the frames that share the first one's header, except for the id.

    Chunks grow only while all frames match, so the work is linear in the bytes
    consumed, however the frames are mixed.
    """
    first = data[offset : offset + _SHARED.size]
    count = 1
    chunk = _FIRST_CHUNK_FRAMES
    while count < whole:
        start = offset + count * size
        tried = matched = min(chunk, whole - count)
        stop = start + tried * size
        for column in range(_SHARED.size):
            cells = data[start + column : stop : size]
            wanted = first[column : column + 1]
            if cells != wanted * tried:
                matched = min(matched, tried - len(cells.lstrip(wanted)))
        count += matched
        if matched < tried:
            break
        chunk *= 4
    return count


def _walk(data: bytes, offset: int, max_frame: int) -> EchoReceived:
    end = len(data)
    start = at = offset
    length, first = PEEK(data, at)
    found = first
    starts: list[int] = []
    append = starts.append
    while found == first and length <= max_frame:
        after = at + HEADER_SIZE + length
        if after > end:
            break
        append(at - start)
        at = after
        if end - at < HEADER_SIZE:
            break
        length, found = PEEK(data, at)
    return EchoReceived(data[start:at], 0, starts)


def mark(answer: bytearray, event: EchoReceived) -> None:
    """Set the ANSWER flag in each frame of this copy of the event's run."""
    if event.size:
        answer[FLAGS_OFFSET :: event.size] = _FLAG * event.count
        return
    for start in event.starts:
        answer[start + FLAGS_OFFSET] = ANSWER
