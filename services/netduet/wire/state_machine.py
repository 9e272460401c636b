"""The states of a connection as a table, the frames each one accepts, and its limits.

Every change of state is a row of ``TRANSITIONS``, and every kind of frame that is
allowed somewhere is in ``ACCEPTED``. The diagrams of ``docs/protocol.md`` show this
table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from netduet.wire.frames import ANSWER, Kind
from netduet.wire.strict_json import JsonBounds


class Role(Enum):
    """Which end this is."""

    CLIENT = auto()
    SERVER = auto()


class State(Enum):
    """The state of a connection."""

    START = auto()
    GREETED = auto()
    FOREIGN = auto()
    OPENING = auto()
    CHALLENGED = auto()
    OPEN = auto()
    PARTING = auto()
    PARTED = auto()
    LINGER = auto()
    CLOSED = auto()


class Input(Enum):
    """What moves a connection from one state to another."""

    TEXT = auto()
    MAGIC = auto()
    OPENED = auto()
    CHALLENGE = auto()
    PROOF = auto()
    PART = auto()
    END = auto()
    EOF = auto()
    FAULT = auto()
    EXPIRED = auto()


TRANSITIONS: Final = {
    State.START: {
        Input.TEXT: State.GREETED,
        Input.MAGIC: State.OPENING,
        Input.EOF: State.CLOSED,
        Input.EXPIRED: State.LINGER,
    },
    State.GREETED: {
        Input.EOF: State.CLOSED,
        Input.EXPIRED: State.CLOSED,
    },
    State.FOREIGN: {
        Input.EOF: State.CLOSED,
    },
    State.OPENING: {
        Input.TEXT: State.FOREIGN,
        Input.OPENED: State.OPEN,
        Input.CHALLENGE: State.CHALLENGED,
        Input.EOF: State.CLOSED,
        Input.FAULT: State.LINGER,
        Input.EXPIRED: State.LINGER,
    },
    State.CHALLENGED: {
        Input.PROOF: State.OPEN,
        Input.END: State.LINGER,
        Input.EOF: State.CLOSED,
        Input.FAULT: State.LINGER,
        Input.EXPIRED: State.LINGER,
    },
    State.OPEN: {
        Input.PART: State.PARTING,
        Input.END: State.LINGER,
        Input.EOF: State.CLOSED,
        Input.FAULT: State.LINGER,
        Input.EXPIRED: State.LINGER,
    },
    State.PARTING: {
        Input.END: State.LINGER,
        Input.EOF: State.PARTED,
        Input.EXPIRED: State.CLOSED,
    },
    State.PARTED: {
        Input.END: State.CLOSED,
        Input.EXPIRED: State.CLOSED,
    },
    State.LINGER: {
        Input.EOF: State.CLOSED,
        Input.EXPIRED: State.CLOSED,
    },
    State.CLOSED: {},
}

DATAGRAMS: Final = frozenset({Kind.COUNT, Kind.STREAM})
"""Kinds that only datagrams carry."""

ACCEPTED: Final = {
    (Role.SERVER, State.OPENING): frozenset({(Kind.OPEN, 0)}),
    (Role.SERVER, State.CHALLENGED): frozenset({(Kind.TOKEN, 0), (Kind.END, 0)}),
    (Role.SERVER, State.OPEN): frozenset(
        {(kind, 0) for kind in Kind}
        - {(kind, 0) for kind in {Kind.OPEN, Kind.ERROR} | DATAGRAMS}
    ),
    (Role.CLIENT, State.OPENING): frozenset({(Kind.OPEN, ANSWER), (Kind.ERROR, 0)}),
    (Role.CLIENT, State.OPEN): frozenset(
        {(kind, ANSWER) for kind in Kind}
        - {(kind, ANSWER) for kind in {Kind.OPEN, Kind.ERROR} | DATAGRAMS}
        | {(Kind.ERROR, 0)}
    ),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection: sizes in bytes, times in seconds."""

    max_frame: int = 1024 * 1024
    max_text: int = 1024
    max_question: int = 2048
    max_fields: int = 64
    max_questions: int = 1000
    first_byte: float = 10.0
    opening: float = 5.0
    frame: float = 10.0
    idle: float = 60.0
    hold: float = 7200.0
    linger: float = 2.0
    linger_bytes: int = 4 * 1024 * 1024
    plain_linger: float = 30.0
    plain_linger_bytes: int = 16 * 1024 * 1024

    @property
    def question_bounds(self) -> JsonBounds:
        """The bounds of a question's JSON."""
        return JsonBounds(self.max_question, self.max_fields)
