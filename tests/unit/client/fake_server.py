"""A scripted server: a listener on loopback in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from pydantic import BaseModel

from netduet.client.net.dial import Address, connect
from netduet.client.net.framed_connection import (
    FramedConnection,
    start_framed_connection,
)
from netduet.wire.frames import ANSWER, HEADER, HEADER_SIZE, MAGIC, Frame, serialize
from netduet.wire.messages import (
    HostReport,
    LedgerEntry,
    ListenerReport,
    ServerReport,
    TcpInfo,
    Welcome,
    encode,
)
from tests.integration.framed_client import read_to_end
from tests.integration.servers import TIMEOUT_SECONDS, wait_until

HOSTILE_TEXT = "\x1b[31mred\n\u202egnp"
"""A terminal's escape sequence, a line break, a change of writing direction."""

_WELCOME: dict[str, object] = {
    "version": 1,
    "nonce": "0" * 32,
    "service": "netduet",
    "instance": "here",
    "boot_id": "b" * 32,
    "conn_id": "c" * 32,
    "software": "netduet/1",
    "features": ["echo", "ledger", "report"],
    "limits": {"max_frame": 1024, "idle": 60.0, "frame": 10.0},
    "peer": {"address": "192.0.2.1", "port": 40000},
    "local": {"address": "192.0.2.2", "port": 12345},
}

_ENTRY: dict[str, object] = {
    "conn_id": "c" * 32,
    "peer": {"address": "192.0.2.1", "port": 40000},
    "opened_at": 1.0,
    "duration": 0.5,
    "bytes_received": 100,
    "bytes_sent": 200,
    "frames_received": 3,
    "frames_sent": 3,
    "ended": "end",
    "ended_by": "client",
}

Script = Callable[["AcceptedConnection"], object]


def make_welcome(**fields: object) -> Welcome:
    """Return a welcome, with changed fields."""
    return Welcome.model_validate(_WELCOME | fields)


def make_ledger_entry(**fields: object) -> LedgerEntry:
    """Return a ledger entry, with changed fields."""
    return LedgerEntry.model_validate(_ENTRY | fields)


def tcp_info(**fields: int | str) -> TcpInfo:
    """Return a kernel's view of an established connection, all zero but ``fields``."""
    counters = dict.fromkeys(TcpInfo.model_fields, 0)
    defaults = {"state": "ESTABLISHED", "snd_mss": 1448, "pmtu": 1500}
    return TcpInfo.model_validate(counters | defaults | fields)


def make_server_report(
    *, drops: int = 0, throttled: float | None = 0.0, **connection: int
) -> ServerReport:
    """Return a server's evidence; ``connection`` is what its kernel says."""
    return ServerReport(
        instance="here",
        connection=tcp_info(**connection),
        listener=ListenerReport(drops=drops, backlog=0),
        host=HostReport(stalls=0, stalled=0.0, throttled=throttled, cpu_pressure=None),
    )


class AcceptedConnection:
    """A connection at the server's end: blocking, with a timeout."""

    def __init__(self, sock: socket.socket) -> None:
        """Take it."""
        self.sock = sock
        sock.settimeout(TIMEOUT_SECONDS)

    def read_opening(self) -> str:
        """Read the opening; return its nonce."""
        assert self._exactly(len(MAGIC)) == MAGIC
        nonce: str = json.loads(self.read_frame().payload)["nonce"]
        return nonce

    def send_welcome(self, **fields: object) -> None:
        """Read the opening, and answer it with a welcome."""
        message = make_welcome(**({"nonce": self.read_opening()} | fields))
        self.sock.sendall(MAGIC)
        self.send_answer(1, message, 0)

    def send_answer(self, kind: int, message: BaseModel, number: int) -> None:
        """Answer a question."""
        self.sock.sendall(serialize(kind, encode(message), flags=ANSWER, id=number))

    def read_frame(self) -> Frame:
        """Read a frame."""
        length, kind, flags, _, number = HEADER.unpack(self._exactly(HEADER_SIZE))
        return Frame(kind, flags, number, self._exactly(length))

    def wait_for_close(self) -> None:
        """Wait until the client closes."""
        read_to_end(self.sock)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise ConnectionError("the client has left")
            data += piece
        return data


class FakeServer:
    """Listens on loopback; each connection is handled by the next script."""

    def __init__(self, *scripts: Script) -> None:
        """Listen; nobody is met before the context is entered."""
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._failed: Exception | None = None
        self.accepted = 0
        self.address = Address(
            socket.AF_INET, "127.0.0.1", self._listener.getsockname()[1]
        )

    async def __aenter__(self) -> Self:
        """Start to accept."""
        self._thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop accepting; raise what a script has raised."""
        self._listener.shutdown(socket.SHUT_RDWR)
        # Not here: a client's last words are still for the loop to send.
        await asyncio.to_thread(self._thread.join, TIMEOUT_SECONDS)
        self._listener.close()
        if self._failed is not None and error is None:
            raise self._failed

    def _serve(self) -> None:
        for script in self._scripts:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # shut down: not all scripts were needed
                return
            self.accepted += 1
            try:
                # A client that has heard enough leaves by a reset.
                with sock, contextlib.suppress(ConnectionError):
                    script(AcceptedConnection(sock))
            except Exception as failure:  # noqa: BLE001 - raised where the test is
                self._failed = failure
                return


@contextlib.asynccontextmanager
async def framed_connection(sock: socket.socket) -> AsyncIterator[FramedConnection]:
    """Open a framed connection over a socket; close it afterwards."""
    connection = await start_framed_connection(sock)
    try:
        yield connection
    finally:
        connection.close()
        await wait_until(lambda: connection.is_closed)


@contextlib.asynccontextmanager
async def connection_to_fake_server(script: Script) -> AsyncIterator[FramedConnection]:
    """Connect to a fake server with this script."""
    async with FakeServer(script) as server:
        connected = await connect(server.address, TIMEOUT_SECONDS)
        assert connected.sock is not None
        async with framed_connection(connected.sock) as connection:
            yield connection


def welcome_and_wait(connection: AcceptedConnection) -> None:
    """Welcome the client, then wait until it closes."""
    connection.send_welcome()
    connection.wait_for_close()
