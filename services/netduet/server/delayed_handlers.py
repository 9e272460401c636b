"""What one connection asks for that takes time.

Answers that are made one by one (SOURCE), a silence that the server breaks (HOLD),
and ends of the connection in ways that a test asks for (CLOSE). What can be
answered at once is in ``behaviours``; the socket is the owner's, a session.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, assert_never

from netduet.wire import payload_pattern
from netduet.wire.frames import Kind
from netduet.wire.messages import (
    CloseQuestion,
    HoldAnswer,
    HoldQuestion,
    SourceQuestion,
)
from netduet.wire.state_machine import State

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

    from netduet.wire.connection import Connection

Request = SourceQuestion | HoldQuestion | CloseQuestion


class RequestOwner(Protocol):
    """What requests need of the session whose they are."""

    loop: AbstractEventLoop
    connection: Connection

    def pause_reading(self) -> None:
        """Read nothing until all that is owed has left."""

    def flush(self) -> None:
        """Send what is to be sent, though nothing was read."""

    def reset_after_flush(self) -> None:
        """Reset the connection when all that is owed has left."""

    def end(self, how: str, by: str) -> None:
        """Say how the connection ends, and by whom; the first word counts."""


class DelayedHandlers:
    """The requests of one connection, and the timers of those that wait."""

    __slots__ = ("_farewell", "_owner", "_timers")

    def __init__(self, owner: RequestOwner) -> None:
        """Bind to the session that is asked."""
        self._owner = owner
        self._timers: set[TimerHandle] = set()
        self._farewell: tuple[CloseQuestion, int] | None = None

    def take(self, request: Request, frame_id: int) -> None:
        """Do what is asked for; the wire has judged that the limits allow it."""
        owner = self._owner
        match request:
            case SourceQuestion(size=size, seed=seed):
                make = partial(payload_pattern.make, size, seed)
                owner.connection.promise(Kind.SOURCE, make, frame_id)
                owner.pause_reading()
            case HoldQuestion(seconds=seconds, speak=speak):
                self._spoke(frame_id, spoke=False)
                if speak:
                    self._later(seconds, partial(self._spoke, frame_id, spoke=True))
            case CloseQuestion(how="finish"):
                owner.end("asked.finish", "server")
                self._answer_close(request, frame_id)
            case CloseQuestion(how="reset"):
                owner.end("asked.reset", "server")
                owner.reset_after_flush()
            case CloseQuestion():
                self._farewell = (request, frame_id)
            case _:
                assert_never(request)

    def take_eof(self) -> None:
        """Go on with an end that was to come after the client's own, if one was."""
        if self._farewell is not None:
            self._owner.end("asked.after_eof", "client")
            request, frame_id = self._farewell
            self._later(request.delay, partial(self._part, request, frame_id))

    def cancel(self) -> None:
        """Forget what waits: the connection is gone."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        """Act after a delay, and send what comes of it."""

        def due() -> None:
            self._timers.discard(timer)
            act()
            self._owner.flush()

        timer = self._owner.loop.call_later(delay, due)
        self._timers.add(timer)

    def _spoke(self, frame_id: int, *, spoke: bool) -> None:
        self._owner.connection.answer(Kind.HOLD, HoldAnswer(spoke=spoke), frame_id)

    def _part(self, request: CloseQuestion, frame_id: int) -> None:
        connection = self._owner.connection
        if connection.state is State.PARTED:
            self._answer_close(request, frame_id)
            connection.half_close()

    def _answer_close(self, request: CloseQuestion, frame_id: int) -> None:
        pattern = payload_pattern.make(request.size, request.seed)
        self._owner.connection.answer(Kind.CLOSE, pattern, frame_id)
