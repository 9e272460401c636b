"""The vectors as Python values, and a peer that runs a connection on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from netduet.wire import messages, payload_pattern
from netduet.wire.connection import SEND_EOF, Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    DataReceived,
    EchoReceived,
    EofReceived,
    Event,
    OpenReceived,
    RequestReceived,
)
from netduet.wire.frames import Kind
from netduet.wire.messages import CloseQuestion, Open, SinkAnswer, SourceQuestion
from netduet.wire.state_machine import Limits, Role, State

if TYPE_CHECKING:
    from netduet.wire.messages import Welcome

FOLDER = Path(__file__).parents[2] / "vectors"
GREETING = b"Hello, client!"

Vector = dict[str, Any]
EventFields = dict[str, Any]


def load(name: str) -> Any:
    """Return the content of a vector file."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def raw(pieces: Iterable[Any]) -> bytes:
    """Return the bytes that a list of pieces stands for, without the end."""
    return b"".join(_piece(piece) for piece in pieces if piece != "EOF")


def _piece(piece: Any) -> bytes:
    if isinstance(piece, str):
        return bytes.fromhex(piece)
    if "text" in piece:
        return str(piece["text"]).encode()
    return bytes.fromhex(piece["repeat"]) * int(piece["times"])


def _answers() -> dict[Kind, BaseModel]:
    valid = {row["name"]: row for row in load("messages")["valid"]}

    def message(name: str) -> BaseModel:
        row = valid[name]
        model: type[BaseModel] = getattr(messages, row["model"])
        return messages.decode(model, row["text"].encode())

    return {
        Kind.OPEN: message("a welcome"),
        Kind.REPORT: message("a report of little"),
        Kind.LEDGER: message("no entry"),
        Kind.HOLD: message("a silence held"),
        Kind.INSPECT: message("an inspection of little"),
        Kind.TOKEN: message("a proof that is right"),
    }


ANSWERS = _answers()
WELCOME = cast("Welcome", ANSWERS[Kind.OPEN])
OPENING = messages.decode(
    Open, b'{"version":1,"nonce":"00112233445566778899aabbccddeeff"}'
)


