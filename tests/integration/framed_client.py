"""A minimal framed client: a blocking socket and the frame format."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from netduet.wire.frames import HEADER, HEADER_SIZE, MAGIC, Frame, Kind, serialize
from tests.integration.servers import TIMEOUT_SECONDS

HELLO = b"Hello, server!"
GREETING = b"Hello, client!"


def connect(port: int, host: str = "127.0.0.1", source: str = "") -> socket.socket:
    """Connect, from an address; whatever then takes too long raises TimeoutError."""
    return socket.create_connection((host, port), TIMEOUT_SECONDS, (source, 0))


def exchange_greetings(port: int, text: bytes = HELLO) -> bytes:
    """Send a plain greeting and return the answer."""
    with connect(port) as sock:
        sock.sendall(text)
        return sock.recv(1024)


def read_to_end(sock: socket.socket) -> bytes:
    """Return all that comes until the end of stream; a reset raises."""
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def reset(sock: socket.socket) -> None:
    """Close by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    sock.close()


def opening(number: int = 1, /, **fields: object) -> bytes:
    """Return the opening of a framed client, with an id and changed fields."""
    message = {"version": 1, "nonce": secrets.token_hex(16)} | fields
    return MAGIC + serialize(Kind.OPEN, json.dumps(message).encode(), id=number)


class FramedClient:
    """A framed client."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str = "") -> None:
        """Connect, from an address."""
        self.sock = connect(port, host, source)
        self.welcome: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Open, and expect a welcome."""
        self.welcome = self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close without an END."""
        self.sock.close()

    def open(self, number: int = 1, /, **fields: object) -> dict[str, Any]:
        """Send an opening; return what answers it."""
        self.sock.sendall(opening(number, **fields))
        assert self._exactly(len(MAGIC)) == MAGIC
        return self.message(Kind.OPEN)

    def send(self, kind: int, payload: bytes = b"", number: int = 0) -> None:
        """Send a frame."""
        self.sock.sendall(serialize(kind, payload, id=number))

    def receive(self) -> Frame:
        """Return the next frame."""
        length, kind, flags, _, number = HEADER.unpack(self._exactly(HEADER_SIZE))
        return Frame(kind, flags, number, self._exactly(length))

    def message(self, kind: int) -> dict[str, Any]:
        """Return the fields of the next frame, which is of this kind."""
        frame = self.receive()
        assert frame.kind == kind, frame
        fields: dict[str, Any] = json.loads(frame.payload)
        return fields

    def ask(self, kind: int, **fields: object) -> dict[str, Any]:
        """Ask a control question; return the answer."""
        self.send(kind, json.dumps(fields).encode(), 7)
        return self.message(kind)

    def echo(self, payload: bytes, number: int = 0) -> bytes:
        """Have a payload mirrored."""
        with self.sending(serialize(Kind.ECHO, payload, id=number)):
            return self.receive().payload

    def error(self) -> dict[str, Any]:
        """Return an ERROR frame, behind which the stream ends without a reset."""
        fields = self.message(Kind.ERROR)
        assert read_to_end(self.sock) == b""
        return fields

    def end(self) -> None:
        """End by an END frame; it is answered, then the stream ends."""
        self.send(Kind.END)
        assert self.receive().kind == Kind.END
        assert read_to_end(self.sock) == b""
        self.sock.close()

    @contextlib.contextmanager
    def sending(self, data: bytes) -> Iterator[None]:
        """Send from a thread, so that much can be sent and read at once."""
        thread = threading.Thread(target=self.sock.sendall, args=(data,))
        thread.start()
        yield
        thread.join(TIMEOUT_SECONDS)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise EOFError(bytes(data))
            data += piece
        return bytes(data)
