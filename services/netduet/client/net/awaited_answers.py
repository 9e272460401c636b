"""What a server may still send: the answers to our questions, and no more (P-87).

So nothing that a server sends can fill our memory, however slowly a check reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    AnswerReceived,
    DataReceived,
    EchoReceived,
    Event,
    Expired,
    PeerFailed,
)
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import CloseQuestion, HoldQuestion, SourceQuestion
from netduet.wire.state_machine import Limits

if TYPE_CHECKING:
    from pydantic import BaseModel

_SPARE_ANSWERS: Final = 16
"""Answers to no question of ours that are skipped before the connection is ended."""

_SPARE_BYTES: Final = Limits().max_frame
"""Bytes by which answers may be too long: the checks say what was changed."""


class AwaitedAnswers:
    """Counts the answers that a server owes, and their bytes of data."""

    def __init__(self) -> None:
        self._count = _SPARE_ANSWERS
        self._bytes = _SPARE_BYTES

    def add(self, kind: Kind, question: BaseModel | bytes) -> None:
        """Expect the answers to a question."""
        self._count += 1
        match question:
            case bytes() if kind == Kind.ECHO:
                self._bytes += len(question)
            case SourceQuestion(size=size) | CloseQuestion(size=size):
                self._bytes += size
            case HoldQuestion(speak=True):
                self._count += 1

    def take(self, event: Event) -> bool:
        """Count what has arrived; return False if it is more than was asked for."""
        match event:
            case EchoReceived():
                self._count -= event.count
                self._bytes -= len(event.run) - event.count * HEADER_SIZE
            case DataReceived(payload=payload):
                self._count -= 1
                self._bytes -= len(payload)
            case AnswerReceived():
                self._count -= 1
            case Expired():  # it went on after its end
                return False
        return self._count >= 0 and self._bytes >= 0


def unasked() -> PeerFailed:
    """Return the event of a server that sends more than it was asked for."""
    message = "the server sent more than it was asked for"
    return PeerFailed(RemoteError(Code.OUT_OF_ORDER, message))
