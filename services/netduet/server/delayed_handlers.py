"""Requests of one connection that take time.

SOURCE: answers made piece by piece. HOLD: an idle connection, which the server may end
by an answer. CLOSE: the ways to close a connection that a test asks for. ``handlers``
has the requests that are answered at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

from netduet.server.holds import Holds
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

    from netduet.server.holds import HoldBudget
    from netduet.server.write_control import WriteControl
    from netduet.wire.errors import RemoteError

Request = SourceQuestion | HoldQuestion | CloseQuestion


class DelayedHandlers:
    """The delayed requests of one connection, and their timers."""

    __slots__ = ("_close_after_eof", "_close_timer", "_writer", "holds")

    def __init__(
        self,
        writer: WriteControl,
        budget: HoldBudget,
        refuse: Callable[[str, RemoteError], None],
    ) -> None:
        """Answer over ``writer``; ``refuse`` ends the connection for a limit."""
        self._writer = writer
        self._close_timer: TimerHandle | None = None
        self._close_after_eof: tuple[CloseQuestion, int] | None = None
        self.holds = Holds(writer.loop, budget, self._end_holds, refuse)
        """The holds that the server is to end."""

    def start(self, request: Request, frame_id: int) -> None:
        """Start a request; the protocol has checked it against the limits."""
        writer = self._writer
        match request:
            case SourceQuestion(size=size, seed=seed):
                writer.wire.promise(Kind.SOURCE, size, seed, frame_id)
                writer.pause_reading()
            case HoldQuestion(seconds=seconds, speak=speak):
                if speak and not self.holds.add(seconds, frame_id):
                    return
                self._answer_hold(frame_id, spoke=False)
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
            close = partial(self._close, request, frame_id)
            self._close_timer = self._writer.loop.call_later(request.delay, close)

    def cancel(self) -> None:
        """Cancel all timers: the connection is lost."""
        self.holds.cancel()
        if self._close_timer is not None:
            self._close_timer.cancel()

    def _end_holds(self, frame_ids: list[int]) -> None:
        for frame_id in frame_ids:
            self._answer_hold(frame_id, spoke=True)
        self._writer.flush()

    def _answer_hold(self, frame_id: int, *, spoke: bool) -> None:
        self._writer.wire.answer(Kind.HOLD, HoldAnswer(spoke=spoke), frame_id)

    def _close(self, request: CloseQuestion, frame_id: int) -> None:
        wire = self._writer.wire
        if wire.state is State.PARTED:
            self._answer_close(request, frame_id)
            wire.half_close()
        self._writer.flush()

    def _answer_close(self, request: CloseQuestion, frame_id: int) -> None:
        wire, size, seed = self._writer.wire, request.size, request.seed
        if size > PIECE_BYTES:
            wire.promise(Kind.CLOSE, size, seed, frame_id)
            self._writer.pause_reading()
        else:
            wire.answer(Kind.CLOSE, payload_pattern.make(size, seed), frame_id)
