"""The events that a connection reports, as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from netduet.wire.errors import RemoteError
from netduet.wire.frames import Kind
from netduet.wire.messages import ErrorMessage, Open, Welcome


@dataclass(frozen=True, slots=True)
class GreetingReceived:
    """Server: the peer is plain; its greeting is queued."""


@dataclass(frozen=True, slots=True)
class PlainReceived:
    """Client: bytes from a server that does not speak the framed dialect."""

    data: bytes


@dataclass(frozen=True, slots=True)
class OpenReceived:
    """Server: a valid opening; answer it with ``Connection.welcome``."""

    message: Open
    id: int


@dataclass(frozen=True, slots=True)
class WelcomeReceived:
    """Client: the server's answer to the opening."""

    message: Welcome


# A frozen dataclass takes four times as long to create, and every small read creates
# this one.
@dataclass(slots=True)
class EchoReceived:
    """Consecutive complete ECHO frames, headers included.

    ``size`` is the size of each frame, header included; 0 when sizes may differ, and
    then ``starts`` are the offsets of the frames in ``run``.
    """

    run: bytes
    size: int
    starts: Sequence[int] = ()

    @property
    def count(self) -> int:
        """The number of frames."""
        return len(self.run) // self.size if self.size else len(self.starts)


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """Server: a control question; answer it with ``Connection.answer``."""

    kind: Kind
    message: BaseModel
    id: int


@dataclass(frozen=True, slots=True)
class AnswerReceived:
    """Client: the answer to a control question."""

    kind: Kind
    message: BaseModel
    id: int


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Data of a kind other than ECHO: a client's SINK, a server's SOURCE or CLOSE."""

    kind: Kind
    payload: bytes
    id: int


@dataclass(frozen=True, slots=True)
class EndReceived:
    """The peer ended its stream with an END frame."""


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The peer reports a protocol error of ours; its sending ends.

    ``id`` is the id of the invalid frame, 0 when there is none.
    """

    message: ErrorMessage
    id: int = 0


@dataclass(frozen=True, slots=True)
class PeerFailed:
    """The peer broke a rule; the ERROR frame, if one is due, is queued."""

    error: RemoteError


@dataclass(frozen=True, slots=True)
class EofReceived:
    """The peer ended its sending (FIN)."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A limit of time or bytes was reached: ``limit`` is its name in ``Limits``."""

    limit: str


Event = (
    GreetingReceived
    | PlainReceived
    | OpenReceived
    | WelcomeReceived
    | EchoReceived
    | RequestReceived
    | AnswerReceived
    | DataReceived
    | EndReceived
    | ErrorReceived
    | PeerFailed
    | EofReceived
    | Expired
)
