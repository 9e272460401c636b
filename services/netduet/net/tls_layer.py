"""TLS between a TCP connection and the protocol inside, in the same loop.

The protocol inside is told of the connection as soon as it is accepted, so that its
limits and deadlines hold during the handshake; what it writes meanwhile is sent after
it. Not the loop's own TLS: that one shows a connection after the handshake only, keeps
its context for all connections, and cannot end one direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

_CHUNK_BYTES: Final = 64 * 1024
_HANDSHAKE_RECORD: Final = 0x16
"""First byte of all that a client says in TLS (RFC 8446 §5.1)."""

_RECORD_TYPES: Final = frozenset({0x14, 0x15, 0x16, 0x17})
"""First bytes of what a server says."""


class TlsFailedError(Exception):
    """A handshake failed, or a record is broken; the text is OpenSSL's reason."""


class TlsProtocol(asyncio.Protocol):
    """Passes what is inside of TLS to a protocol, and back.

    ``server_name`` makes it a client, which demands this name of the certificate if the
    context checks names. A server calls ``refuse`` when a peer begins without TLS: if
    that returns True, its bytes are passed on as they are; otherwise the connection is
    closed. It calls ``fail`` when TLS fails, which ends the connection.
    """

    def __init__(
        self,
        inner: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        server_name: str | None = None,
        refuse: Callable[[], bool] = lambda: False,
        fail: Callable[[TlsFailedError], None] = lambda _: None,
        extra: dict[str, object] | None = None,
    ) -> None:
        """Prepare; ``extra`` is what ``get_extra_info`` of the transport adds."""
        self.inner = inner
        self.extra = extra or {}
        self.is_ready = False
        self.is_plain = False
        """The peer speaks no TLS: bytes pass as they are."""
        self.queued: list[bytes] = []
        """What the protocol inside has written before the end of the handshake."""
        self._refuse = refuse
        self._fail = fail
        self._is_server = server_name is None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self._is_server,
            server_hostname=server_name or None,
        )
        self._failure: TlsFailedError | None = None
        self._has_begun = self._has_ended = False
        self._wants_eof = self._has_notified = self._has_sent_eof = False

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the protocol inside; a client begins the handshake."""
        self.raw = cast("asyncio.Transport", transport)
        self.inner.connection_made(_TlsTransport(self))
        if not self._is_server:
            self._advance()

    def data_received(self, data: bytes) -> None:
        """Continue the handshake, or pass on what is inside."""
        if self._is_server and not self._has_begun:
            self.is_plain = data[0] != _HANDSHAKE_RECORD
            if self.is_plain and not self._refuse():
                self.raw.close()
                return
        if not (self._is_server or self._has_begun) and data[0] not in _RECORD_TYPES:
            self._end_with("the peer responds without TLS")
        self._has_begun = True
        if self.is_plain:
            self.inner.data_received(data)
        elif self._failure is None:
            self._incoming.write(data)
            self._advance()

    def eof_received(self) -> bool | None:
        """Pass on the end of the peer's stream, unless close_notify has said so.

        A peer that ends without it may have been cut off: what is inside must say where
        it ends, as frames do.
        """
        if self.is_plain:
            return self.inner.eof_received()
        if not self.is_ready:
            return False  # close: nobody has said anything
        if not self._has_ended:
            self._has_ended = True
            self.inner.eof_received()
        return True

    def pause_writing(self) -> None:
        """Pass it on."""
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self.inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, with why TLS failed if it did.

        Both ends refer to each other: they are let go of, or they would wait for the
        garbage collector, with the buffers of TLS.
        """
        inner, self.inner = self.inner, asyncio.Protocol()
        self._refuse, self._fail = lambda: False, lambda _: None
        inner.connection_lost(self._failure or exc)

    # For the transport

    def write(self, data: bytes) -> None:
        """Encrypt and send; before the end of the handshake, keep it."""
        if self.is_plain:
            self.raw.write(data)
        elif not self.is_ready:
            self.queued.append(bytes(data))
        elif self._failure is None and not self._has_notified:
            self._encrypt((data,))
            self._flush()

    def write_eof(self) -> None:
        """End our direction: close_notify, then a FIN."""
        self._wants_eof = True
        if self.is_ready or self.is_plain:
            self._end_sending()

    def close(self) -> None:
        """Close when everything is sent."""
        if not (self.is_plain or self.raw.is_closing()):
            self._notify()
        self.raw.close()

    # Helpers

    def _advance(self) -> None:
        """Take what has arrived, as far as that goes."""
        received: list[bytes] = []
        try:
            if not self.is_ready:
                self.tls.do_handshake()
                self.is_ready = True
                self._encrypt(self.queued)
                self.queued.clear()
                if self._wants_eof:
                    self._end_sending()
            while data := self.tls.read(_CHUNK_BYTES):
                received.append(data)
            ended = True
        except ssl.SSLWantReadError:
            ended = False
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            self._end_with(_reason(error))
            return
        self._flush()
        if received:
            self.inner.data_received(b"".join(received))
        if ended and not self._has_ended:
            self._has_ended = True
            self.inner.eof_received()

    def _encrypt(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[self.tls.write(view) :]

    def _end_sending(self) -> None:
        if not self.is_plain:
            self._notify()
        if not (self._has_sent_eof or self.raw.is_closing()):
            self._has_sent_eof = True
            self.raw.write_eof()

    def _notify(self) -> None:
        """Send close_notify, once."""
        if self.is_ready and not self._has_notified and self._failure is None:
            self._has_notified = True
            with contextlib.suppress(ssl.SSLError):  # it waits for the peer's
                self.tls.unwrap()
            self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not (self.raw.is_closing() or self._has_sent_eof):
            self.raw.write(data)

    def _end_with(self, reason: str) -> None:
        """End a connection whose TLS has failed; the peer gets the alert."""
        self._failure = TlsFailedError(reason)
        self._fail(self._failure)
        self._flush()
        self.raw.close()


class TlsBytes:
    """A client's TLS on a blocking socket, whose bytes the caller reads and writes."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_name: str,
        timeout: float,
    ) -> None:
        """Shake hands within ``timeout`` seconds.

        Raises:
            OSError: that failed (``ssl.SSLError`` is one).
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_name or None
        )
        until = time.monotonic() + timeout
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                sock.sendall(self._outgoing.read())
                left = until - time.monotonic()
                if left <= 0:  # a byte now and then extends nothing
                    raise TimeoutError("no TLS handshake in time") from None
                sock.settimeout(left)
                data = sock.recv(_CHUNK_BYTES)
                if not data:
                    raise ConnectionError("the TLS handshake was cut off") from None
                self._incoming.write(data)
            else:
                sock.sendall(self._outgoing.read())
                return

    def encrypt(self, data: bytes) -> bytes:
        """Return the bytes to send for these."""
        self._tls.write(data)
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """Return what is inside of bytes that were received, as far as it is whole."""
        self._incoming.write(data)
        received = b""
        try:
            while part := self._tls.read(_CHUNK_BYTES):
                received += part
        except ssl.SSLWantReadError:
            pass
        return received


def _reason(error: ssl.SSLError) -> str:
    reason = (error.reason or "").replace("_", " ").lower() or type(error).__name__
    verification = getattr(error, "verify_message", "")
    return f"{reason}: {verification}" if verification else reason


class _TlsTransport(asyncio.Transport):
    """The transport that the protocol inside sees."""

    def __init__(self, layer: TlsProtocol) -> None:
        super().__init__()
        self._layer = layer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the TCP transport says, and what the layer adds."""
        if name == "ssl_object":
            return None if self._layer.is_plain else self._layer.tls
        if name in self._layer.extra:
            return None if self._layer.is_plain else self._layer.extra[name]
        return self._layer.raw.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._layer.write(cast("bytes", data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self._layer.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._layer.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._layer.close()

    def abort(self) -> None:
        self._layer.raw.abort()

    def is_closing(self) -> bool:
        return self._layer.raw.is_closing()

    def pause_reading(self) -> None:
        self._layer.raw.pause_reading()

    def resume_reading(self) -> None:
        self._layer.raw.resume_reading()

    def is_reading(self) -> bool:
        return self._layer.raw.is_reading()

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        self._layer.raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._layer.raw.get_write_buffer_size() + sum(
            map(len, self._layer.queued)
        )
