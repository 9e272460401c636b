"""A conversation with a service over UDP, with the methods of a connection.

A datagram that is lost is not sent again by any kernel, so an opening sends its question
again each second. A later question is sent again in place of the next one, as a kernel
sends a lost segment again: otherwise each loss would leave a question open for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

from netduet.client.net.dial import UNROUTED, Cause, classify, has_route
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.wakeup import Wakeup

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.protocols.base import Conversation, Protocol
    from netduet.wire.messages import TcpInfo

RESEND_SECONDS: Final = 1.0
"""Seconds without an answer after which an opening sends its question again: as long as
DNS stub resolvers wait at least (RFC 1035 §4.2.1 recommends 2 to 5 s)."""

MAX_FIRST_BYTES: Final = 256

_MIN_WAIT_SECONDS: Final = 0.01
"""Seconds left below which nothing is sent again: timers fire a little early."""


class DatagramService(asyncio.DatagramProtocol):
    """One UDP socket and its conversation; make it by ``open_datagram_service``."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.first_bytes = b""
        self.sent = 0
        self.error: BaseException | None = None
        self._wakeup = Wakeup()
        self._counted = 0
        self._asked = 0
        self._question = b""

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and our address."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._local_address = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, _: object) -> None:
        """Pass a datagram to the conversation; send what it answers."""
        self.first_bytes = self.first_bytes or data[:MAX_FIRST_BYTES]
        self._send(self.conversation.receive(data))
        self._wakeup.set()

    def error_received(self, exc: Exception) -> None:
        """Keep the error: the network, or this kernel, refused a datagram."""
        self.error = exc
        self._wakeup.set()

    # For the checks

    @property
    def ending(self) -> ConnectionEnd | None:
        """Why the service can no longer be asked, None while it can."""
        if self.error is None:
            return None
        cause, detail = classify(self.error)
        return ConnectionEnd(cause.value, detail)

    async def open(self, timeout: float) -> Handshake:
        """Ask, each second again, until an answer or an error or ``timeout`` seconds."""
        start = time.monotonic()
        question = self.conversation.start()
        resent = -1
        left = timeout
        while left > _MIN_WAIT_SECONDS and not self._is_opened():
            self._send(question)
            resent += 1
            await self._wakeup.wait_until(self._is_opened, min(RESEND_SECONDS, left))
            left = start + timeout - time.monotonic()
        end = time.monotonic()
        cause, detail = None, ""
        if self.error is not None:
            cause, detail = classify(self.error)
        elif not self.first_bytes:
            cause, detail = Cause.TIMEOUT, "no response in time"
        recognition = self.conversation.recognition
        return Handshake(
            recognition=recognition,
            foreign=b"" if recognition is not None else self.first_bytes,
            cause=cause,
            detail=detail,
            sent=self.sent,
            resent=resent,
            accepted=bool(self.first_bytes),
            start=start,
            end=end,
        )

    def ask(self, size: int = 0) -> bool:
        """Send a question; return whether it is a new one.

        While the last one has no answer, send that again.
        """
        is_new = self.conversation.answers >= self._asked
        if is_new:
            self._question = self.conversation.ask(size)
            self._asked += bool(self._question)
        self._send(self._question)
        return is_new and bool(self._question)

    async def answers(self, timeout: float) -> int | None:
        """Return the number of answers that arrive next; None if none does in time."""
        conversation = self.conversation
        await self._wakeup.wait_until(
            lambda: conversation.answers > self._counted or self.error is not None,
            timeout,
        )
        count = conversation.answers - self._counted
        self._counted = conversation.answers
        return count or None

    async def end(self, timeout: float) -> bool:
        """Do nothing: there is no connection to end."""
        del timeout
        return True

    def info(self) -> TcpInfo | None:
        """Return None: there is no connection."""
        return None

    def local(self) -> tuple[str, int]:
        """Return our own address and port."""
        return self._local_address[0], self._local_address[1]

    def close(self) -> None:
        """Close the socket."""
        self._transport.abort()

    def _is_opened(self) -> bool:
        return bool(self.first_bytes) or self.error is not None

    def _send(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self.sent += len(data)
            self._transport.sendto(data)


@asynccontextmanager
async def open_datagram_service(
    address: Address, timeouts: Timeouts, protocol: Protocol, host: str
) -> AsyncIterator[tuple[Handshake, DatagramService | None]]:
    """Ask from a new socket; close it at the end. Never raises by itself.

    Yields the result, and the socket if the service answered.
    """
    start = time.monotonic()
    if not has_route(address):
        end = time.monotonic()
        yield (
            Handshake(
                cause=Cause.NO_ROUTE,
                detail=UNROUTED,
                accepted=False,
                start=start,
                end=end,
            ),
            None,
        )
        return
    conversation = protocol.converse(host)
    loop = asyncio.get_running_loop()
    try:
        _, service = await loop.create_datagram_endpoint(
            lambda: DatagramService(conversation), remote_addr=address.sockaddr[:2]
        )
    except OSError as error:
        cause, detail = classify(error)
        yield (
            Handshake(
                cause=cause,
                detail=detail,
                accepted=False,
                start=start,
                end=time.monotonic(),
            ),
            None,
        )
        return
    try:
        handshake = await service.open(timeouts.answer)
        yield handshake, service if handshake.recognition is not None else None
    finally:
        service.close()
