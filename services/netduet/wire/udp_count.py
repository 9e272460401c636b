"""Counting datagrams: what COUNT carries, and the tally that each end keeps.

A flow is a burst of numbered datagrams. The server answers each of them with its
tally and a number of its own, so that the asker knows what was lost, doubled or
reordered on either way (RFC 7680, RFC 4737, RFC 5560), however much was lost.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Final

from netduet.wire.errors import Code, RemoteError

MAX_SEQUENCE: Final = 65_536
"""Datagrams of one flow that are counted: a bit each."""

_QUESTION: Final = struct.Struct("!QIB")  # flow, sequence, flags
_ANSWER: Final = struct.Struct("!QIBIIIIII")

QUESTION_SIZE: Final = _QUESTION.size
ANSWER_SIZE: Final = _ANSWER.size


class CountFlag(IntFlag):
    """What a question asks for besides being counted."""

    SHORT = 1
    """Answer without filling the answer up to the question's size."""

    QUERY = 2
    """Do not count this one: only tell the tally."""


PLAIN: Final = CountFlag(0)

# A flag's own ~ leaves out the bits that have no name: the ones that are refused.
_FLAGS: Final = int(CountFlag.SHORT | CountFlag.QUERY)

_MAX_COUNT: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """A numbered datagram of a flow."""

    flow: int
    sequence: int
    flags: CountFlag = PLAIN

    def serialize(self, size: int = 0) -> bytes:
        """Return the payload, filled up with zeros to ``size`` bytes."""
        head = _QUESTION.pack(self.flow, self.sequence, self.flags)
        return head.ljust(size, b"\0")


@dataclass(frozen=True, slots=True)
class CountAnswer:
    """The server's tally of the flow when it answered; ``number`` counts its answers.

    A number that no longer fits stays at the largest one.
    """

    flow: int
    sequence: int
    flags: CountFlag
    received: int
    duplicated: int
    reordered: int
    number: int
    size: int
    """Bytes of the question's payload as they arrived."""
    dropped: int | None = None
    """Datagrams, of whoever, that the server's socket had no room for since the flow
    began; None when the server's kernel does not say."""

    def serialize(self, size: int = 0) -> bytes:
        """Return the payload, filled up with zeros to ``size`` bytes."""
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
    """What came of a flow: numbers below MAX_SEQUENCE, each once or more."""

    __slots__ = ("_highest", "_seen", "duplicated", "received", "reordered")

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.received = 0
        self.duplicated = 0
        self.reordered = 0
        self._highest = -1
        self._seen = bytearray()

    def take(self, sequence: int) -> None:
        """Count one; a number behind a higher one came reordered (RFC 4737 §3)."""
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
    """Return the question that a payload is.

    Raises:
        RemoteError: it is too short for one, too short for its answer, or its
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
    """Return the answer that a payload is; None when it is none."""
    if len(payload) < ANSWER_SIZE:
        return None
    flow, sequence, flags, *tally = _ANSWER.unpack_from(payload)
    answer = CountAnswer(flow, sequence, CountFlag(flags & _FLAGS), *tally)
    return answer if answer.dropped != _MAX_COUNT else replace(answer, dropped=None)
