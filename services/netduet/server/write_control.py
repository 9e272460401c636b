"""The write side of a TCP connection: back-pressure, timers, and how it closes.

The server does not read from a peer that does not read, and resets a peer that
acknowledges too little for the write timeout. Promised answers are made one per loop
turn, piece by piece, when the write buffer has room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from netduet.net import kernel
from netduet.net.tcp_info import bytes_acked
from netduet.server.tls import CERTIFICATE
from netduet.wire.connection import SEND_EOF
from netduet.wire.sender import PROMISE_BYTES
from netduet.wire.state_machine import State

if TYPE_CHECKING:
    import asyncio

    from netduet.server.context import ServerContext
    from netduet.wire.connection import Connection

DEADLINE_GRACE: Final = 0.1
"""Seconds between a deadline and its check: see ``WriteControl._on_timer``."""

STALL_CHECKS_PER_TIMEOUT: Final = 10
"""How often within a write timeout to check whether the peer reads."""

MIN_PROGRESS_BYTES: Final = 4096
"""Bytes that a peer must acknowledge within the write timeout.

One that reads nothing still takes a few segments, by window probes (RFC 9293
§3.8.6.1)."""

_ROOM_SECONDS: Final = 0.05
"""Seconds until an answer that waits for room is tried again."""

_LINGERING: Final = frozenset({State.GREETED, State.LINGER})


class WriteControl:
    """Sends the answers of one connection, and closes or resets it when its time is over.

    It belongs to a ``TcpConnection``, which passes the loop's callbacks on. ``expire``
    is called with the loop's time when a deadline of the protocol has passed. ``ended``
    and ``ended_by`` are the first reason for the end of the connection, and ``error``
    the first error.
    """

    __slots__ = (
        "_acked",
        "_buffer_full",
        "_context",
        "_due",
        "_expire",
        "_paused_at",
        "_reset_when_flushed",
        "_room_timer",
        "_stalled_before",
        "_stalled_since",
        "_timer",
        "_transport",
        "_written",
        "abort_on_close",
        "ended",
        "ended_by",
        "error",
        "keepalive",
        "loop",
        "wire",
    )

    def __init__(
        self,
        context: ServerContext,
        transport: asyncio.Transport,
        wire: Connection,
        loop: asyncio.AbstractEventLoop,
        expire: Callable[[float], None],
    ) -> None:
        """Control the writes of an accepted connection; no timer is set yet."""
        self._context = context
        self._transport = transport
        self._expire: Callable[[float], None] | None = expire
        self.wire = wire
        self.loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._paused_at: float | None = None  # since when reading is paused
        self._buffer_full = False
        self._written = 0  # bytes of the last write
        self._reset_when_flushed = False
        self._room_timer: asyncio.TimerHandle | None = None
        self._stalled_since: float | None = None
        # Of the write buffer before, if nothing was read from the peer in between.
        self._stalled_before: float | None = None
        self._acked = 0
        self.abort_on_close = False
        """Abort when the protocol is done, because the peer still sends."""
        self.keepalive = True
        """Whether the kernel probes a silent peer, as the listener has set it."""
        self.ended: str | None = None
        self.ended_by: str | None = None
        self.error: BaseException | None = None
        transport.set_write_buffer_limits(high=context.write_buffer)

    # Callbacks of the loop, passed on

    def pause_writing(self) -> None:
        """Stop reading: the peer does not read, and the write buffer is full."""
        now = self.loop.time()
        self._buffer_full = True
        self._stop_reading(now)
        self._watch_stall(now)

    def resume_writing(self) -> None:
        """Continue; if the connection is closing, keep watching what is queued."""
        self._buffer_full = False
        if not self._transport.is_closing():
            self._stalled_before, self._stalled_since = self._stalled_since, None
            # Not from here: the loop may call this in the middle of a write.
            self.loop.call_soon(self._continue)

    def detach(self) -> None:
        """Cancel the timer and drop the callback: the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._room_timer is not None:
            self._room_timer.cancel()
        self._expire = None

    # For the connection and its delayed handlers

    def send(self, now: float) -> None:
        """Send what the protocol has queued, and close if it is done.

        Answers that are to be made wait while the budget of buffers is used up.
        """
        if self._context.buffers.is_full and self.wire.owed:
            self._wait_for_room()
            return
        transport = self._transport
        out = self.wire.data_to_send()
        if out and not transport.is_closing():
            data = out[0] if len(out) == 1 else b"".join(out)
            self._written = len(data)
            transport.write(data)
            if out[-1] == SEND_EOF:
                self._write_eof()
        if self.wire.state is State.CLOSED and not self.wire.owed:
            self._close(now)
            return
        deadline = self.wire.deadline
        if deadline is not None and deadline < self._due:
            self.set_timer(now)

    def flush(self) -> None:
        """Send what is queued, without a read before it; not while paused."""
        if self._paused_at is None:
            self.send(self.loop.time())

    def pause_reading(self) -> None:
        """Stop reading until everything owed is sent."""
        if self._paused_at is None:
            self._stop_reading(self.loop.time())
            self.loop.call_soon(self._continue)

    def reset_after_flush(self) -> None:
        """Reset the connection once everything owed is sent."""
        self._reset_when_flushed = True
        self.pause_reading()

    def end(self, reason: str, by: str) -> None:
        """Set why and by whom the connection ends; only the first call counts."""
        if self.ended is None:
            self.ended = reason
            self.ended_by = by

    def fail(self, error: BaseException) -> None:
        """Keep the first error."""
        self.error = self.error or error

    def close(self) -> None:
        """Close the connection once its write buffer is empty."""
        self._transport.close()

    def reset(self) -> None:
        """Reset the connection now."""
        kernel.reset_on_close(self.descriptor())
        self._transport.abort()

    def set_keepalive(self, *, is_on: bool) -> None:
        """Have the kernel probe a silent peer or not; HOLD is for real silence."""
        if is_on is not self.keepalive:
            self.keepalive = is_on
            kernel.set_keepalive(self.descriptor(), is_on=is_on)

    def descriptor(self) -> int:
        """Return the socket's descriptor."""
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    def certificate(self) -> str:
        """Return the fingerprint of the certificate that is presented, "" without TLS."""
        return self._transport.get_extra_info(CERTIFICATE) or ""

    def reset_soon(self) -> None:
        """Reset the connection in the next turn: the loop may be in a write of it."""
        self.loop.call_soon(self._reset_if_open)

    def _reset_if_open(self) -> None:
        if self._expire is not None:
            self.reset()

    @property
    def is_paused(self) -> bool:
        """Whether reading is paused because something is owed."""
        return self._paused_at is not None

    @property
    def unsent(self) -> int:
        """Bytes kept because the kernel has not taken all, and what answers owed cost.

        Of a write that the kernel has taken in part, all is kept. What is less than the
        limit of the write buffer is not counted.
        """
        owed = self.wire.owed * PROMISE_BYTES
        if not self._buffer_full:
            return owed
        return owed + max(self._transport.get_write_buffer_size(), self._written)

    @property
    def idle(self) -> bool:
        """Whether nothing is owed or in flight, and the connection is not closing."""
        return (
            self._paused_at is None
            and self._transport.get_write_buffer_size() == 0
            and not self._transport.is_closing()
        )

    def set_timer(self, now: float) -> None:
        """Set the timer to the next deadline: the protocol's, or a stall check."""
        if self._stalled_since is not None:
            timeout = self._context.write_timeout
            next_check = now + timeout / STALL_CHECKS_PER_TIMEOUT
            self._arm(min(next_check, self._stalled_since + timeout))
        elif self.wire.deadline is not None:
            self._arm(self.wire.deadline)

    # Writing and closing

    def _continue(self) -> None:
        """Send the next answer owed, one per loop turn; then read again.

        The time in which the server did not read does not count against the peer.
        """
        if self._paused_at is None or self._buffer_full or self._transport.is_closing():
            return
        now = self.loop.time()
        while True:
            self.send(now)
            if self._room_timer is not None:
                return  # until there is room
            if self._buffer_full or self._transport.is_closing():
                return  # until resume_writing
            if not self.wire.is_amid_answer:
                break  # else at once: the pattern of the answer is still at hand
        if self.wire.owed:
            self.loop.call_soon(self._continue)
        elif self._reset_when_flushed:
            self.reset()
        else:
            self.wire.postpone(now - self._paused_at)
            self._paused_at = self._stalled_before = None
            self._transport.resume_reading()
            self.set_timer(now)

    def _wait_for_room(self) -> None:
        if self._room_timer is None:
            self._room_timer = self.loop.call_later(_ROOM_SECONDS, self._on_room)

    def _on_room(self) -> None:
        self._room_timer = None
        self._continue()

    def _stop_reading(self, now: float) -> None:
        if self._paused_at is None:
            self._paused_at = now
            self._transport.pause_reading()

    def _write_eof(self) -> None:
        try:
            self._transport.write_eof()
        except OSError as error:  # the peer reset the connection; not yet read
            self.fail(error)
            self.end("reset", "client")
            self._transport.abort()

    def _close(self, now: float) -> None:
        """Close once the write buffer is empty; reset a peer that does not read.

        A connection that reached a limit of its linger is aborted, because its peer
        still sends.
        """
        transport = self._transport
        if self.abort_on_close:
            transport.abort()
        elif not transport.is_closing():
            transport.close()
            if transport.get_write_buffer_size():
                self._watch_stall(now)

    # Timers

    def _watch_stall(self, now: float) -> None:
        """Start to check whether the peer reads what is queued for it.

        The kernel may take more though the peer reads nothing: then go on checking.
        """
        acked, since = bytes_acked(self.descriptor()), self._stalled_before
        if since is not None and acked < self._acked + MIN_PROGRESS_BYTES:
            self._stalled_since = since
        else:
            self._stalled_since, self._acked = now, acked
        self.set_timer(now)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self.loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        """Check the deadline after the loop has read once more.

        If the process did not run for a while (a paused container, a busy host), a loop
        may run its timers before it reads, and would blame the peer for the server's
        own stall.
        """
        self._timer = self.loop.call_later(DEADLINE_GRACE, self._check_deadline)

    def _check_deadline(self) -> None:
        """Act on a deadline, unless it has moved since the timer was set."""
        self._timer = None
        now = self.loop.time()
        queued = self._transport.get_write_buffer_size() > 0
        if self._stalled_since is not None:
            self._check_stall(now)
        elif queued and self.wire.state in _LINGERING:
            self._watch_stall(now)  # the linger starts when the last byte is sent
        elif self._paused_at is None and self._expire is not None:
            self._expire(now)
        if self._timer is None and not self._transport.is_closing():
            self.set_timer(now)

    def _check_stall(self, now: float) -> None:
        """Reset a peer that has acknowledged too little for the whole write timeout.

        Acknowledged bytes are what counts: the kernel reports room in its buffer again
        only when a third of it is free, megabytes later.
        """
        acked = bytes_acked(self.descriptor())
        stalled_since = cast("float", self._stalled_since)
        if acked >= self._acked + MIN_PROGRESS_BYTES:
            self._stalled_since, self._acked = now, acked
        elif now >= stalled_since + self._context.write_timeout:
            self._context.counters.limit("write")
            self.end("limit.write", "server")
            self.reset()
            return
        deadline = self.wire.deadline
        if deadline is not None and self._transport.get_write_buffer_size() == 0:
            self._stalled_since = None
            self.wire.postpone(now + self._context.limits.linger - deadline)
        self.set_timer(now)
