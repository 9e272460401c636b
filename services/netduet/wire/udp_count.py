"""Counting datagrams: the payloads of COUNT, and the tally that each end keeps.

A flow is a burst of numbered datagrams. The server answers each of them with its tally
and a number of its own, so that the client knows what was lost, duplicated or reordered
in each direction (RFC 7680, RFC 5560, RFC 4737), however much was lost.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Final

from netduet.wire.errors import Code, RemoteError

MAX_SEQUENCE: Final = 65_536
"""Datagrams of one flow that are counted, one bit each."""

_QUESTION: Final = struct.Struct("!QIB")  # flow, sequence, flags
_ANSWER: Final = struct.Struct("!QIBIIIIII")

QUESTION_SIZE: Final = _QUESTION.size
ANSWER_SIZE: Final = _ANSWER.size


class CountFlag(IntFlag):
    """What a question asks for besides being counted."""

    SHORT = 1
    """Do not pad the answer to the size of the question."""

    QUERY = 2
    """Do not count this datagram: only return the tally."""


PLAIN: Final = CountFlag(0)

# Not ~CountFlag: that leaves out the unnamed bits, which must be rejected.
_FLAGS: Final = int(CountFlag.SHORT | CountFlag.QUERY)

_MAX_COUNT: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """A numbered datagram of a flow."""

    flow: int
    sequence: int
    flags: CountFlag = PLAIN

    def serialize(self, size: int = 0) -> bytes:
        """Return the payload, padded with zeros to ``size`` bytes."""
        head = _QUESTION.pack(self.flow, self.sequence, self.flags)
        return head.ljust(size, b"\0")


@dataclass(frozen=True, slots=True)
class CountAnswer:
    """The server's tally of the flow when it answered; ``number`` counts its answers.

    Counters saturate at their largest value.
    """

    flow: int
    sequence: int
    flags: CountFlag
    received: int
    duplicated: int
    reordered: int
    number: int
    size: int
    """Bytes of the question's payload as it arrived."""
    dropped: int | None = None
    """Datagrams of all clients that the server's socket buffer had no room for since
    the flow started; None if unknown."""

    def serialize(self, size: int = 0) -> bytes:
        """Return the payload, padded with zeros to ``size`` bytes."""
        head = _ANSWER.pack(
            self.flow,
            self.sequence,
            self.flags,
            self.received,
            min(self.duplicated, _MAX_COUNT),
            self.reordered,
            min(self.number, _MAX_COUNT),
            self.size,
            _MAX_COUNT if self.dropped is None else min(self.dropped, _MAX_COUNT - 1),
        )
        return head.ljust(size, b"\0")


class Tally:
    """The received datagrams of a flow, by numbers below MAX_SEQUENCE."""

    __slots__ = ("_highest", "_seen", "duplicated", "received", "reordered")

    def __init__(self) -> None:
        self.received = 0
        self.duplicated = 0
        self.reordered = 0
        self._highest = -1
        self._seen = bytearray()

    def take(self, sequence: int) -> None:
        """Count a datagram; one after a higher number is reordered (RFC 4737 §3)."""
        byte, bit = sequence >> 3, 1 << (sequence & 7)
        if byte >= len(self._seen):
            self._seen.extend(bytes(byte + 1 - len(self._seen)))
        if self._seen[byte] & bit:
            self.duplicated += 1
            return
        self._seen[byte] |= bit
        self.received += 1
        if sequence < self._highest:
            self.reordered += 1
        else:
            self._highest = sequence


def parse_question(payload: bytes, frame_id: int) -> CountQuestion:
    """Parse a question.

    Raises:
        RemoteError: it is too short for a question or for its answer, or its
            sequence or flags are out of range.
    """
    if len(payload) < ANSWER_SIZE:
        facts: dict[str, int | str] = {"length": len(payload), "least": ANSWER_SIZE}
        message = f"COUNT has at least {ANSWER_SIZE} bytes: room for its answer"
        raise RemoteError(Code.BAD_MESSAGE, message, facts, frame_id)
    flow, sequence, flags = _QUESTION.unpack_from(payload)
    if sequence >= MAX_SEQUENCE or flags & ~_FLAGS:
        message = f"COUNT: sequence {sequence} or flags {flags:#04x} are out of range"
        raise RemoteError(Code.BAD_MESSAGE, message, {}, frame_id)
    return CountQuestion(flow, sequence, CountFlag(flags))


def parse_answer(payload: bytes) -> CountAnswer | None:
    """Parse an answer; None when the payload is not one."""
    if len(payload) < ANSWER_SIZE:
        return None
    flow, sequence, flags, *tally = _ANSWER.unpack_from(payload)
    answer = CountAnswer(flow, sequence, CountFlag(flags & _FLAGS), *tally)
    return answer if answer.dropped != _MAX_COUNT else replace(answer, dropped=None)
