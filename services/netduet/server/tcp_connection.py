"""One TCP connection: what comes in, to the wire and to who answers; its record.

No bytes are parsed here, and no question is answered here. What a read gave rise
to leaves in one call; how, and how a connection closes, is in ``sending``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from netduet.server.admission import AdmissionDecision
from netduet.server.delayed_handlers import DelayedHandlers, Request
from netduet.server.handlers import Address, RequestOrigin, new_id
from netduet.server.ledger import ConnectionEntry
from netduet.server.write_control import WriteControl
from netduet.wire.connection import Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    DataReceived,
    EchoReceived,
    EndReceived,
    EofReceived,
    Event,
    Expired,
    GreetingReceived,
    OpenReceived,
    PeerFailed,
    RequestReceived,
)
from netduet.wire.state_machine import Role, State

if TYPE_CHECKING:
    from netduet.server.context import ServerContext

_QUIET: Final = 1.0
"""Seconds without a byte after which a drain no longer waits for a peer."""

_ENDING: Final = frozenset({State.GREETED, State.LINGER})


class TcpConnection(WriteControl):
    """A connection that was accepted."""

    __slots__ = (
        "_entry",
        "_heard",
        "_requests",
        "admitted",
        "listener",
        "local",
        "peer",
        "started",
    )

    def __init__(self, shared: ServerContext, listener: int | None) -> None:
        """Prepare; ``listener`` is the descriptor of the socket that accepts."""
        super().__init__(shared)
        self._entry: ConnectionEntry | None = None
        self._requests: DelayedHandlers | None = None
        self._heard = 0.0
        self.listener = listener
        self.started = 0.0

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit or refuse the connection, and wait for its first byte."""
        shared = self._shared
        self._transport = cast("asyncio.Transport", transport)
        self.loop = asyncio.get_running_loop()
        self.peer = _address(transport.get_extra_info("peername"))
        self.local = _address(transport.get_extra_info("sockname"))
        self.started = time.monotonic()
        self._heard = now = self.loop.time()
        self.admitted = shared.admission.enter(self.peer[0])
        shared.counters.accepted += 1
        shared.connections.add(self)
        refusal = shared.admission.refusal(self.admitted)
        self.connection = Connection(
            Role.SERVER,
            shared.limits if refusal is None else shared.refusal_limits,
            now,
            greeting=shared.greeting,
            refusal=refusal,
        )
        self._transport.set_write_buffer_limits(high=shared.write_buffer)
        if refusal is not None:
            shared.access_log.refused(self, now)
        if self.admitted is AdmissionDecision.TURNED_AWAY:
            self.end("refused", "server")
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

    def connection_lost(self, exc: Exception | None) -> None:
        """Count out, freeze the ledger's entry, record."""
        shared = self._shared
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._requests is not None:
            self._requests.cancel()
        if exc is not None:
            self.error = self.error or exc
            self.end("reset", "client")
        self.end("eof", "client")
        if self._entry is not None:
            self._entry.close(time.monotonic(), self.ended or "", self.ended_by or "")
        shared.admission.leave(self.peer[0])
        shared.connections.discard(self)
        shared.access_log.ended(self)

    # What the server and its records ask

    @property
    def conn_id(self) -> str | None:
        """The id that the opening was answered with, None before one."""
        return None if self._entry is None else self._entry.conn_id

    @property
    def duration(self) -> float:
        """Seconds since the connection was accepted."""
        return time.monotonic() - self.started

    @property
    def quiet(self) -> bool:
        """Whether a drain need not wait for this peer: nothing is in flight."""
        return (
            self.loop.time() - self._heard > _QUIET
            and self._paused_at is None
            and self._transport.get_write_buffer_size() == 0
            and not self._transport.is_closing()
        )

    def drain(self) -> None:
        """End a quiet connection, telling a framed peer why; one that was told, close."""
        self.end("drained", "server")
        if self.connection.state not in (State.OPENING, State.OPEN):
            self._transport.close()
            return
        self._heard = now = self.loop.time()
        error = RemoteError(Code.DRAINING, "the server is shutting down")
        self.connection.refuse(error, now)
        self._flush(now)

    def reset(self) -> None:
        """Reset the connection on purpose: its time is over."""
        self.end("drained", "server")
        self._reset()

    # How events are taken

    def _take(self, event: Event) -> None:
        shared = self._shared
        match event:
            case OpenReceived(message, frame_id):
                self._open()
                conn_id = cast("ConnectionEntry", self._entry).conn_id
                welcome = shared.handlers.welcome(
                    message, conn_id, self.peer, self.local
                )
                self.connection.welcome(welcome, frame_id)
            case RequestReceived():
                self._answer(event)
            case DataReceived(kind, payload, frame_id):
                arrived = shared.handlers.sink(payload)
                self.connection.answer(kind, arrived, frame_id)
            case GreetingReceived():
                self.end("greeted", "server")
            case EndReceived():
                self.end("end", "client")
            case EofReceived():
                if self._requests is not None:
                    self._requests.take_eof()
                self.end("eof", "client")
            case PeerFailed(error):
                self.error = error
                self.end("error", "server")
            case Expired(limit):
                shared.counters.limit(limit)
                self._overdue = self.connection.state is State.CLOSED
                self.end(f"limit.{limit}", "server")
            case _:  # only a client's connection emits the others
                pass

    def _answer(self, asked: RequestReceived) -> None:
        """Answer at once what can be; the rest is a request that takes time."""
        answers = self._shared.handlers.answers
        if asked.kind in answers:
            asker = RequestOrigin(self._descriptor(), self.listener)
            answer = answers[asked.kind](asked.message, asker)
            self.connection.answer(asked.kind, answer, asked.id)
            return
        if self._requests is None:
            self._requests = DelayedHandlers(self)
        self._requests.take(cast("Request", asked.message), asked.id)

    def _open(self) -> None:
        self._entry = ConnectionEntry(
            new_id(),
            self.peer,
            time.time(),
            self.started,
            self.connection,
            self._descriptor,
        )
        self._shared.ledger.add(self._entry)
        if self.peer[0] != self.local[0]:  # not from this very host: its health check
            self._shared.recent_clients.heard(self.peer[0], self.loop.time())

    # Timers

    def _judge(self) -> None:
        """Act on a deadline, unless it has moved on since the timer was set."""
        self._timer = None
        now = self.loop.time()
        waits = self._transport.get_write_buffer_size() > 0
        if self._moved_at is None and waits and self.connection.state in _ENDING:
            self._watch(now)  # its linger begins when the last word has left
        elif self._moved_at is not None:
            self._judge_stall(now)
        elif self._paused_at is None:
            for event in self.connection.expire(now):
                self._take(event)
            self._flush(now)
        if self._timer is None and not self._transport.is_closing():
            self._set_timer(now)


def _address(name: tuple[str, int] | None) -> Address:
    """Return address and port; a peer that is gone already has none."""
    return ("", 0) if not name else (name[0], name[1])
