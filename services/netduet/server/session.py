"""One TCP connection: the socket to the wire and back, its timers, its record.

No bytes are parsed here, and no question is answered here. What this file knows
is the transport: writing in one call what a read gave rise to, back-pressure,
the deadlines, and the ways to close.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from netduet import kernel
from netduet.server.admission import Admission, Admitted
from netduet.server.behaviours import Address, Asker, Behaviours, new_id
from netduet.server.ledger import Entry, Ledger
from netduet.wire.connection import SEND_EOF, Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    Asked,
    DataReceived,
    EchoReceived,
    EndReceived,
    EofReceived,
    Event,
    Expired,
    Greeted,
    OpenReceived,
    PeerFailed,
)
from netduet.wire.frames import Kind
from netduet.wire.messages import CloseQuestion, HoldAnswer, HoldQuestion
from netduet.wire.states import Limits, Role, State

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.server.counters import Counters
    from netduet.server.records import Records

GRACE: Final = 0.1
"""Seconds between a deadline and its judgement: see ``Session._wake``."""

_QUIET: Final = 1.0
"""Seconds without a byte after which a drain no longer waits for a peer."""

_LOOKS: Final = 4
"""How often in a write timeout to look whether the peer reads."""

_ENDING: Final = frozenset({State.GREETED, State.LINGER})


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a server share. Times in seconds, sizes in bytes."""

    limits: Limits
    refusal_limits: Limits
    greeting: bytes
    write_buffer: int
    write_timeout: float
    behaviours: Behaviours
    ledger: Ledger
    admission: Admission
    counters: Counters
    records: Records
    sessions: set[Session]


