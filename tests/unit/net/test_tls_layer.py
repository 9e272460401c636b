"""TLS between two protocols in one loop: data, ends of one direction, failures."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from pathlib import Path

import pytest

from netduet.net.tls_layer import TlsFailedError, TlsProtocol
from tests.integration.certificates import Authority, authority
from tests.integration.servers import wait_until

SIZE = 1_000_000
TIMEOUT_SECONDS = 20


class End(asyncio.Protocol):
    """One end: counts what arrives; may answer the other end's last byte."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.received = 0
        self.made = asyncio.Event()
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()
        self.error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.made.set()

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.received += len(data)

    def eof_received(self) -> bool:
        """Answer, and end the own direction."""
        self.ended.set()
        if self.answer:
            self.transport.write(self.answer)
            self.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep the error."""
        self.error = exc
        self.ended.set()
        self.lost.set()


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    """Make the authority that the client trusts."""
    return authority(tmp_path)


def server_context(ca: Authority, *names: str) -> ssl.SSLContext:
    """Return the context of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = ca.issue("server", *names)
    context.load_cert_chain(files.certificate, files.key)
    return context


async def connected(
    server: End,
    client: End,
    served: ssl.SSLContext,
    context: ssl.SSLContext,
    failures: list[TlsFailedError] | None = None,
) -> asyncio.Server:
    """Connect two ends; return the listener."""
    loop = asyncio.get_running_loop()
    seen = [] if failures is None else failures
    listener = await loop.create_server(
        lambda: TlsProtocol(server, served, fail=seen.append), "127.0.0.1", 0
    )
    port = listener.sockets[0].getsockname()[1]
    await loop.create_connection(
        lambda: TlsProtocol(client, context, server_name="localhost"),
        "127.0.0.1",
        port,
    )
    return listener


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_end_of_a_direction_leaves_the_other_open(
    ca: Authority, version: ssl.TLSVersion
) -> None:
    """All that is written before the handshake arrives, then the whole answer."""
    served = server_context(ca)
    served.maximum_version = version
    context = ssl.create_default_context(cafile=ca.file)
    server, client = End(bytes(SIZE)), End()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        listener = await connected(server, client, served, context)
        client.transport.write(bytes(SIZE // 2))
        assert client.transport.get_write_buffer_size() >= SIZE // 2
        client.transport.write_eof()
        await client.ended.wait()
        assert (server.received, client.received) == (SIZE // 2, SIZE)
        client.transport.close()
        await client.lost.wait()
        server.transport.close()
        await server.lost.wait()
    assert (client.error, server.error) == (None, None)
    listener.close()


async def test_certificate_of_another_name_ends_both(ca: Authority) -> None:
    """The client says why, and the server gets its alert."""
    context = ssl.create_default_context(cafile=ca.file)
    server, client = End(), End()
    failures: list[TlsFailedError] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        served = server_context(ca, "other.example")
        listener = await connected(server, client, served, context, failures)
        await client.lost.wait()
        await server.lost.wait()
    assert isinstance(client.error, TlsFailedError)
    assert "Hostname mismatch" in str(client.error)
    assert [type(server.error), str(server.error)] == [
        TlsFailedError,
        "sslv3 alert bad certificate",
    ]
    assert failures == [server.error]
    assert server.received == client.received == 0
    listener.close()


async def test_nothing_of_a_lost_connection_waits_for_the_collector(
    ca: Authority,
) -> None:
    """Cycles would keep the buffers of TLS: 7 KiB for each connection that ended."""
    served, context = server_context(ca), ssl.create_default_context(cafile=ca.file)
    loop = asyncio.get_running_loop()
    lost, ends = asyncio.Event(), []

    def make() -> TlsProtocol:
        end = End()
        end.lost = lost
        ends.append(weakref.ref(end))
        return TlsProtocol(end, served, refuse=end.eof_received)

    gc.collect()
    gc.disable()
    try:
        listener = await loop.create_server(make, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        writer.transport.abort()
        await wait_until(lambda: ends[0]() is None)
        assert lost.is_set()
    finally:
        gc.enable()
    listener.close()
