"""Requests of one connection that take time.

SOURCE: answers made piece by piece. HOLD: an idle connection, which the server may end
by an answer. CLOSE: the ways to close a connection that a test asks for. ``handlers``
has the requests that are answered at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

from netduet.wire import payload_pattern
from netduet.wire.frames import Kind
from netduet.wire.messages import (
    CloseQuestion,
    HoldAnswer,
    HoldQuestion,
    SourceQuestion,
)
from netduet.wire.sender import PIECE_BYTES
from netduet.wire.state_machine import State

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

    from netduet.server.write_control import WriteControl

Request = SourceQuestion | HoldQuestion | CloseQuestion


class DelayedHandlers:
    """The delayed requests of one connection, and their timers."""

    __slots__ = ("_close_after_eof", "_timers", "_writer")

    def __init__(self, writer: WriteControl) -> None:
        self._writer = writer
        self._timers: set[TimerHandle] = set()
        self._close_after_eof: tuple[CloseQuestion, int] | None = None

    def start(self, request: Request, frame_id: int) -> None:
        """Start a request; the protocol has checked it against the limits."""
        writer = self._writer
        match request:
            case SourceQuestion(size=size, seed=seed):
                writer.wire.promise(Kind.SOURCE, size, seed, frame_id)
                writer.pause_reading()
            case HoldQuestion(seconds=seconds, speak=speak):
                self._answer_hold(frame_id, spoke=False)
                if speak:
                    speak_later = partial(self._answer_hold, frame_id, spoke=True)
                    self._call_later(seconds, speak_later)
            case CloseQuestion(how="finish"):
                writer.end("asked.finish", "server")
                self._answer_close(request, frame_id)
            case CloseQuestion(how="reset"):
                writer.end("asked.reset", "server")
                writer.reset_after_flush()
            case CloseQuestion():
                self._close_after_eof = (request, frame_id)
            case _:
                assert_never(request)

    def eof_received(self) -> None:
        """Start the close that was asked for after the client's FIN, if there is one."""
        if self._close_after_eof is not None:
            self._writer.end("asked.after_eof", "client")
            request, frame_id = self._close_after_eof
            self._call_later(request.delay, partial(self._close, request, frame_id))

    def cancel(self) -> None:
        """Cancel all timers: the connection is lost."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _call_later(self, delay: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            action()
            self._writer.flush()

        timer = self._writer.loop.call_later(delay, run)
        self._timers.add(timer)

    def _answer_hold(self, frame_id: int, *, spoke: bool) -> None:
        self._writer.wire.answer(Kind.HOLD, HoldAnswer(spoke=spoke), frame_id)

    def _close(self, request: CloseQuestion, frame_id: int) -> None:
        wire = self._writer.wire
        if wire.state is State.PARTED:
            self._answer_close(request, frame_id)
            wire.half_close()

    def _answer_close(self, request: CloseQuestion, frame_id: int) -> None:
        wire, size, seed = self._writer.wire, request.size, request.seed
        if size > PIECE_BYTES:
            wire.promise(Kind.CLOSE, size, seed, frame_id)
            self._writer.pause_reading()
        else:
            wire.answer(Kind.CLOSE, payload_pattern.make(size, seed), frame_id)
