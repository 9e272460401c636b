"""Frames: the constants of the protocol, parsing and serializing.

Standard library only, because the health check imports only this module. The rules are
in ``docs/protocol.md``.
"""

from __future__ import annotations

import struct
from collections import namedtuple
from enum import IntEnum

from netduet.wire.errors import Code, RemoteError

# Every import slows down the health check: no dataclasses, typing or re here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

VERSION: Final = 1
PORT: Final = 12345

# Like PNG's signature (RFC 2083 §12.11): a first byte that starts no UTF-8 text,
# letters, CR LF, and Ctrl-Z followed by LF, so that any processing of the stream as
# text changes it visibly.
MAGIC: Final = b"\x9eNDT\r\n\x1a\n"

# length of the payload, kind, flags, reserved (zero), id
HEADER: Final = struct.Struct("!IBBHQ")
HEADER_SIZE: Final = HEADER.size
FLAGS_OFFSET: Final = 5

ANSWER: Final = 0x01
"""Bit 0 of the flags: the frame is an answer."""


MIN_RUN_ID: Final = 2**32
"""The smallest id of an OPEN that names a run; smaller ones name none (P-77)."""

MAX_CONTROL: Final = 64 * 1024
"""Bytes a control payload (JSON) may have, in either direction."""


class Kind(IntEnum):
    """Kinds of frames; an answer has the kind and id of its question."""

    OPEN = 1
    ERROR = 2
    END = 3
    ECHO = 16
    REPORT = 17
    LEDGER = 18
    SINK = 19
    SOURCE = 20
    HOLD = 21
    CLOSE = 22
    INSPECT = 23
    COUNT = 24
    STREAM = 25
    TOKEN = 26


DATA: Final = frozenset(
    {
        (Kind.ECHO, 0),
        (Kind.ECHO, ANSWER),
        (Kind.SINK, 0),
        (Kind.SOURCE, ANSWER),
        (Kind.CLOSE, ANSWER),
    }
)
"""Frames whose payload is data, by kind and flags; all others carry JSON or nothing."""

FEATURES: Final = {
    "echo": Kind.ECHO,
    "report": Kind.REPORT,
    "ledger": Kind.LEDGER,
    "sink": Kind.SINK,
    "source": Kind.SOURCE,
    "hold": Kind.HOLD,
    "close": Kind.CLOSE,
    "inspect": Kind.INSPECT,
    "count": Kind.COUNT,
    "stream": Kind.STREAM,
    "wait": Kind.STREAM,
    "token": Kind.TOKEN,
}
"""Features that a server announces, with the kind of question that each one allows.

It announces ``token`` if it demands one (P-88)."""


class Frame(namedtuple("Frame", ("kind", "flags", "id", "payload"))):  # noqa: PYI024 - typing costs start-up
    """One complete frame: kind, flags and id as integers, the payload as bytes."""

    __slots__ = ()
    kind: int
    flags: int
    id: int
    payload: bytes

    def __str__(self) -> str:
        """Return a line for a log, bounded and safe to show."""
        from netduet.wire.untrusted import log_safe  # noqa: PLC0415

        try:
            kind = Kind(self.kind).name
        except ValueError:
            kind = f"KIND-{self.kind}"
        answer = " answer" if self.flags & ANSWER else ""
        shown = log_safe(self.payload, 64)
        return f"{kind}{answer} id={self.id} {len(self.payload)} B {shown}".rstrip()


def serialize(kind: int, payload: bytes = b"", *, flags: int = 0, id: int = 0) -> bytes:  # noqa: A002 - the field's name on the wire
    """Return one frame as bytes."""
    return HEADER.pack(len(payload), kind, flags, 0, id) + payload


def parse(data: bytes, offset: int = 0) -> tuple[Frame, int] | None:
    """Return the frame that starts at ``offset`` and the offset of the next one.

    None when the frame is incomplete. Nothing is validated here.
    """
    if len(data) - offset < HEADER_SIZE:
        return None
    length, kind, flags, _, frame_id = HEADER.unpack_from(data, offset)
    end = offset + HEADER_SIZE + length
    if len(data) < end:
        return None
    payload = bytes(data[offset + HEADER_SIZE : end])
    return Frame(kind, flags, frame_id, payload), end


def judge_header(kind: int, flags: int, reserved: int, id_: int, state: str) -> None:
    """Raise RemoteError if ``state`` does not allow this header."""
    if reserved:
        raise RemoteError(
            Code.RESERVED_BITS,
            f"reserved bits of the header are {reserved:#06x}: must be zero",
            {"reserved": reserved},
            id_,
        )
    if flags & ~ANSWER:
        message = f"flags {flags:#04x}: unknown"
        raise RemoteError(Code.UNKNOWN_FLAGS, message, {"flags": flags}, id_)
    try:
        name = Kind(kind).name
    except ValueError:
        message = f"kind {kind}: unknown"
        raise RemoteError(Code.UNKNOWN_KIND, message, {"kind": kind}, id_) from None
    answer = " answer" if flags & ANSWER else ""
    message = f"{name}{answer} is not allowed in state {state}"
    facts: dict[str, int | str] = {"kind": kind, "state": state}
    raise RemoteError(Code.OUT_OF_ORDER, message, facts, id_)


def judge_length(length: int, limit: int, id_: int) -> None:
    """Raise RemoteError when a payload of this length exceeds the limit of its kind."""
    if length > limit:
        message = f"a payload of {length} bytes: at most {limit} here"
        facts: dict[str, int | str] = {"length": length, "limit": limit}
        raise RemoteError(Code.TOO_LARGE, message, facts, id_)


# Each kind of text conversion changes a different first byte.
_CHANGES: Final = {
    (1, ord("n")): "its letters became lower case",
    (4, ord("\n")): "its CR LF became LF",
    (5, ord("\r")): "its LF became CR LF",
    (5, 0x1A): "its LF was dropped",
    (6, ord("\n")): "its Ctrl-Z was dropped",
}


def judge_magic(received: bytes) -> None:
    """Raise RemoteError if these bytes do not start the magic, naming the likely change.

    Only the first differing byte counts, so the result does not depend on how the bytes
    were split.
    """
    if MAGIC.startswith(received):
        return
    pairs = enumerate(zip(received, MAGIC, strict=False))
    broken = next(index for index, (byte, wanted) in pairs if byte != wanted)
    change = _CHANGES.get((broken, received[broken]), "not by any text mode")
    facts: dict[str, int | str] = {
        "change": change,
        "received": received[: broken + 1].hex(),
    }
    message = f"the magic was changed on the way: {change}"
    raise RemoteError(Code.MAGIC_BROKEN, message, facts)
