"""UDP streams: the payloads of STREAM, and the cookie that permits a stream.

A client sends numbered datagrams at a steady pace, and the server sends its own at the
same pace, whether or not any of the client's arrive. Each of the server's datagrams
lists the gaps in the client's, so the first one that arrives after an outage reports
all of it. The server sends only to a client that has proven, by a cookie, that it
receives at its address (like QUIC's token, RFC 9000 §8.1).
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
"""Bytes that a client pads its datagrams to; the largest datagram of a stream."""

MIN_PERIOD_MS: Final = 20
"""Shortest period, in milliseconds."""

MAX_PERIOD_MS: Final = 1000
"""Longest period, in milliseconds."""

LEASE_SECONDS: Final = 60.0
"""Seconds without a client's datagram after which the server ends the stream."""

MAX_WAIT_SECONDS: Final = 600
"""Longest silence of the server that a client may ask for."""

WAIT_LEASE_SECONDS: Final = 5.0
"""The same as the lease, from the end of such a silence on."""

COOKIE_AGE_SECONDS: Final = 300.0
"""Seconds after which the cookies' key changes; the previous key is still valid."""

MAX_GAPS: Final = 15
"""Gaps that one datagram lists."""

COOKIE_SIZE: Final = 16
NO_COOKIE: Final = bytes(COOKIE_SIZE)

_QUESTION: Final = struct.Struct("!QIHB16s")  # flow, sequence, period, flags, cookie
_HEAD: Final = struct.Struct("!QB")  # flow, answer type
_CHALLENGE: Final = struct.Struct("!QB16s16s")  # _HEAD, cookie, boot id
_STATUS: Final = struct.Struct("!QBIIQIIIIIIIB")
_END: Final = struct.Struct("!QBB")  # _HEAD, reason
_GAP: Final = struct.Struct("!II")

QUESTION_SIZE: Final = _QUESTION.size
STATUS_SIZE: Final = _STATUS.size

_MAX_COUNT: Final = 2**32 - 1

MAX_NUMBER: Final = _MAX_COUNT - 1
"""The highest valid number of a client's datagram: ``next`` must still fit."""


class StreamFlag(IntFlag):
    """What a question asks for besides being counted."""

    STOP = 1
    """End the stream."""

    WAIT = 2
    """Send one datagram at once, and then none for as many seconds as the period says."""


PLAIN: Final = StreamFlag(0)

_PERIODS: Final = {
    PLAIN: range(MIN_PERIOD_MS, MAX_PERIOD_MS + 1),
    StreamFlag.STOP: range(MIN_PERIOD_MS, MAX_PERIOD_MS + 1),
    StreamFlag.WAIT: range(1, MAX_WAIT_SECONDS + 1),
}
"""The flags that a question may have, and its periods: of WAIT in seconds."""


class AnswerType(IntEnum):
    """The types of a server's datagram."""

    CHALLENGE = 1
    STATUS = 2
    END = 3


class EndReason(IntEnum):
    """Why a stream ended."""

    STOPPED = 1
    LEASE_SECONDS = 2
    DRAINING = 3


@dataclass(frozen=True, slots=True)
class StreamQuestion:
    """A client's datagram. ``period`` is in milliseconds, with WAIT in seconds.

    It counts only with a valid cookie.
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
    """The cookie that a client must echo, and the boot id of its server."""

    flow: int
    cookie: bytes
    boot: bytes

    def serialize(self) -> bytes:
        """Return the payload."""
        return _CHALLENGE.pack(self.flow, AnswerType.CHALLENGE, self.cookie, self.boot)


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """A datagram of the server's stream.

    ``run`` changes whenever the server starts a stream; ``number`` counts the datagrams
    sent in it, from 0; ``time`` is microseconds of the server's clock since its start.
    The rest is about the client's datagrams: ``first`` is the lowest number that
    arrived, ``next`` follows the highest, and ``gaps`` is complete from ``since`` on.
    ``dropped`` counts the datagrams of all clients that the server's socket buffer had
    no room for since it was opened, and wraps at 2³² - 1; None if unknown. The other
    counters saturate at their largest value.
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
    reason: EndReason

    def serialize(self) -> bytes:
        """Return the payload."""
        return _END.pack(self.flow, AnswerType.END, self.reason)


StreamAnswer = Challenge | StreamStatus | StreamEnd


def cookie(secret: bytes, host: str, port: int, flow: int, age: int) -> bytes:
    """Return the cookie for a client's address and flow.

    ``secret`` is random, new at each start of a server; ``age`` is the number of the
    key, which changes every COOKIE_AGE_SECONDS.
    """
    message = f"{host} {port} {flow} {age}".encode()
    return hmac.digest(secret, message, hashlib.sha256)[:COOKIE_SIZE]


def parse_question(payload: bytes, frame_id: int) -> StreamQuestion:
    """Parse a question.

    Raises:
        RemoteError: its length is wrong, or its number, period or flags are out of
            range.
    """
    if len(payload) != QUESTION_SIZE:
        facts: dict[str, int | str] = {"length": len(payload)}
        message = f"STREAM has {QUESTION_SIZE} bytes"
        raise RemoteError(Code.BAD_MESSAGE, message, facts, frame_id)
    flow, sequence, period, flags, cookie = _QUESTION.unpack(payload)
    if flags not in _PERIODS or period not in _PERIODS[StreamFlag(flags)]:
        message = f"STREAM: period {period} or flags {flags:#04x} are out of range"
        raise RemoteError(Code.BAD_MESSAGE, message, {}, frame_id)
    if sequence > MAX_NUMBER:
        message = f"STREAM: number {sequence} is out of range"
        raise RemoteError(Code.BAD_MESSAGE, message, {}, frame_id)
    return StreamQuestion(flow, sequence, period, cookie, StreamFlag(flags))


def parse_answer(payload: bytes) -> StreamAnswer | None:
    """Parse an answer; None when the payload is not one."""
    if len(payload) < _HEAD.size:
        return None
    flow, answer_type = _HEAD.unpack_from(payload)
    if answer_type == AnswerType.CHALLENGE and len(payload) == _CHALLENGE.size:
        _, _, cookie, boot = _CHALLENGE.unpack(payload)
        return Challenge(flow, cookie, boot)
    if answer_type == AnswerType.STATUS and len(payload) >= STATUS_SIZE:
        return _parse_status(payload)
    if answer_type == AnswerType.END and len(payload) == _END.size:
        reason = payload[-1]
        return StreamEnd(flow, EndReason(reason)) if reason in set(EndReason) else None
    return None


def _parse_status(payload: bytes) -> StreamStatus | None:
    """Parse a status; None when its numbers contradict each other.

    The gaps must be sorted ranges from ``since`` on, below ``next``.
    """
    flow, _, run, number, time, first, since, next_number, *counts, dropped, held = (
        _STATUS.unpack_from(payload)
    )
    if (
        len(payload) != STATUS_SIZE + held * _GAP.size
        or max(first, since) > next_number
    ):
        return None
    gaps = tuple(_GAP.iter_unpack(payload[STATUS_SIZE:]))
    previous_end = since
    for start, end in gaps:
        if not previous_end <= start < end < next_number:
            return None
        previous_end = end
    received, duplicated, late = counts
    return StreamStatus(
        flow,
        run,
        number,
        time,
        first,
        since,
        next_number,
        received,
        duplicated,
        late,
        gaps,
        dropped if dropped != _MAX_COUNT else None,
    )
