"""The client's end of a framed connection: socket, protocol and deadlines."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from netduet.client.net.awaited_answers import AwaitedAnswers, unasked
from netduet.client.net.client_tls import current_tls
from netduet.client.net.dial import Address, Connect, classify, connect
from netduet.client.net.handshake import (
    ConnectionEnd,
    Handshake,
    end_from_event,
    failed_handshake,
    handshake_from_event,
)
from netduet.client.net.last_answers import LastAnswers
from netduet.client.net.run_id import run_id
from netduet.client.net.shared_token import shared_token
from netduet.client.net.stream_connection import StreamConnection
from netduet.net.tls_layer import TlsProtocol
from netduet.wire import token
from netduet.wire.connection import SEND_EOF, Connection
from netduet.wire.errors import Code
from netduet.wire.events import (
    AnswerReceived,
    DataReceived,
    EchoReceived,
    EofReceived,
    Event,
    PlainReceived,
)
from netduet.wire.frames import HEADER_SIZE, Kind
from netduet.wire.messages import (
    ErrorMessage,
    Inspection,
    InspectQuestion,
    LedgerAnswer,
    LedgerQuestion,
    Open,
    ReportQuestion,
    ServerReport,
    Welcome,
)
from netduet.wire.state_machine import Limits, Role, State

if TYPE_CHECKING:
    import socket

    from pydantic import BaseModel

    from netduet.client.net.timeouts import Timeouts

Message = TypeVar("Message", bound="BaseModel")

MAX_FOREIGN_BYTES: Final = 256
"""Bytes that are kept of another program's answer."""

_MAX_PLAIN_BYTES: Final = 64 * 1024
"""Bytes of another program that are read: the rest waits in its own buffers."""

_QUESTION_BYTES: Final = 8

_FOREIGN_SETTLE_SECONDS: Final = 0.2
"""Seconds for the rest of another program's answer."""


