"""The receiving half of a connection: validates and decodes frames, moves the state."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel

from netduet.wire import frames, request_limits
from netduet.wire import token as shared_token
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    AnswerReceived,
    DataReceived,
    EndReceived,
    ErrorReceived,
    Event,
    OpenReceived,
    RequestReceived,
    WelcomeReceived,
)
from netduet.wire.frames import ANSWER, MAGIC, MAX_CONTROL, Kind
from netduet.wire.messages import (
    ANSWERS,
    QUESTIONS,
    CloseQuestion,
    ErrorMessage,
    Open,
    TokenQuestion,
    Welcome,
    decode,
)
from netduet.wire.sender import Sender
from netduet.wire.state_machine import ACCEPTED, Input, Limits, Role, State


class Receiver(Sender):
    """What one end receives, frame by frame."""

    __slots__ = (
        "_accepted",
        "_conn_id",
        "_max_control",
        "_parting",
        "_token",
        "questions",
        "refusal",
    )

    def __init__(
        self,
        role: Role,
        limits: Limits,
        refusal: RemoteError | None = None,
        token: bytes = b"",
        conn_id: str = "",
    ) -> None:
        super().__init__(role, limits)
        self.refusal = refusal
        self.questions = 0
        self._accepted = ACCEPTED[role, State.OPENING]
        self._max_control = limits.max_question if role is Role.SERVER else MAX_CONTROL
        self._parting = 0.0
        self._token = token
        self._conn_id = conn_id

    def _validate(
        self, length: int, kind: int, flags: int, reserved: int, frame_id: int
    ) -> None:
        """Raise RemoteError when this header is not allowed in the current state."""
        if (kind, flags) not in self._accepted or reserved:
            if self.state is State.CHALLENGED and not reserved:
                self._judge_unproven(kind, flags, frame_id)
            frames.judge_header(kind, flags, reserved, frame_id, self.state.name)
        is_data = (kind, flags) in frames.DATA
        limit = self.limits.max_frame if is_data else self._max_control
        frames.judge_length(length, limit, frame_id)

    def _judge_unproven(self, kind: int, flags: int, frame_id: int) -> None:
        """Raise RemoteError for a question that needs the proof of the token first."""
        if (kind, flags) in ACCEPTED[self.role, State.OPEN]:
            message = "this server demands a token, and this client has not proved it"
            raise RemoteError(Code.UNAUTHORIZED, message, {"kind": kind}, frame_id)

    def _control(self, kind: int, flags: int, frame_id: int, payload: bytes) -> Event:
        if kind == Kind.END:
            return self._take_end(flags, frame_id, payload)
        if kind == Kind.ERROR:
            failure = decode(ErrorMessage, payload, frame_id)
            self._move(Input.FAULT)
            return ErrorReceived(failure, frame_id)
        self._count_question(frame_id)
        if (kind, flags) in frames.DATA:
            return DataReceived(Kind(kind), payload, frame_id)
        if flags & ANSWER:
            message = decode(ANSWERS[kind], payload, frame_id)
        else:
            bounds = self.limits.question_bounds
            message = decode(QUESTIONS[kind], payload, frame_id, bounds)
        if kind == Kind.OPEN:
            return self._opened(message, frame_id)
        if flags & ANSWER:
            return AnswerReceived(Kind(kind), message, frame_id)
        request_limits.judge(message, self.limits, frame_id)
        if isinstance(message, CloseQuestion):
            self._close_asked(message)
        elif isinstance(message, TokenQuestion):
            self._take_proof(message, frame_id)
        return RequestReceived(Kind(kind), message, frame_id)

    def _count_question(self, frame_id: int) -> None:
        self.questions += 1
        limit = self.limits.max_questions
        if self.questions > limit:
            message = f"more than {limit} control frames"
            facts: dict[str, int | str] = {"limit": limit}
            raise RemoteError(Code.TOO_MANY_QUESTIONS, message, facts, frame_id)

    def _opened(self, message: BaseModel, frame_id: int) -> Event:
        refusal = self.refusal
        if refusal is not None:
            raise RemoteError(refusal.code, refusal.message, refusal.facts, frame_id)
        is_challenged = self.role is Role.SERVER and bool(self._token)
        self._move(Input.CHALLENGE if is_challenged else Input.OPENED)
        self._accepted = ACCEPTED[self.role, self.state]
        if self.role is Role.SERVER:
            opening = cast("Open", message)
            self._nonce = opening.nonce
            self._send(MAGIC)
            return OpenReceived(opening, frame_id)
        welcome = cast("Welcome", message)
        if self._token and shared_token.FEATURE in welcome.features:
            proof = shared_token.prove(self._token, welcome.conn_id, self._nonce)
            self.ask(Kind.TOKEN, TokenQuestion(proof=proof), 0)
        return WelcomeReceived(welcome)

    def _take_proof(self, message: TokenQuestion, frame_id: int) -> None:
        """Let the client ask, if it is one that has the token (P-88)."""
        if self.state is not State.CHALLENGED:
            return
        if not shared_token.is_proven(
            self._token, self._conn_id, self._nonce, message.proof
        ):
            text = "the client's token is not the one that this server demands"
            raise RemoteError(Code.UNAUTHORIZED, text, {}, frame_id)
        self._move(Input.PROOF)
        self._accepted = ACCEPTED[self.role, self.state]

    def _close_asked(self, message: CloseQuestion) -> None:
        """Ignore everything but the end of stream from here on (P-58)."""
        self._move(Input.PART)
        self._parting = message.delay
        if message.how == "finish":  # the answer is sent before the end, as with END
            self._move(Input.END)
            self._end_sending()

    def _take_end(self, flags: int, frame_id: int, payload: bytes) -> Event:
        if payload:
            facts: dict[str, int | str] = {"length": len(payload)}
            message = "END has no payload"
            raise RemoteError(Code.BAD_MESSAGE, message, facts, frame_id)
        if flags & ANSWER and not self._end_sent:
            frames.judge_header(Kind.END, flags, 0, frame_id, self.state.name)
        self._move(Input.END)
        if self.role is Role.SERVER:
            last = frames.serialize(Kind.END, flags=ANSWER, id=frame_id)
            self._end_sending(last)
        return EndReceived()
