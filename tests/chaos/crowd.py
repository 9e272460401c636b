"""Hostile clients: many raw sockets, from many addresses, in the trial's own process."""

from __future__ import annotations

import contextlib
import json
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from netduet.wire.frames import HEADER, HEADER_SIZE, MAGIC, Kind, serialize
from tests.chaos.server import HOST, PORT

_TIMEOUT_SECONDS: Final = 20.0
_PER_ADDRESS: Final = 200
"""Connections from one address; the next ones come from the next address."""


def opening() -> bytes:
    """Return a valid opening."""
    return MAGIC + question(Kind.OPEN, version=1, nonce=secrets.token_hex(16))


def question(kind: Kind, number: int = 1, **fields: object) -> bytes:
    """Return a frame with a control question."""
    return serialize(kind, json.dumps(fields).encode(), id=number)


def unfinished_frame(size: int) -> bytes:
    """Return all but the last byte of an ECHO."""
    return serialize(Kind.ECHO, bytes(size))[:-1]


def hostile_json(size: int) -> bytes:
    """Return an object of about this size, of many short fields that nobody knows."""
    fields = [b'"%x":0' % number for number in range(size // 6)]
    return (b"{" + b",".join(fields))[: size - 1].rpartition(b",")[0] + b"}"


class Crowd:
    """Connections that the trial holds."""

    def __init__(self, network: str = "198.18.1", host: str = HOST) -> None:
        """Come from addresses of a /24."""
        self.sockets: list[socket.socket] = []
        self._network = network
        self._host = host

    def connect(self, count: int, *, port: int = PORT, receive_buffer: int = 0) -> None:
        """Connect ``count`` more."""
        for _ in range(count):
            number = len(self.sockets) // _PER_ADDRESS
            sock = socket.socket()
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(_TIMEOUT_SECONDS)
            self.sockets.append(sock)
            sock.bind((f"{self._network}.{number + 1}", 0))
            with contextlib.suppress(ConnectionError):  # reset at once, over a limit
                sock.connect((self._host, port))

    def open(self, count: int, *, receive_buffer: int = 0) -> None:
        """Open ``count`` more framed connections, and take the welcomes."""
        first = len(self.sockets)
        self.connect(count, receive_buffer=receive_buffer)
        for sock in self.sockets[first:]:
            sock.sendall(opening())
        for sock in self.sockets[first:]:
            receive_frame(sock, magic=True)

    def send(self, data: bytes, seconds: float) -> int:
        """Send the same bytes on all connections at the same time.

        Return on how many all of it was taken before the time was over.
        """
        left = {sock: memoryview(data) for sock in self.sockets}
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for sock in self.sockets:
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_WRITE)
            complete = 0
            while selector.get_map() and time.monotonic() < until:
                for key, _ in selector.select(0.1):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    try:
                        left[sock] = left[sock][sock.send(left[sock]) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        selector.unregister(sock)
                        continue
                    if not left[sock]:
                        complete += 1
                        selector.unregister(sock)
        return complete

    def errors(self) -> dict[str, int]:
        """Return how many were sent which ERROR, or were ``closed`` without one.

        What arrived before it is skipped, so take no more than small answers.
        """
        found: dict[str, int] = {}
        for sock in self.sockets:
            for code in _ends(sock):
                found[code] = found.get(code, 0) + 1
        return found

    def close(self) -> None:
        """Close all by a reset."""
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                linger = struct.pack("=ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()
        self.sockets.clear()


def _ends(sock: socket.socket) -> Iterator[str]:
    sock.setblocking(False)
    received = bytearray()
    try:
        while piece := sock.recv(65536):
            received += piece
    except BlockingIOError:
        ended = False
    except OSError:
        ended = True
    else:
        ended = True
    offset = 0
    while len(received) - offset >= HEADER_SIZE:
        length, kind, _, _, _ = HEADER.unpack_from(received, offset)
        if kind == Kind.ERROR:
            payload = received[offset + HEADER_SIZE : offset + HEADER_SIZE + length]
            yield str(json.loads(payload)["code"])
            return
        offset += HEADER_SIZE + length
    if ended:
        yield "closed"


def receive_frame(sock: socket.socket, *, magic: bool = False) -> tuple[int, bytes]:
    """Return kind and payload of the next frame, perhaps behind the magic."""
    head = receive(sock, HEADER_SIZE + (len(MAGIC) if magic else 0))
    length, kind, _, _, _ = HEADER.unpack(head[-HEADER_SIZE:])
    return kind, receive(sock, length)


def receive(sock: socket.socket, size: int) -> bytes:
    """Return exactly so many bytes."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError(f"{len(data)} of {size} bytes")
        data += piece
    return bytes(data)