class FramedConnection(StreamConnection):
    """One framed connection; make it by ``start_framed_connection``, and ``close`` it."""

    def __init__(self) -> None:
        super().__init__()
        self.wire = Connection(Role.CLIENT, Limits(), 0.0, token=shared_token())
        self.ending: ConnectionEnd | None = None
        self.welcome: Welcome
        """The answer to the opening; not set before."""
        self._events: deque[Event] = deque()
        self._awaited = AwaitedAnswers()
        self._question = 0

    # Callbacks of the loop

    def data_received(self, data: bytes) -> None:
        """Queue the events; wake the waiting task."""
        events = self.wire.receive_data(data, time.monotonic())
        self._flush()
        for event in events:
            if not self._awaited.take(event):
                self._events.append(unasked())
                self._transport.abort()
                break
            self._events.append(event)
        if self.wire.plain and self.wire.bytes_received > _MAX_PLAIN_BYTES:
            self._transport.pause_reading()
        self._wakeup.set()

    def eof_received(self) -> bool:
        """Queue the server's end of stream; our side stays open."""
        self._events += self.wire.receive_eof(time.monotonic())
        self._wakeup.set()
        return True

    # For the checks

    async def open(self, timeout: float) -> Handshake:
        """Send the opening; wait for the welcome or any other answer."""
        start = time.monotonic()
        nonce = secrets.token_hex(16)
        before = self._retransmissions()
        if self.wire.state is State.START and not self.is_closed:
            # Otherwise the server was done before we could send.
            self.wire.open(Open(nonce=nonce), start, run_id())
            self._flush()
        event = await self._next(timeout)
        handshake = handshake_from_event(
            event, nonce, is_closed=self.is_closed, lost=self.error
        )
        welcome_at = time.monotonic()
        if (
            handshake.welcome is not None
            and token.FEATURE in handshake.welcome.features
        ):
            handshake = await self._await_admission(handshake, nonce, timeout)
        if handshake.welcome is not None:
            self.welcome = handshake.welcome
            handshake = replace(handshake, certificate=self._certificate())
        if handshake.foreign:
            handshake = replace(
                handshake, foreign=await self._gather_foreign(handshake.foreign)
            )
        return replace(
            handshake,
            sent=self.wire.bytes_sent,
            acked=self._acked_bytes(),
            resent=max(0, self._retransmissions() - before),
            self_connected=self._peer_address == self._local_address,
            start=start,
            end=welcome_at if handshake.welcome is not None else time.monotonic(),
        )

    async def _await_admission(
        self, handshake: Handshake, nonce: str, timeout: float
    ) -> Handshake:
        """Wait until the server has judged the proof of the token; return what follows.

        A client without a token is not let in: then nothing is asked.
        """
        if not shared_token():
            message = "a token is demanded, and this client has none"
            refused = ErrorMessage(code=Code.UNAUTHORIZED, message=message)
            return replace(handshake, welcome=None, refused=refused)
        event = await self._next(timeout)
        if isinstance(event, AnswerReceived) and event.kind is Kind.TOKEN:
            return handshake
        return handshake_from_event(
            event, nonce, is_closed=self.is_closed, lost=self.error
        )

    async def report(self, timeout: float) -> ServerReport | None:
        """Return the server's evidence about this connection, or None."""
        return await self._ask(Kind.REPORT, ReportQuestion(), ServerReport, timeout)

    async def ledger(self, conn_id: str, timeout: float) -> LedgerAnswer | None:
        """Return the record of another connection, or None."""
        question = LedgerQuestion(conn_id=conn_id)
        return await self._ask(Kind.LEDGER, question, LedgerAnswer, timeout)

    async def inspect(
        self, conn_id: str, timeout: float, window: float | None = None
    ) -> Inspection | None:
        """Return the state of another connection and of the server, or None.

        ``window`` is how many seconds the server looks back on.
        """
        question = InspectQuestion(conn_id=conn_id, window=window)
        return await self._ask(Kind.INSPECT, question, Inspection, timeout)

    def send(
        self, kind: Kind, question: BaseModel | bytes, *, more: bool = False
    ) -> int:
        """Send a question; return its number, for ``answer``.

        With ``more`` it leaves in one write with the next question. On a closed
        connection it is not sent, and gets no answer.
        """
        self._question += 1
        if self.wire.state is State.OPEN and not self.is_closed:
            self.wire.ask(kind, question, self._question)
            self._awaited.add(kind, question)
            if not more:
                self._flush()
        return self._question

    async def send_in_two(self, kind: Kind, question: bytes, pause: float) -> int:
        """Send a question in two writes, its header first; return its number.

        ``pause`` is in seconds. Both leave at once, unless Nagle's algorithm (RFC 896)
        at this or another end holds the second one back.
        """
        self._flush()
        number = self.send(kind, question, more=True)
        data = b"".join(out for out in self.wire.data_to_send() if out != SEND_EOF)
        self.send_raw(data[:HEADER_SIZE])
        await asyncio.sleep(pause)
        self.send_raw(data[HEADER_SIZE:])
        return number

    async def answer(self, number: int, timeout: float) -> BaseModel | bytes | None:
        """Return the answer to a question: a message, or data; None if there is none.

        None after the timeout, when the caller may ask again, or when the connection
        has ended, which ``ending`` then describes.
        """
        deadline = time.monotonic() + timeout
        while self.ending is None:
            event = await self._next(deadline - time.monotonic())
            match event:
                case AnswerReceived(_, message, frame_id) if frame_id == number:
                    return message
                case DataReceived(_, payload, frame_id) if frame_id == number:
                    return payload
                case None if not self.is_closed:
                    return None
            self.ending = end_from_event(event, self.error)
        return None

    def ask(self, size: int = _QUESTION_BYTES) -> bool:
        """Send an ECHO frame of ``size`` bytes; the server returns it."""
        self.send(Kind.ECHO, bytes(size))
        return True

    async def answers(self, timeout: float) -> int | None:
        """Return the number of ECHO frames that arrive next; None as for ``answer``."""
        if self.ending is not None:
            return None
        event = await self._next(timeout)
        if isinstance(event, EchoReceived):
            return event.count
        if event is not None or self.is_closed:
            self.ending = end_from_event(event, self.error)
        return None

    def end_sending(self) -> None:
        """End our sending without an END frame; the server may still answer."""
        if self.wire.state is State.OPEN and not self.is_closed:
            self.wire.end_sending()
            self._flush()

    def send_raw(self, data: bytes) -> None:
        """Send bytes that the protocol does not allow in its state."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def end(self, timeout: float) -> bool:
        """End the stream with an END frame; return whether the server ended its own."""
        if self.wire.state is not State.OPEN or self.is_closed:
            return False
        self.wire.end()
        self._flush()
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            event = await self._next(left)
            if event is None or isinstance(event, EofReceived):
                return event is not None
        return False

    async def inspect_and_end(self, timeout: float, echo_bytes: int = 0) -> LastAnswers:
        """Ask for the server's state and end the stream, in one write and one wait.

        With ``echo_bytes`` an echo of that size follows the question. Only for servers
        with the feature ``inspect``.
        """
        if self.wire.state is not State.OPEN or self.is_closed:
            return LastAnswers()
        question = InspectQuestion(conn_id=self.welcome.conn_id)
        number = self.send(Kind.INSPECT, question, more=True)
        if echo_bytes:
            self.send(Kind.ECHO, bytes(echo_bytes), more=True)
        self.wire.end()
        self._flush()
        answers = LastAnswers(asked_echo=echo_bytes > 0)
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            match await self._next(left):
                case AnswerReceived(_, Inspection() as answer, frame_id) if (
                    frame_id == number
                ):
                    now = time.monotonic()
                    answers = replace(answers, inspection=answer, inspected_at=now)
                case EchoReceived():
                    answers = replace(answers, echo_at=time.monotonic())
                case None | EofReceived():
                    break
        return answers

    # Helpers

    async def _ask(
        self, kind: Kind, question: BaseModel, model: type[Message], timeout: float
    ) -> Message | None:
        if self.wire.state is not State.OPEN:
            return None
        answer = await self.answer(self.send(kind, question), timeout)
        return answer if isinstance(answer, model) else None

    def _certificate(self) -> str:
        """Return the fingerprint of the server's certificate, "" without TLS."""
        tls = self._transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        return "" if certificate is None else hashlib.sha256(certificate).hexdigest()

    async def _gather_foreign(self, first: bytes) -> bytes:
        """Return the rest of another program's answer: a banner may come in pieces."""
        data = first
        deadline = time.monotonic() + _FOREIGN_SETTLE_SECONDS
        while (
            len(data) < MAX_FOREIGN_BYTES and (left := deadline - time.monotonic()) > 0
        ):
            event = await self._next(left)
            if not isinstance(event, PlainReceived):
                break
            data += event.data
        return data[:MAX_FOREIGN_BYTES]

    async def _next(self, timeout: float) -> Event | None:
        """Return the next event; None after the timeout or once closed."""
        await self._wakeup.wait_until(
            lambda: bool(self._events) or self.is_closed, timeout
        )
        return self._events.popleft() if self._events else None

    def _flush(self) -> None:
        out = self.wire.data_to_send()
        if not out or self._transport.is_closing():
            return
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        if out[-1] == SEND_EOF:
            self._transport.write_eof()


