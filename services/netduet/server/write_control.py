"""The sending half of a session: back-pressure, answers owed, and the ways to close.

A peer that does not read is not read either, and is reset when it has taken
nothing for too long. What it is owed is made one answer in a turn of the loop,
when there is room for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from netduet.net import kernel
from netduet.wire.connection import SEND_EOF
from netduet.wire.state_machine import State

if TYPE_CHECKING:
    from netduet.server.context import ServerContext
    from netduet.wire.connection import Connection

GRACE: Final = 0.1
"""Seconds between a deadline and its judgement: see ``Sending._wake``."""

_LOOKS: Final = 4
"""How often in a write timeout to look whether the peer reads."""


class WriteControl(asyncio.Protocol):
    """What leaves on one connection, and when it is judged or closed."""

    __slots__ = (
        "_acked",
        "_doomed",
        "_due",
        "_full",
        "_moved_at",
        "_overdue",
        "_paused_at",
        "_shared",
        "_timer",
        "_transport",
        "connection",
        "ended",
        "ended_by",
        "error",
        "loop",
    )

    _transport: asyncio.Transport
    connection: Connection
    loop: asyncio.AbstractEventLoop

    def __init__(self, shared: ServerContext) -> None:
        self._shared = shared
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._paused_at: float | None = None  # since when nothing is read
        self._full = False
        self._doomed = False
        self._moved_at: float | None = None
        self._acked = 0
        self._overdue = False
        self.ended: str | None = None
        self.ended_by: str | None = None
        self.error: BaseException | None = None

    # What the loop calls

    def pause_writing(self) -> None:
        """Stop reading from a peer that does not read: its side is full."""
        now = self.loop.time()
        self._full = True
        self._stop_reading(now)
        self._watch(now)

    def resume_writing(self) -> None:
        """Go on, unless the connection closes: then what is queued is watched still."""
        self._full = False
        if not self._transport.is_closing():
            self._moved_at = None
            # Not from here: this may be called from amidst a write of the loop's.
            self.loop.call_soon(self._go_on)

    # What is said of its own accord

    def pause_reading(self) -> None:
        """Read nothing until all that is owed has left."""
        if self._paused_at is None:
            self._stop_reading(self.loop.time())
            self.loop.call_soon(self._go_on)

    def flush(self) -> None:
        """Send what is to be sent, though nothing was read."""
        if self._paused_at is None:
            self._flush(self.loop.time())

    def reset_after_flush(self) -> None:
        """Reset the connection when all that is owed has left."""
        self._doomed = True
        self.pause_reading()

    def end(self, how: str, by: str) -> None:
        """Keep the first cause: what follows it is only how the end went."""
        if self.ended is None:
            self.ended = how
            self.ended_by = by

    # How bytes leave, and how a connection closes

    def _flush(self, now: float) -> None:
        transport = self._transport
        out = self.connection.data_to_send()
        if out and not transport.is_closing():
            transport.write(out[0] if len(out) == 1 else b"".join(out))
            if out[-1] == SEND_EOF:
                self._write_eof()
        if self.connection.state is State.CLOSED:
            self._close(now)
            return
        deadline = self.connection.deadline
        if deadline is not None and deadline < self._due:
            self._set_timer(now)

    def _go_on(self) -> None:
        """Send what waits, one answer owed in a turn of the loop; then read on.

        The peer is not late by the time in which we did not read.
        """
        if self._paused_at is None or self._full or self._transport.is_closing():
            return
        now = self.loop.time()
        self._flush(now)
        if self._full or self._transport.is_closing():
            return  # resume_writing comes back here
        if self.connection.owed:
            self.loop.call_soon(self._go_on)
        elif self._doomed:
            self._reset()
        else:
            self.connection.postpone(now - self._paused_at)
            self._paused_at = None
            self._transport.resume_reading()
            self._set_timer(now)

    def _stop_reading(self, now: float) -> None:
        if self._paused_at is None:
            self._paused_at = now
            self._transport.pause_reading()

    def _write_eof(self) -> None:
        try:
            self._transport.write_eof()
        except OSError as error:  # the peer's reset came before we read of it
            self.error = self.error or error
            self.end("reset", "client")
            self._transport.abort()

    def _close(self, now: float) -> None:
        """Close once what is queued has left; a peer that does not read is reset.

        A connection that ended by a bound of its linger is aborted: its peer
        still sends.
        """
        transport = self._transport
        if self._overdue:
            transport.abort()
        elif not transport.is_closing():
            transport.close()
            if transport.get_write_buffer_size():
                self._watch(now)

    def _reset(self) -> None:
        kernel.reset_on_close(self._descriptor())
        self._transport.abort()

    def _descriptor(self) -> int:
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    # Timers

    def _watch(self, now: float) -> None:
        """Begin to watch whether the peer reads what waits for it."""
        self._moved_at = now
        self._acked = kernel.bytes_acked(self._descriptor())
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        """Wake at the deadline that now holds: the wire's, or a look at a stalled write."""
        if self._moved_at is not None:
            timeout = self._shared.write_timeout
            self._arm(min(now + timeout / _LOOKS, self._moved_at + timeout))
        elif self.connection.deadline is not None:
            self._arm(self.connection.deadline)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self.loop.call_at(due, self._wake)

    def _wake(self) -> None:
        """Have the deadline judged when the loop has read once more.

        Where the process did not run for a while (a stopped container, a busy
        host), a loop may run its timers before it reads, and a peer would be
        blamed for our own silence.
        """
        self._timer = self.loop.call_later(GRACE, self._judge)

    def _judge(self) -> None:
        raise NotImplementedError

    def _judge_stall(self, now: float) -> None:
        """Reset a peer that has taken nothing for the whole write timeout.

        What the peer acknowledges is what counts: the kernel's buffer has room
        again only when a third of it is free, megabytes later.
        """
        acked = kernel.bytes_acked(self._descriptor())
        if acked > self._acked:
            self._moved_at, self._acked = now, acked
        elif now >= cast("float", self._moved_at) + self._shared.write_timeout:
            self._shared.counters.limit("write")
            self.end("limit.write", "server")
            self._reset()
            return
        deadline = self.connection.deadline
        if deadline is not None and self._transport.get_write_buffer_size() == 0:
            self._moved_at = None
            self.connection.postpone(now + self._shared.limits.linger - deadline)
        self._set_timer(now)
