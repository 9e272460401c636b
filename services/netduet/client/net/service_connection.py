"""A connection to any service: socket, conversation and deadlines.

It has the methods of a framed connection that the probes use, so that a check can make
its connections to a netduet server and to any other service in the same way.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import Address, Cause, Connect, classify, connect
from netduet.client.net.handshake import (
    ConnectionEnd,
    Handshake,
    failed_handshake,
)
from netduet.client.net.stream_connection import StreamConnection
from netduet.client.protocols.base import Refusal

if TYPE_CHECKING:
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.protocols.base import Conversation, Protocol

MAX_FIRST_BYTES: Final = 256
"""Bytes that are kept of an answer that no protocol knows."""

SETTLE_SECONDS: Final = 0.05
"""Seconds for which a connection without a conversation must stay open to count.

A proxy in front of a dead service, or a service that turns clients away, ends it at once."""


_BURST_BYTES: Final = 16 * 1024 * 1024
_BYTES_PER_SECOND: Final = 8 * 1024 * 1024
"""A service may send without end, as a camera does: it is read at once up to a burst, and
no faster than this afterwards."""

_KEEPALIVE_SECONDS: Final = 1
_KEEPALIVE_COUNT: Final = 5

KEEPALIVE_DEADLINE_SECONDS: Final = _KEEPALIVE_SECONDS * (_KEEPALIVE_COUNT + 2)
"""Seconds after which the kernel has ended a connection that no longer works."""


class ServiceConnection(StreamConnection):
    """One connection to a service; make it by ``start_service_connection``.

    Without a conversation, it sends nothing, and is served if it stays open.
    """

    def __init__(self, conversation: Conversation | None) -> None:
        super().__init__()
        self.conversation = conversation
        self.first_bytes = b""
        self.received = 0
        self.sent = 0
        self.ended = False
        """Whether the service has ended its sending."""
        self._counted = 0
        self._is_kept_alive = False
        self._has_ended_sending = False
        self._readable_bytes = float(_BURST_BYTES)
        self._read_at = time.monotonic()
        self._has_full_buffer = False
        self._resume_timer: asyncio.TimerHandle | None = None

    # Callbacks of the loop

    def data_received(self, data: bytes) -> None:
        """Pass the data to the conversation; send what it answers."""
        self.received += len(data)
        self._limit_reading(len(data))
        if len(self.first_bytes) < MAX_FIRST_BYTES:
            self.first_bytes = (self.first_bytes + data)[:MAX_FIRST_BYTES]
        if self.conversation is not None:
            self._send(self.conversation.receive(data))
        self._wakeup.set()

    def eof_received(self) -> bool:
        """Note the service's end of stream; our side stays open."""
        self.ended = True
        self._wakeup.set()
        return True

    def pause_writing(self) -> None:
        """Read nothing, and so answer nothing, while the service does not read."""
        self._has_full_buffer = True
        self._pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._has_full_buffer = False
        self._resume_reading()

    # For the checks

    @property
    def ending(self) -> ConnectionEnd | None:
        """How the connection ended, None while it is open."""
        if self.is_closed and self.error is not None:
            cause, detail = classify(self.error)
            return ConnectionEnd(cause.value, detail)
        if self.is_closed or self.ended:
            return ConnectionEnd("eof", "the service closed the connection")
        return None

    async def open(self, timeout: float) -> Handshake:
        """Greet the service; wait until it has said what it is, or ``timeout`` seconds.

        Without a conversation, only wait for a moment whether it ends the connection.
        """
        start = time.monotonic()
        before = self._retransmissions()
        if self.conversation is None:
            timeout = SETTLE_SECONDS
        else:
            self._send(self.conversation.start())
        return await self._opening(timeout, start, before)

    async def listen(self, seconds: float) -> Handshake:
        """Send nothing; return what arrives within some seconds."""
        return await self._opening(seconds, time.monotonic(), self._retransmissions())

    def is_served(self, handshake: Handshake) -> bool:
        """Whether an opening shows that the service serves this connection."""
        recognition = handshake.recognition
        if self.conversation is not None:
            return recognition is not None and recognition.refusal is not Refusal.BUSY
        return self.ending is None

    def ask(self, size: int = 0) -> bool:
        """Send a harmless question of at least ``size`` bytes, if the protocol has one.

        Otherwise the kernel's keep-alive asks instead, about once a second, and the
        connection ends when several questions in a row get no answer.
        """
        question = b"" if self.conversation is None else self.conversation.ask(size)
        if question:
            self._send(question)
        else:
            self._keep_alive()
        return bool(question)

    async def wait_for_answer_end(self, timeout: float) -> None:
        """Wait until an answer that has begun is complete, so that ``ask`` can follow."""
        conversation = self.conversation
        if conversation is not None:
            await self._wakeup.wait_until(
                lambda: not conversation.is_answering or self.ending is not None,
                timeout,
            )

    async def answers(self, timeout: float) -> int | None:
        """Return the number of answers that arrive next; None if none does in time.

        After None, ``ending`` says whether the connection has ended.
        """
        conversation = self.conversation
        if conversation is None:
            await self.wait_for_end(timeout)
            return None
        await self._wakeup.wait_until(
            lambda: conversation.answers > self._counted or self.ending is not None,
            timeout,
        )
        count = conversation.answers - self._counted
        self._counted = conversation.answers
        return count or None

    async def wait_for_end(self, timeout: float) -> None:
        """Wait until the other end, or the kernel, ends the connection."""
        await self._wakeup.wait_until(lambda: self.ending is not None, timeout)

    async def end(self, timeout: float) -> bool:
        """Say farewell, or else end our sending; return whether the service ended, too.

        A farewell may be an exchange, so our side stays open for it.
        """
        if self.is_closed:
            return False
        farewell = b"" if self.conversation is None else self.conversation.end()
        self._send(farewell)
        if not farewell and not self._transport.is_closing():
            self._has_ended_sending = True
            self._transport.write_eof()
        await self.wait_for_end(timeout)
        return self.ending is not None

    def close(self) -> None:
        """Close at once, with the protocol's farewell if there has been none."""
        farewell = b"" if self.conversation is None else self.conversation.end()
        if farewell and not self.is_closed:
            self._send(farewell)
            self._transport.close()
        else:
            self._transport.abort()

    # Helpers

    def _limit_reading(self, size: int) -> None:
        now = time.monotonic()
        refilled = self._readable_bytes + (now - self._read_at) * _BYTES_PER_SECOND
        self._readable_bytes = min(_BURST_BYTES, refilled) - size
        self._read_at = now
        if self._readable_bytes < 0 and self._resume_timer is None:
            self._pause_reading()
            pause = -self._readable_bytes / _BYTES_PER_SECOND
            loop = asyncio.get_running_loop()
            self._resume_timer = loop.call_later(pause, self._end_pause)

    def _end_pause(self) -> None:
        self._resume_timer = None
        self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        is_paused = self._has_full_buffer or self._resume_timer is not None
        if not is_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    async def _opening(self, timeout: float, start: float, before: int) -> Handshake:
        await self._wakeup.wait_until(self._is_opened, timeout)
        return replace(
            self._handshake(),
            sent=self.sent,
            acked=self._acked_bytes(),
            resent=max(0, self._retransmissions() - before),
            self_connected=self._peer_address == self._local_address,
            start=start,
            end=time.monotonic(),
        )

    def _keep_alive(self) -> None:
        if self._is_kept_alive or self._transport.is_closing():
            return
        self._is_kept_alive = True
        self.set_keepalive(_KEEPALIVE_SECONDS, _KEEPALIVE_COUNT)

    def _is_opened(self) -> bool:
        if self.is_closed or self.ended:
            return True
        conversation = self.conversation
        if conversation is None:
            return bool(self.received)
        return conversation.recognition is not None or conversation.is_foreign

    def _handshake(self) -> Handshake:
        conversation = self.conversation
        if conversation is not None and conversation.recognition is not None:
            return Handshake(recognition=conversation.recognition)
        if self.received:
            return Handshake(foreign=self.first_bytes)
        if self.is_closed and self.error is not None:
            cause, detail = classify(self.error)
            return Handshake(cause=cause, detail=detail)
        if self.is_closed or self.ended:
            return Handshake(closed=True)
        if conversation is None:
            return Handshake()  # it waits
        return Handshake(cause=Cause.TIMEOUT, detail="no response in time")

    def _send(self, data: bytes) -> None:
        can_send = not (self._has_ended_sending or self._transport.is_closing())
        if data and can_send:
            self.sent += len(data)
            self._transport.write(data)


