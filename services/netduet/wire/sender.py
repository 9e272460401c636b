"""The sending half of a connection: its queue, its counters, and the ways to end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from netduet.wire import echo, frames, payload_pattern
from netduet.wire.errors import LocalError, RemoteError
from netduet.wire.events import EchoReceived, PeerFailed
from netduet.wire.frames import ANSWER, FLAGS_OFFSET, HEADER, MAGIC, MAX_CONTROL, Kind
from netduet.wire.messages import ErrorMessage, Open, Welcome, encode
from netduet.wire.state_machine import TRANSITIONS, Input, Limits, Role, State

SEND_EOF: Final = b""
"""In ``data_to_send``: end the sending side here."""


PIECE_BYTES: Final = 192 * 1024
"""Bytes of a promised answer that are made at a time: what a peer that does not read
can make this end keep."""


PROMISE_BYTES: Final = 256
"""Bytes that an answer costs while it is owed, about."""


@dataclass(slots=True)
class _PromisedPattern:
    """An answer that is made in pieces, and the bytes that are to be sent before it.

    A client may ask for a thousand, so this is small.
    """

    before: Sequence[bytes | bytearray]
    kind: Kind
    size: int
    seed: int
    frame_id: int
    made: int = 0


class Sender:
    """What one end sends, and the state that both halves of a connection share.

    The end of the sending is kept apart from the queue: answers that are made while the
    events of one read are handled come before an END or ERROR frame caused by the same
    read.
    """

    __slots__ = (
        "_end_sent",
        "_ended",
        "_ending",
        "_nonce",
        "_out",
        "_owing",
        "bytes_sent",
        "deadline",
        "frames_sent",
        "limits",
        "plain",
        "role",
        "state",
    )

    def __init__(self, role: Role, limits: Limits) -> None:
        self.role = role
        self.limits = limits
        self.state = State.START
        self._nonce = ""
        self.plain = False
        self.deadline: float | None = None
        self.bytes_sent = 0
        self.frames_sent = 0
        self._out: list[bytes | bytearray] = []
        self._owing: deque[_PromisedPattern] = deque()
        self._end_sent = False
        self._ending: list[bytes] | None = None
        self._ended = False

    @property
    def owed(self) -> int:
        """The number of promised answers that are not wholly made yet."""
        return len(self._owing)

    @property
    def is_amid_answer(self) -> bool:
        """Whether a part of a promised answer is made, and the rest is not."""
        return bool(self._owing) and self._owing[0].made > 0

    def data_to_send(self) -> list[bytes | bytearray]:
        """Return the bytes to send; SEND_EOF as the last item ends the sending.

        Call it once all events have been handled: the end of the sending (an END or
        ERROR frame, SEND_EOF) comes after the answers. It makes at most one piece of a
        promised answer, of ``PIECE_BYTES``: while answers are ``owed``, call it again
        when there is room for one.
        """
        out = self._out
        if self._owing:
            out = self._send_promised()
            if self._owing:
                return out
            out += self._out
        self._out = []
        if self._ending is not None and not self._ended:
            self._ended = True
            out += self._ending
        return out

    # Server

    def echo(self, event: EchoReceived) -> None:
        """Server: echo a run of ECHO frames; nothing once our sending has ended."""
        if self._ended:
            return
        answer = bytearray(event.run)
        size = len(answer)
        if size == event.size:
            answer[FLAGS_OFFSET] = ANSWER
            self.frames_sent += 1
        else:
            echo.mark(answer, event)
            self.frames_sent += event.count
        self.bytes_sent += size
        self._out.append(answer)

    def welcome(self, message: Welcome, frame_id: int) -> None:
        """Server: answer the opening."""
        self.answer(Kind.OPEN, message, frame_id)

    def answer(self, kind: Kind, payload: BaseModel | bytes, frame_id: int) -> None:
        """Server: answer a question; nothing once our sending has ended."""
        self._demand_opened()
        if not self._ended:
            self._send_frame(self._encoded(kind, payload, ANSWER, frame_id))

    def promise(self, kind: Kind, size: int, seed: int, frame_id: int) -> None:
        """Server: answer with a pattern that is made only when it can be sent.

        So a peer that asks for much and does not read costs little memory.
        """
        self._demand_opened()
        self._judge_size(kind, size, ANSWER)
        if not self._ended:
            before, self._out = self._out or (), []
            self._owing.append(_PromisedPattern(before, kind, size, seed, frame_id))

    def refuse(self, error: RemoteError, now: float) -> None:
        """Server: end an open connection with an error (drain, a limit)."""
        self._demand(Role.SERVER)
        if self.state in (State.OPENING, State.CHALLENGED, State.OPEN):
            self._fail(error, now)

    def half_close(self) -> None:
        """Server: end the sending after the client has ended its own."""
        self._demand(Role.SERVER, State.PARTED)
        self._move(Input.END)
        self._end_sending()
        self.deadline = None

    # Client

    def open(self, message: Open, now: float, run_id: int = 0) -> None:
        """Client: send the magic and the opening; ``run_id`` names a run (P-77)."""
        self._demand(Role.CLIENT, State.START)
        self._nonce = message.nonce
        self._move(Input.MAGIC)
        self.deadline = now + self.limits.opening
        self._send(MAGIC)
        self._send_frame(frames.serialize(Kind.OPEN, encode(message), id=run_id))
        if self.plain:  # another program sent bytes before we did
            self._set_foreign()

    def ask(self, kind: Kind, payload: BaseModel | bytes, frame_id: int) -> None:
        """Client: ask; bytes for a data kind, a message for a control kind."""
        self._demand(Role.CLIENT, State.OPEN)
        if self._end_sent:
            raise LocalError("asking after END")
        self._send_frame(self._encoded(kind, payload, 0, frame_id))

    def say(self, text: bytes) -> None:
        """Client: send plain text."""
        self._demand(Role.CLIENT, State.START)
        self._send(text)

    def end(self) -> None:
        """Client: end the stream with an END frame."""
        self._demand(Role.CLIENT, State.OPEN)
        if not self._end_sent:
            self._end_sent = True
            self._send_frame(frames.serialize(Kind.END))

    def end_sending(self) -> None:
        """Client: end the sending by end of stream alone, without END."""
        self._demand(Role.CLIENT, State.OPEN)
        self._end_sent = True
        self._end_sending()

    # Ways to end

    def _fail(self, error: RemoteError, now: float) -> PeerFailed:
        if self.role is Role.SERVER:
            self._end_with_error(error)
        self._move(Input.FAULT)
        self._linger(now)
        return PeerFailed(error.without_origin())

    def _end_with_error(self, error: RemoteError) -> None:
        payload = encode(ErrorMessage.of(error))
        last = frames.serialize(Kind.ERROR, payload, id=error.frame_id)
        self._end_sending(last if self.bytes_sent else MAGIC + last)

    def _linger(self, now: float) -> None:
        self._end_sending()
        self.deadline = now + self.limits.linger

    def _end_sending(self, last: bytes = b"") -> None:
        """End the sending, once; ``last`` is the END or ERROR frame, if any."""
        if self._ending is None:
            self._ending = [last, SEND_EOF] if last else [SEND_EOF]
            self.bytes_sent += len(last)
            self.frames_sent += bool(last)

    # Helpers

    def _send_promised(self) -> list[bytes | bytearray]:
        """Make the next piece; the first one comes after the bytes queued before it."""
        answer = self._owing[0]
        size, start = answer.size, answer.made
        stop = min(start + PIECE_BYTES, size)
        view = payload_pattern.piece(size, answer.seed, start, stop)
        out: list[bytes | bytearray] = []
        if start == 0:
            header = HEADER.pack(size, answer.kind, ANSWER, 0, answer.frame_id)
            piece = b"".join((header, view))
            out += answer.before
            answer.before = ()
        else:
            piece = bytes(view)
        answer.made = stop
        self.bytes_sent += len(piece)
        out.append(piece)
        if stop == size:
            self._owing.popleft()
            self.frames_sent += 1
        return out

    def _set_foreign(self) -> None:
        self.plain = True
        self._move(Input.TEXT)
        self.deadline = None

    def _move(self, cause: Input) -> None:
        self.state = TRANSITIONS[self.state][cause]

    def _demand(self, role: Role, state: State | None = None) -> None:
        if self.role is not role or (state is not None and self.state is not state):
            wanted = f"{role.name} in {state.name if state else 'any state'}"
            raise LocalError(f"{self.role.name} in {self.state.name}: needs {wanted}")

    def _demand_opened(self) -> None:
        self._demand(Role.SERVER)
        if self.plain or self.state in (State.START, State.OPENING):
            raise LocalError(f"nothing to answer in {self.state.name}")

    def _encoded(
        self, kind: Kind, payload: BaseModel | bytes, flags: int, frame_id: int
    ) -> bytes:
        data = payload if isinstance(payload, bytes) else encode(payload)
        self._judge_size(kind, len(data), flags)
        return frames.serialize(kind, data, flags=flags, id=frame_id)

    def _judge_size(self, kind: Kind, size: int, flags: int) -> None:
        is_data = (kind, flags) in frames.DATA
        limit = self.limits.max_frame if is_data else MAX_CONTROL
        if size > limit:
            raise LocalError(f"{kind.name} of {size} bytes: at most {limit}")

    def _send_frame(self, frame: bytes) -> None:
        self._send(frame)
        self.frames_sent += 1

    def _send(self, data: bytes) -> None:
        if self._ended:
            raise LocalError("sending after the end of sending")
        if data:  # an empty item would be SEND_EOF
            self.bytes_sent += len(data)
            self._out.append(data)
