"""Streams of datagrams: what STREAM carries, and the cookie that allows one.

A client sends numbered datagrams at a steady pace, and the server sends its own at
the same pace, whether or not any of the client's arrive. Each of the server's tells
what is missing of the client's, so that one that comes through after an outage tells
all about it. The server sends only to who has shown, by a cookie, that it receives
what is sent to its address (as QUIC's token does, RFC 9000 §8.1).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from netduet.wire.errors import Code, RemoteError
from netduet.wire.sequence import Gap

SIZE: Final = 200
"""Bytes that a client pads its datagrams to; no datagram of a stream is larger."""

SHORTEST: Final = 20
"""Least milliseconds from one datagram to the next."""

LONGEST: Final = 1000
"""Most milliseconds from one datagram to the next."""

LEASE: Final = 60.0
"""Seconds for which a server goes on while nothing arrives."""

COOKIE_AGE: Final = 300.0
"""Seconds from one key of the cookies to the next; that before is still taken."""

GAPS: Final = 15
"""Gaps that one datagram tells of."""

COOKIE_SIZE: Final = 16
NO_COOKIE: Final = bytes(COOKIE_SIZE)

_QUESTION: Final = struct.Struct("!QIHB16s")  # flow, sequence, period, flags, cookie
_HEAD: Final = struct.Struct("!QB")  # flow, what it is
_CHALLENGE: Final = struct.Struct("!QB16s16s")  # and cookie, boot
_STATUS: Final = struct.Struct("!QBIIQIIIIIIIB")
_END: Final = struct.Struct("!QBB")  # and why
_GAP: Final = struct.Struct("!II")

QUESTION_SIZE: Final = _QUESTION.size
TOLD_SIZE: Final = _STATUS.size

_MAX_COUNT: Final = 2**32 - 1

LAST: Final = _MAX_COUNT - 1
"""The highest number that a client may give: ``next`` of what is told follows it."""


class StreamFlag(IntFlag):
    """What a question says besides its number."""

    STOP = 1
    """End the stream."""


PLAIN: Final = StreamFlag(0)


class AnswerType(IntEnum):
    """What a server's datagram is."""

    CHALLENGE = 1
    STATUS = 2
    END = 3


class EndReason(IntEnum):
    """Why a stream ended."""

    STOPPED = 1
    LEASE = 2
    DRAINING = 3


