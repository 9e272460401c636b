"""One TCP connection: passes bytes to the protocol and events to the handlers.

Everything that one read causes is sent in one write; ``write_control`` sends it and
closes the connection.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from netduet.net.tcp_info import tcp_info
from netduet.server.admission import AdmissionDecision
from netduet.server.connection_record import ConnectionRecord
from netduet.server.delayed_handlers import DelayedHandlers, Request
from netduet.server.handlers import RequestOrigin, new_id
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
from netduet.wire.frames import MIN_RUN_ID, Kind
from netduet.wire.state_machine import Role, State

if TYPE_CHECKING:
    from netduet.net.tls_layer import TlsFailedError
    from netduet.server.address import Address
    from netduet.server.context import ServerContext

QUIET_SECONDS: Final = 0.3
"""Seconds without a byte after which a drain no longer waits for a peer.

Below the pace of a watch's long-lived connection (0.5 s), which must be told of the
drain rather than be reset at its end; above a first retransmission (200 ms, Linux's
TCP_RTO_MIN), so that a lost segment ends no conversation."""

_QUIET_ROUND_TRIPS: Final = 2
"""The same in round trips: on a slow path the next question takes one."""

_TALKING: Final = frozenset({State.OPENING, State.CHALLENGED, State.OPEN})
"""States in which a framed peer can be told why its connection ends."""


_TLS_REQUIRED: Final = "this port requires TLS"


class TcpConnection(asyncio.Protocol):
    """An accepted connection."""

    __slots__ = (
        "_carried",
        "_charged",
        "_conn_id",
        "_context",
        "_decision",
        "_delayed",
        "_entry",
        "_last_received",
        "_local",
        "_loop",
        "_open_connections",
        "_peer",
        "_run_id",
        "_started",
        "_writer",
        "listener",
        "wire",
    )

    wire: Connection

    def __init__(
        self,
        context: ServerContext,
        open_connections: set[TcpConnection],
        listener: int | None,
    ) -> None:
        """Prepare; ``listener`` is the descriptor of the socket that accepts."""
        self._context = context
        self._open_connections = open_connections
        self._entry: ConnectionEntry | None = None
        self._delayed: DelayedHandlers | None = None
        self._run_id = 0
        self._carried = 0
        self._charged = False  # whether the budget of buffers counts anything of ours
        self._conn_id = new_id() if context.token else ""
        self.listener = listener

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit or refuse the connection, and wait for its first byte."""
        context = self._context
        self._loop = loop = asyncio.get_running_loop()
        self._peer = _address(transport.get_extra_info("peername"))
        self._local = _address(transport.get_extra_info("sockname"))
        self._started = time.monotonic()
        self._last_received = now = loop.time()
        address = self._peer[0]
        self._decision = context.admission.enter(address, now)
        context.counters.accepted += 1
        self._open_connections.add(self)
        refusal = context.admission.refusal(self._decision)
        self.wire = Connection(
            Role.SERVER,
            context.limits if refusal is None else context.refusal_limits,
            now,
            greeting=context.greeting,
            refusal=refusal,
            token=context.token,
            conn_id=self._conn_id,
        )
        self._writer = WriteControl(
            context,
            cast("asyncio.Transport", transport),
            self.wire,
            loop,
            self._expire,
        )
        if refusal is not None:
            context.access_log.refused(address, self._decision, now)
        if self._decision is AdmissionDecision.TURNED_AWAY:
            self._writer.end("refused", "server")
            self._writer.reset()
        else:
            self._writer.set_timer(now)

    def data_received(self, data: bytes) -> None:
        """Answer everything from one read in one write."""
        wire = self.wire
        self._last_received = now = self._loop.time()
        for event in wire.receive_data(data, now):
            if type(event) is EchoReceived:
                wire.echo(event)
            else:
                self._handle(event)
        self._writer.send(now)
        if wire.incomplete or self._charged:
            self._charge()

    def eof_received(self) -> bool:
        """Answer the rest; True keeps our own side of the connection open."""
        self._last_received = now = self._loop.time()
        for event in self.wire.receive_eof(now):
            self._handle(event)
        self._writer.send(now)
        return True

    def pause_writing(self) -> None:
        """Stop reading: the peer does not read."""
        self._writer.pause_writing()
        self._charge()

    def resume_writing(self) -> None:
        """Continue sending."""
        self._writer.resume_writing()
        self._charge()

    def connection_lost(self, exc: Exception | None) -> None:
        """Build the record of the connection for the ledger and the access log."""
        writer = self._writer
        writer.detach()
        if self._delayed is not None:
            self._delayed.cancel()
        if exc is not None:
            writer.fail(exc)
            is_gone = isinstance(exc, TimeoutError)
            writer.end("unreachable" if is_gone else "reset", "client")
        writer.end("eof", "client")
        record = self._record()
        if self._entry is not None:
            self._entry.close(record)
        self._context.buffers.charge(self, 0)
        self._context.traffic.closed(self)
        self._context.admission.leave(self._peer[0])
        self._open_connections.discard(self)
        self._context.access_log.closed(record, self._loop.time())

    # For TLS

    def refuse_plain(self) -> bool:
        """Refuse a peer that speaks no TLS; it is sent the reason in its dialect."""
        self._writer.end("tls_required", "server")
        self.wire.refusal = RemoteError(Code.TLS_REQUIRED, _TLS_REQUIRED)
        self.wire.greeting = f"{_TLS_REQUIRED}\n".encode()
        return True

    def fail_tls(self, failure: TlsFailedError) -> None:
        """Note that the handshake failed, or a record is broken."""
        self._writer.fail(failure)
        self._writer.end("tls_failed", "client")

    # For the budgets

    @property
    def client(self) -> str:
        """The client's address."""
        return self._peer[0]

    def end_for_limit(self, name: str, error: RemoteError) -> None:
        """End the connection: send a framed peer that reads the reason, or reset."""
        self._writer.error = error
        self._writer.end(f"limit.{name}", "server")
        if (
            self.wire.state in (State.OPENING, State.OPEN)
            and not self._writer.is_paused
        ):
            now = self._loop.time()
            self.wire.refuse(error, now)
            self._writer.send(now)
            self._charge()
        else:
            self._writer.reset_soon()

    @property
    def opened_at(self) -> float:
        """When it was accepted, in monotonic seconds."""
        return self._started

    def carried(self) -> int:
        """Return the bytes carried since the last call, both ways."""
        carried = self.wire.bytes_received + self.wire.bytes_sent
        since, self._carried = carried - self._carried, carried
        return since

    def _refuse(self, name: str, error: RemoteError) -> None:
        limit = cast("int", error.facts["limit"])
        self._context.limit_log.reached(name, limit, self.client)
        self.end_for_limit(name, error)

    def _charge(self) -> None:
        """Tell the budget what is buffered for this connection."""
        size = len(self.wire.incomplete) + self._writer.unsent
        self._charged = size > 0
        self._context.buffers.charge(self, size)

    # For the drain

    @property
    def quiet(self) -> bool:
        """Whether nothing is in flight, so a drain need not wait for this peer."""
        silent = self._loop.time() - self._last_received
        if silent <= QUIET_SECONDS or not self._writer.idle:
            return False
        info = tcp_info(self._writer.descriptor())
        round_trip = 0.0 if info is None else info.rtt / 1_000_000
        return silent > _QUIET_ROUND_TRIPS * round_trip

    @property
    def ended(self) -> str | None:
        """The reason for the end of the connection, None while it is open."""
        return self._writer.ended

    def drain(self) -> None:
        """End a quiet connection: send a framed peer the reason, or close."""
        self._writer.end("drained", "server")
        if self.wire.state not in _TALKING:
            self._writer.close()
            return
        self._last_received = now = self._loop.time()
        self.wire.refuse(_draining(), now)
        self._writer.send(now)

    def drain_busy(self) -> bool:
        """End a connection in use; return whether it was open.

        The reason follows the answers to all that was asked before.
        """
        if self.wire.state not in _TALKING:
            return False
        self._writer.end("drained", "server")
        self.wire.refuse(_draining(), self._loop.time())
        self._writer.flush()
        return True

    def reset(self) -> None:
        """Reset the connection: the drain is over."""
        self._writer.end("drained", "server")
        self._writer.reset()

    # How events are handled

    def _handle(self, event: Event) -> None:
        writer = self._writer
        match event:
            case OpenReceived(message, frame_id):
                conn_id = self._open(frame_id).conn_id
                welcome = self._context.handlers.welcome(
                    message, conn_id, self._peer, self._local, writer.certificate()
                )
                self.wire.welcome(welcome, frame_id)
            case RequestReceived():
                self._answer(event)
            case DataReceived(kind, payload, frame_id):
                answer = self._context.handlers.sink(payload)
                self.wire.answer(kind, answer, frame_id)
            case GreetingReceived():
                writer.end("greeted", "server")
            case EndReceived():
                writer.end("end", "client")
            case EofReceived():
                if self._delayed is not None:
                    self._delayed.eof_received()
                writer.end("eof", "client")
            case PeerFailed(error):
                writer.error = error
                writer.end("error", "server")
            case Expired(limit):
                self._context.counters.limit(limit)
                writer.abort_on_close = self.wire.state is State.CLOSED
                writer.end(f"limit.{limit}", "server")
            case _:  # only a client's connection emits the others
                pass

    def _answer(self, request: RequestReceived) -> None:
        """Answer a request at once if possible; the others take time."""
        self._writer.set_keepalive(is_on=request.kind is not Kind.HOLD)
        answers = self._context.handlers.answers
        if request.kind in answers:
            origin = RequestOrigin(self._writer.descriptor(), self.listener)
            answer = answers[request.kind](request.message, origin)
            self.wire.answer(request.kind, answer, request.id)
            return
        if self._delayed is None:
            self._delayed = DelayedHandlers(
                self._writer, self._context.holds, self._refuse
            )
        self._delayed.start(cast("Request", request.message), request.id)

    def _open(self, frame_id: int) -> ConnectionEntry:
        """Remember an open connection; the id of its opening may name a run."""
        self._entry = ConnectionEntry(
            self._conn_id or new_id(),
            self._peer,
            time.time(),
            self._started,
            self.wire,
            self._writer.descriptor,
        )
        self._context.ledger.add(self._entry)
        address, now = self._peer[0], self._loop.time()
        self._run_id = frame_id if frame_id >= MIN_RUN_ID else 0
        self._context.access_log.opened(address, self._run_id, now)
        if address != self._local[0]:  # not the health check of this host
            self._context.recent_clients.add(address, now)
        return self._entry

    def _expire(self, now: float) -> None:
        for event in self.wire.expire(now):
            self._handle(event)
        self._writer.send(now)

    def _record(self) -> ConnectionRecord:
        writer = self._writer
        return ConnectionRecord.from_connection(
            self.wire,
            peer=self._peer,
            local=self._local,
            served=self._decision is AdmissionDecision.SERVED,
            conn_id=None if self._entry is None else self._entry.conn_id,
            run_id=self._run_id,
            ended=writer.ended or "",
            ended_by=writer.ended_by or "",
            error=writer.error,
            duration=time.monotonic() - self._started,
        )


def _draining() -> RemoteError:
    return RemoteError(Code.DRAINING, "the server is shutting down")


def _address(name: tuple[str, int] | None) -> Address:
    """Return address and port; a peer that is already gone has none."""
    return ("", 0) if not name else (name[0], name[1])