async def start_service_connection(
    sock: socket.socket, conversation: Conversation | None
) -> ServiceConnection:
    """Return a connection that owns this connected socket.

    Raises:
        OSError: the connection is already closed.
    """
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: ServiceConnection(conversation), sock=sock
    )
    return connection


@asynccontextmanager
async def open_service(
    address: Address,
    timeouts: Timeouts,
    protocol: Protocol | None,
    host: str,
    connect: Connect = connect,
) -> AsyncIterator[tuple[Handshake, ServiceConnection | None]]:
    """Connect and greet; close at the end. Never raises by itself.

    Yields the result, and the connection if the service answered. Without a protocol,
    nothing is sent, and a connection that stays open is enough.
    """
    conversation = None if protocol is None else protocol.converse(host)
    connected = _connected(address, timeouts, conversation, connect)
    async with connected as (failure, connection):
        if connection is None:
            yield failure, None
            return
        handshake = await connection.open(timeouts.answer)
        yield handshake, connection if connection.is_served(handshake) else None


@asynccontextmanager
async def _connected(
    address: Address,
    timeouts: Timeouts,
    conversation: Conversation | None,
    connect: Connect,
) -> AsyncIterator[tuple[Handshake, ServiceConnection | None]]:
    """Connect; yield the connection, or else a handshake that says why there is none."""
    connect_result = await connect(address, timeouts.connect)
    if connect_result.sock is None:
        cause, detail = connect_result.cause, connect_result.detail
        yield failed_handshake(connect_result, cause, detail), None
        return
    try:
        connection = await start_service_connection(connect_result.sock, conversation)
    except OSError as error:
        connect_result.sock.close()
        yield failed_handshake(connect_result, *classify(error)), None
        return
    try:
        yield Handshake(), connection
    finally:
        connection.close()


async def listen(
    address: Address, timeouts: Timeouts, seconds: float, connect: Connect = connect
) -> Handshake:
    """Connect, send nothing, and return what arrives; never raises by itself."""
    async with _connected(address, timeouts, None, connect) as (failure, connection):
        if connection is None:
            return failure
        return await connection.listen(seconds)
