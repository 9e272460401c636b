"""Drives a conversation over a blocking socket."""

from __future__ import annotations

import contextlib
import socket
import time
from types import TracebackType
from typing import Final, Self

from netduet.client.protocols import find_protocol

TIMEOUT_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 65536


class Dialogue:
    """A connection with a service, and the conversation on it."""

    def __init__(self, name: str, host: str, port: int, server_name: str = "") -> None:
        """Connect, or open a UDP socket; nothing is sent yet."""
        protocol = find_protocol(name)
        assert protocol is not None, name
        self.conversation = protocol.converse(server_name or host)
        kind = socket.SOCK_DGRAM if protocol.datagrams else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.settimeout(TIMEOUT_SECONDS)
        self._socket.connect((host, port))

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self._socket.close()

    def meet(self) -> Self:
        """Say hello, and go on until the service is recognised, or foreign."""
        self._send(self.conversation.start())
        while not (self.conversation.recognition or self.conversation.is_foreign):
            self._receive()
        return self

    def ask(self, size: int = 0) -> bool:
        """Ask, and wait for the answer; False if there is no question."""
        answers = self.conversation.answers
        question = self.conversation.ask(size)
        if not question:
            return False
        self._send(question)
        while self.conversation.answers == answers:
            assert not self.conversation.is_foreign
            self._receive()
        return True

    def end(self) -> None:
        """Say farewell, and wait until the service ends the connection, too."""
        self._send(self.conversation.end())
        self._socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        with contextlib.suppress(ConnectionResetError):
            while time.monotonic() < deadline and self._read():
                pass

    def _send(self, data: bytes) -> None:
        if data:
            self._socket.sendall(data)

    def _receive(self) -> None:
        data = self._read()
        assert data, "the service ended the connection"
        self._send(self.conversation.receive(data))

    def _read(self) -> bytes:
        return self._socket.recv(_CHUNK_BYTES)