async def start_framed_connection(sock: socket.socket) -> FramedConnection:
    """Return a framed connection that owns this connected socket.

    Raises:
        OSError: the connection is already closed.
    """
    loop = asyncio.get_running_loop()
    connection = FramedConnection()
    tls = current_tls()
    protocol = (
        connection
        if tls is None
        else TlsProtocol(connection, tls.context, server_name=tls.name)
    )
    await loop.create_connection(lambda: protocol, sock=sock)
    return connection


@asynccontextmanager
async def open_connection(
    address: Address, timeouts: Timeouts, connect: Connect = connect
) -> AsyncIterator[tuple[Handshake, FramedConnection | None]]:
    """Connect and open; close at the end. Never raises by itself.

    Yields the result of the handshake, and the connection if it was welcomed.
    """
    connect_result = await connect(address, timeouts.connect)
    connection = None
    if connect_result.sock is None:
        handshake = failed_handshake(
            connect_result, connect_result.cause, connect_result.detail
        )
    else:
        try:
            connection = await start_framed_connection(connect_result.sock)
        except OSError as error:
            connect_result.sock.close()
            handshake = failed_handshake(connect_result, *classify(error))
    try:
        if connection is not None:
            handshake = await connection.open(timeouts.answer)
        handshake = replace(handshake, connect_seconds=connect_result.seconds)
        yield handshake, connection if handshake.welcome is not None else None
    finally:
        if connection is not None:
            connection.close()