class VectorPeer:
    """One end: records its events and data; answers as all vectors do."""

    def __init__(
        self,
        role: Role,
        limits: Limits | None = None,
        refusal: RemoteError | None = None,
        *,
        token: str = "",
        opens: bool = True,
        made_of: type[Connection] = Connection,
    ) -> None:
        """Start at time 0; a client opens unless told otherwise."""
        self.connection = made_of(
            role,
            limits or Limits(),
            0.0,
            greeting=GREETING,
            refusal=refusal,
            token=token.encode(),
            conn_id=WELCOME.conn_id,
        )
        self.events: list[EventFields] = []
        self.sent = b""
        self.ended = False
        self._closing: tuple[CloseQuestion, int] | None = None
        if role is Role.CLIENT and opens:
            self.connection.open(OPENING, 0.0)
            self.flush()

    def feed(self, data: bytes, now: float = 0.0) -> None:
        """Receive bytes."""
        self._take(self.connection.receive_data(data, now))

    def eof(self, now: float = 0.0) -> None:
        """Receive an end of stream."""
        self._take(self.connection.receive_eof(now))

    def expire(self, now: float) -> None:
        """Look at the deadline."""
        self._take(self.connection.expire(now))

    def flush(self) -> None:
        """Send what is to be sent."""
        owed = True
        while owed:
            out = self.connection.data_to_send()
            owed = self.connection.owed > 0
            assert not (out and self.ended), "sending after the end of sending"
            assert SEND_EOF not in out[:-1], "the end of sending is the last item"
            self.ended = self.ended or (bool(out) and out[-1] == SEND_EOF)
            self.sent += b"".join(out)

    @property
    def outcome(self) -> tuple[list[EventFields], bytes, bool, State]:
        """All that an observer sees."""
        return self.events, self.sent, self.ended, self.connection.state

    def _take(self, events: list[Event]) -> None:
        server = self.connection.role is Role.SERVER
        for event in events:
            self._record(event)
            match event:
                case EchoReceived() if server:
                    self.connection.echo(event)
                case OpenReceived(_, frame_id):
                    self.connection.welcome(WELCOME, frame_id)
                case RequestReceived():
                    self._answer(event)
                case DataReceived(Kind.SINK, payload, frame_id) if server:
                    at = payload_pattern.changed_at(payload)
                    arrived = SinkAnswer(received=len(payload), changed_at=at)
                    self.connection.answer(Kind.SINK, arrived, frame_id)
                case EofReceived():
                    self._part()
        self.flush()

    def _answer(self, asked: RequestReceived) -> None:
        match asked.message:
            case SourceQuestion(size=size, seed=seed):
                self.connection.promise(asked.kind, size, seed, asked.id)
            case CloseQuestion(how="finish", size=size, seed=seed):
                pattern = payload_pattern.make(size, seed)
                self.connection.answer(asked.kind, pattern, asked.id)
            case CloseQuestion() as question:
                self._closing = (question, asked.id)
            case _:
                self.connection.answer(asked.kind, ANSWERS[asked.kind], asked.id)

    def _part(self) -> None:
        """Make the end that was asked for, if it is to come at once."""
        if self.connection.state is not State.PARTED or self._closing is None:
            return
        question, frame_id = self._closing
        if question.how == "after_eof" and question.delay == 0:
            pattern = payload_pattern.make(question.size, question.seed)
            self.connection.answer(Kind.CLOSE, pattern, frame_id)
            self.connection.half_close()

    def _record(self, event: Event) -> None:
        fields = event_fields(event)
        last = self.events[-1] if self.events else {"event": ""}
        if fields["event"] == last["event"] == "EchoReceived":
            last["frames"] += fields["frames"]
            last["run"] += fields["run"]
        elif fields["event"] == last["event"] == "PlainReceived":
            last["data"] += fields["data"]
        else:
            self.events.append(fields)


def event_fields(event: Event) -> EventFields:
    """Return an event in the vectors' terms; bytes stay bytes."""
    described: EventFields = {"event": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        match field.name, value:
            case "error", RemoteError():
                described |= {"code": str(value.code), "facts": value.facts}
            case "message", BaseModel():
                described["message"] = value
            case "kind", Kind():
                described["kind"] = value.name
            case (("size" | "starts"), _):
                pass
            case _:
                described[field.name] = value
    if isinstance(event, EchoReceived):
        described["frames"] = event.count
    return described


def matches(fields: EventFields, expected: EventFields) -> bool:
    """Tell whether an event says all that the vector expects of it."""
    known = dict(fields)
    if "data" in known:
        known["text"] = known["data"].decode()
    if "payload" in known:
        known["payload"] = known["payload"].hex()
    if "message" in known:
        known |= known["message"].model_dump()
        if fields["event"] == "OpenReceived":
            known["id"] = fields["id"]
    return all(known.get(name) == value for name, value in expected.items())


def peer_of(vector: Vector, made_of: type[Connection] = Connection) -> VectorPeer:
    """Return the end that a stream vector is about."""
    refusal = vector.get("refusal")
    error = None
    if refusal is not None:
        error = RemoteError(Code(refusal["code"]), refusal["message"], refusal["facts"])
    limits = Limits(**vector.get("limits", {}))
    return VectorPeer(
        Role[vector["role"].upper()],
        limits,
        error,
        token=vector.get("token", ""),
        made_of=made_of,
    )


def finish(peer: VectorPeer, vector: Vector) -> VectorPeer:
    """Do what a vector has behind its bytes: an end of stream, a look at the clock."""
    if vector.get("eof"):
        peer.eof()
    if "expire" in vector:
        peer.expire(vector["expire"])
    return peer


def splits(size: int) -> Iterator[int]:
    """Yield the offsets of a split in two: all, or up to 300."""
    yield from range(1, size, max(1, size // 300))