@dataclass(frozen=True, slots=True)
class StreamQuestion:
    """A client's datagram. ``period`` is in milliseconds.

    Its number counts only with a valid cookie.
    """

    flow: int
    sequence: int
    period: int
    cookie: bytes = NO_COOKIE
    flags: StreamFlag = PLAIN

    def serialize(self) -> bytes:
        """Return the payload."""
        return _QUESTION.pack(
            self.flow, self.sequence, self.period, self.flags, self.cookie
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """The cookie that a client must show, and which start of the server made it."""

    flow: int
    cookie: bytes
    boot: bytes

    def serialize(self) -> bytes:
        """Return the payload."""
        return _CHALLENGE.pack(self.flow, AnswerType.CHALLENGE, self.cookie, self.boot)


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A datagram of the server's stream.

    ``run`` is new whenever the server begins a stream; ``number`` counts what it has
    sent of it, from 0; ``time`` is its clock since the begin, in microseconds. The
    rest is about what the client sent: ``first`` is the lowest number that came,
    ``next`` follows the highest, and from ``since`` on ``gaps`` are all there are.
    ``dropped`` are datagrams, of whoever, that the server's socket has had no room for
    since it was made, a counter that begins again at 2³² - 1; None when its kernel does
    not say. Another number that no longer fits stays at the largest one.
    """

    flow: int
    run: int
    number: int
    time: int
    first: int
    since: int
    next: int
    received: int
    duplicated: int
    late: int
    gaps: tuple[Gap, ...] = ()
    dropped: int | None = None

    def serialize(self) -> bytes:
        """Return the payload."""
        numbers = (self.received, self.duplicated, self.late)
        head = _STATUS.pack(
            self.flow,
            AnswerType.STATUS,
            self.run,
            self.number,
            self.time,
            self.first,
            self.since,
            self.next,
            *(min(number, _MAX_COUNT) for number in numbers),
            _MAX_COUNT if self.dropped is None else self.dropped % _MAX_COUNT,
            len(self.gaps),
        )
        return head + b"".join(_GAP.pack(*gap) for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The end of a stream."""

    flow: int
    why: EndReason

    def serialize(self) -> bytes:
        """Return the payload."""
        return _END.pack(self.flow, AnswerType.END, self.why)


StreamAnswer = Challenge | StreamStatus | StreamEnd


def cookie(secret: bytes, host: str, port: int, flow: int, age: int) -> bytes:
    """Return what proves that a client receives what is sent to its address.

    Args:
        secret: known to one start of one server alone.
        host: the client's address.
        port: and port.
        flow: its flow.
        age: which of the keys that follow each other, see COOKIE_AGE.

    """
    message = f"{host} {port} {flow} {age}".encode()
    return hmac.digest(secret, message, hashlib.sha256)[:COOKIE_SIZE]


def parse_question(payload: bytes, frame_id: int) -> StreamQuestion:
    """Return the question that a payload is.

    Raises:
        RemoteError: it is of another length, or its number, period or flags are out of
            range.

    """
    if len(payload) != QUESTION_SIZE:
        facts: dict[str, int | str] = {"length": len(payload)}
        message = f"STREAM has {QUESTION_SIZE} bytes"
        raise RemoteError(Code.BAD_MESSAGE, message, facts, frame_id)
    flow, sequence, period, flags, shown = _QUESTION.unpack(payload)
    if not SHORTEST <= period <= LONGEST or flags & ~int(StreamFlag.STOP):
        message = f"STREAM: period {period} or flags {flags:#04x} are out of range"
        raise RemoteError(Code.BAD_MESSAGE, message, {}, frame_id)
    if sequence > LAST:
        message = f"STREAM: number {sequence} is out of range"
        raise RemoteError(Code.BAD_MESSAGE, message, {}, frame_id)
    return StreamQuestion(flow, sequence, period, shown, StreamFlag(flags))


def parse_answer(payload: bytes) -> StreamAnswer | None:
    """Return the answer that a payload is; None when it is none."""
    if len(payload) < _HEAD.size:
        return None
    flow, what = _HEAD.unpack_from(payload)
    if what == AnswerType.CHALLENGE and len(payload) == _CHALLENGE.size:
        _, _, shown, boot = _CHALLENGE.unpack(payload)
        return Challenge(flow, shown, boot)
    if what == AnswerType.STATUS and len(payload) >= TOLD_SIZE:
        return _parse_status(payload)
    if what == AnswerType.END and len(payload) == _END.size:
        why = payload[-1]
        return StreamEnd(flow, EndReason(why)) if why in set(EndReason) else None
    return None


def _parse_status(payload: bytes) -> StreamStatus | None:
    """Return what is told, unless its numbers contradict each other.

    The gaps are sorted ranges from ``since`` on, and nothing is from ``next`` on.
    """
    flow, _, run, number, time, first, since, upto, *counts, dropped, held = (
        _STATUS.unpack_from(payload)
    )
    if len(payload) != TOLD_SIZE + held * _GAP.size or max(first, since) > upto:
        return None
    gaps = tuple(_GAP.iter_unpack(payload[TOLD_SIZE:]))
    at = since
    for start, end in gaps:
        if not at <= start < end < upto:
            return None
        at = end
    received, duplicated, late = counts
    return StreamStatus(
        flow,
        run,
        number,
        time,
        first,
        since,
        upto,
        received,
        duplicated,
        late,
        gaps,
        dropped if dropped != _MAX_COUNT else None,
    )