class Session(asyncio.Protocol):
    """A connection that was accepted."""

    __slots__ = (
        "_acked",
        "_due",
        "_entry",
        "_farewell",
        "_heard",
        "_moved_at",
        "_overdue",
        "_paused_at",
        "_shared",
        "_speaker",
        "_timer",
        "_transport",
        "admitted",
        "began",
        "connection",
        "ended",
        "ended_by",
        "error",
        "listener",
        "local",
        "loop",
        "peer",
    )

    def __init__(self, shared: Shared, listener: int | None) -> None:
        """Prepare; ``listener`` is the descriptor of the socket that accepts."""
        self._shared = shared
        self._entry: Entry | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._speaker: asyncio.TimerHandle | None = None
        self._farewell: tuple[float, BaseModel | bytes, int] | None = None
        self._due = 0.0
        self._heard = 0.0
        self._paused_at: float | None = None
        self._moved_at: float | None = None
        self._acked = 0
        self._overdue = False
        self.listener = listener
        self.began = 0.0
        self.ended: str | None = None
        self.ended_by: str | None = None
        self.error: BaseException | RemoteError | None = None

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit or refuse the connection, and wait for its first byte."""
        shared = self._shared
        self._transport = cast("asyncio.Transport", transport)
        self.loop = asyncio.get_running_loop()
        self.peer = _address(transport.get_extra_info("peername"))
        self.local = _address(transport.get_extra_info("sockname"))
        self.began = time.monotonic()
        self._heard = now = self.loop.time()
        self.admitted = shared.admission.enter(self.peer[0])
        shared.counters.accepted += 1
        shared.sessions.add(self)
        refusal = _refusal(self.admitted, shared.admission)
        self.connection = Connection(
            Role.SERVER,
            shared.limits if refusal is None else shared.refusal_limits,
            now,
            greeting=shared.greeting,
            refusal=refusal,
        )
        self._transport.set_write_buffer_limits(high=shared.write_buffer)
        if refusal is not None:
            shared.records.refused(self, now)
        if self.admitted is Admitted.TURNED_AWAY:
            self._end("refused", "server")
            self._reset()
        else:
            self._set_timer(now)

    def data_received(self, data: bytes) -> None:
        """Answer everything that one read brought in one write."""
        connection = self.connection
        self._heard = now = self.loop.time()
        for event in connection.receive_data(data, now):
            if type(event) is EchoReceived:
                connection.echo(event)
            else:
                self._take(event)
        self._flush(now)

    def eof_received(self) -> bool:
        """Answer what is left; True keeps our own side of the connection open."""
        self._heard = now = self.loop.time()
        for event in self.connection.receive_eof(now):
            self._take(event)
        self._flush(now)
        return True

    def pause_writing(self) -> None:
        """Stop reading from a peer that does not read: its side is full."""
        self._paused_at = now = self.loop.time()
        self._transport.pause_reading()
        self._watch(now)

    def resume_writing(self) -> None:
        """Read on; the peer is not late by the time in which we did not."""
        now = self.loop.time()
        self.connection.postpone(now - cast("float", self._paused_at))
        self._paused_at = self._moved_at = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._set_timer(now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count out, freeze the ledger's entry, record."""
        shared = self._shared
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._speaker is not None:
            self._speaker.cancel()
        if exc is not None:
            self.error = self.error or exc
            self._end("reset", "client")
        self._end("eof", "client")
        if self._entry is not None:
            self._entry.close(time.monotonic(), self.ended or "", self.ended_by or "")
        shared.admission.leave(self.peer[0])
        shared.sessions.discard(self)
        shared.records.ended(self)

    # What the server and its records ask

    @property
    def conn_id(self) -> str | None:
        """The id that the opening was answered with, None before one."""
        return None if self._entry is None else self._entry.conn_id

    @property
    def duration(self) -> float:
        """Seconds since the connection was accepted."""
        return time.monotonic() - self.began

    @property
    def quiet(self) -> bool:
        """Whether a drain need not wait for this peer: nothing is in flight."""
        return (
            self.loop.time() - self._heard > _QUIET
            and self._transport.get_write_buffer_size() == 0
            and not self._transport.is_closing()
        )

    def drain(self) -> None:
        """End a quiet connection, telling a framed peer why; one that was told, close."""
        self._end("drained", "server")
        if self.connection.state not in (State.OPENING, State.OPEN):
            self._transport.close()
            return
        self._heard = now = self.loop.time()
        error = RemoteError(Code.DRAINING, "the server is shutting down")
        self.connection.refuse(error, now)
        self._flush(now)

    def reset(self) -> None:
        """Reset the connection on purpose: its time is over."""
        self._end("drained", "server")
        self._reset()

    # How events are taken

    def _take(self, event: Event) -> None:
        shared = self._shared
        match event:
            case OpenReceived(message, frame_id):
                self._open()
                conn_id = cast("Entry", self._entry).conn_id
                welcome = shared.behaviours.welcome(
                    message, conn_id, self.peer, self.local
                )
                self.connection.welcome(welcome, frame_id)
            case Asked(kind, message, frame_id):
                self._answer(kind, message, frame_id)
            case DataReceived(kind, payload, frame_id):
                arrived = shared.behaviours.sink(payload)
                self.connection.answer(kind, arrived, frame_id)
            case Greeted():
                self._end("greeted", "server")
            case EndReceived():
                self._end("end", "client")
            case EofReceived():
                self._end("eof", "client")
                if self._farewell is not None:
                    delay, answer, frame_id = self._farewell
                    self._later(delay, answer, Kind.CLOSE, frame_id)
            case PeerFailed(error):
                self.error = error
                self._end("error", "server")
            case Expired(limit):
                shared.counters.limit(limit)
                self._overdue = self.connection.state is State.CLOSED
                self._end(f"limit.{limit}", "server")
            case _:  # only a client's connection emits the others
                pass

    def _answer(self, kind: Kind, message: BaseModel, frame_id: int) -> None:
        connection, now = self.connection, self._heard
        asker = Asker(self._descriptor(), self.listener)
        try:
            answer = self._shared.behaviours.answers[kind](message, asker)
        except RemoteError as error:
            error.frame_id = frame_id
            self.error = error
            self._end("error", "server")
            connection.refuse(error, now)
            return
        match message:
            case CloseQuestion(how="reset"):
                self._end("asked.reset", "server")
                self._reset()
            case CloseQuestion(how="finish"):
                self._end("asked.finish", "server")
                connection.answer(kind, answer, frame_id)
                connection.finish(now)
            case CloseQuestion():
                self._end("asked.after_eof", "client")
                self._farewell = (message.delay, answer, frame_id)
            case HoldQuestion(seconds=seconds, speak=speak):
                connection.answer(kind, answer, frame_id)
                connection.hold(seconds, now)
                if speak:
                    spoken = HoldAnswer(spoke=True)
                    self._later(seconds, spoken, kind, frame_id)
            case _:
                connection.answer(kind, answer, frame_id)

    def _later(
        self, delay: float, answer: BaseModel | bytes, kind: Kind, frame_id: int
    ) -> None:
        """Give an answer after a delay; the last one asked for counts."""

        def give() -> None:
            now = self.loop.time()
            if self._transport.is_closing():
                return
            self.connection.answer(kind, answer, frame_id)
            if self.connection.state is State.PARTED:
                self.connection.part()
            self._flush(now)

        if self._speaker is not None:
            self._speaker.cancel()
        self._speaker = self.loop.call_later(delay, give)

    def _open(self) -> None:
        self._entry = Entry(
            new_id(),
            self.peer,
            time.time(),
            self.began,
            self.connection,
            self._descriptor,
        )
        self._shared.ledger.add(self._entry)

    def _end(self, how: str, by: str) -> None:
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

    def _write_eof(self) -> None:
        try:
            self._transport.write_eof()
        except OSError as error:  # the peer's reset came before we read of it
            self.error = self.error or error
            self._end("reset", "client")
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
        """Act on a deadline, unless it has moved on since the timer was set."""
        self._timer = None
        now = self.loop.time()
        waits = self._transport.get_write_buffer_size() > 0
        if self._moved_at is None and waits and self.connection.state in _ENDING:
            self._watch(now)  # its linger begins when the last word has left
        elif self._moved_at is not None:
            self._judge_stall(now)
        else:
            for event in self.connection.expire(now):
                self._take(event)
            self._flush(now)
        if self._timer is None and not self._transport.is_closing():
            self._set_timer(now)

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
            self._end("limit.write", "server")
            self._reset()
            return
        deadline = self.connection.deadline
        if deadline is not None and self._transport.get_write_buffer_size() == 0:
            self._moved_at = None
            self.connection.postpone(now + self._shared.limits.linger - deadline)
        self._set_timer(now)


def _address(name: tuple[str, int] | None) -> Address:
    """Return address and port; a peer that is gone already has none."""
    return ("", 0) if not name else (name[0], name[1])


def _refusal(admitted: Admitted, admission: Admission) -> RemoteError | None:
    if admitted is Admitted.SERVED:
        return None
    mine = admitted is Admitted.REFUSED_CLIENT
    limit = admission.per_client if mine else admission.total
    whose = "from this address" if mine else "in all"
    return RemoteError(
        Code.TOO_MANY_CONNECTIONS,
        f"{limit} connections {whose} are open: no more are served",
        {"limit": limit},
    )
