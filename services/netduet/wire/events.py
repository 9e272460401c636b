"""What a connection tells its owner, as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from netduet.wire.errors import RemoteError
from netduet.wire.frames import Kind
from netduet.wire.messages import ErrorMessage, Open, Welcome


@dataclass(frozen=True, slots=True)
class GreetingReceived:
    """Server: the peer speaks plain; its greeting is queued."""


@dataclass(frozen=True, slots=True)
class PlainReceived:
    """Client: bytes that are not framed, as they came."""

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


# Frozen costs four times as much to make, and this one is made for each small read.
@dataclass(slots=True)
class EchoReceived:
    """Whole ECHO frames that came in a row, headers included.

    ``size`` is that of each frame, header included; 0 when they may differ, and
    then ``starts`` says where in ``run`` each one begins.
    """

    run: bytes
    size: int
    starts: Sequence[int] = ()

    @property
    def count(self) -> int:
        """How many frames these are."""
        return len(self.run) // self.size if self.size else len(self.starts)


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """Server: a control question of a kind; answer it with ``Connection.answer``."""

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
    """The peer's stream ended by an END frame."""


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The peer says that we broke a rule; its sending ends.

    ``id`` is that of the frame at fault, 0 when none is.
    """

    message: ErrorMessage
    id: int = 0


@dataclass(frozen=True, slots=True)
class PeerFailed:
    """The peer broke a rule; the answer, if one is due, is queued."""

    error: RemoteError


@dataclass(frozen=True, slots=True)
class EofReceived:
    """The peer ended its sending (FIN)."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A bound of time or bytes was reached: ``limit`` is its name in ``Limits``."""

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
