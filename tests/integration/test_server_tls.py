"""The server's port with TLS: both dialects, mutual TLS, refusals, reload."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from netduet.server import tls
from netduet.wire.frames import HEADER, HEADER_SIZE, MAGIC, Kind, serialize
from tests.integration.certificates import Authority, CertificateFiles, authority
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.framed_client import (
    GREETING,
    HELLO,
    FramedClient,
    connect,
    opening,
    read_to_end,
)
from tests.integration.servers import wait_until


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    """Make the authority of clients and servers."""
    return authority(tmp_path)


def settings(files: CertificateFiles, **others: object) -> dict[str, object]:
    """Return the settings of a server with this certificate."""
    return {"tls_cert": files.certificate, "tls_key": files.key, **others}


def fingerprint(files: CertificateFiles) -> str:
    """Return the fingerprint of a certificate, as the server tells it."""
    return files.issued.certificate.fingerprint(SHA256()).hex()


def client_context(
    ca: Authority, own: CertificateFiles | None = None
) -> ssl.SSLContext:
    """Return the context of a client that verifies."""
    context = ssl.create_default_context(cafile=ca.file)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


@contextlib.contextmanager
def framed_tls(port: int, context: ssl.SSLContext) -> Iterator[FramedClient]:
    """Open a framed connection inside of TLS."""
    client = FramedClient(port)
    client.sock = context.wrap_socket(
        client.sock, server_hostname="localhost", do_handshake_on_connect=False
    )
    with client.sock as sock:
        sock.do_handshake()
        with client:
            yield client


async def test_both_dialects_work_inside(
    start_server: StartServer, ca: Authority
) -> None:
    """Greeting, opening, echo and end; the welcome says which certificate it is."""
    files = ca.issue("server")
    running = await start_server(**settings(files))

    def talk() -> None:
        context = client_context(ca)
        with context.wrap_socket(
            connect(running.port), server_hostname="localhost"
        ) as sock:
            sock.sendall(HELLO)
            assert read_to_end(sock) == GREETING

    await asyncio.to_thread(talk)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", running.port, ssl=client_context(ca), server_hostname="localhost"
    )
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.write(opening())
    assert await reader.readexactly(len(MAGIC)) == MAGIC
    welcome = json.loads(await receive(reader, Kind.OPEN))
    assert welcome["certificate"] == fingerprint(files)
    for size in (0, 1, 300_000):
        payload = os.urandom(size)
        writer.write(serialize(Kind.ECHO, payload))
        assert await receive(reader, Kind.ECHO) == payload
    writer.write(serialize(Kind.END))
    assert await receive(reader, Kind.END) == b""
    assert await reader.read() == b""
    writer.close()
    line = await running.closed_line()
    assert (line["netduet.dialect"], line["netduet.ended"]) == ("plain", "greeted")
    assert line["netduet.bytes_received"] == len(HELLO)


async def receive(reader: asyncio.StreamReader, kind: Kind) -> bytes:
    """Return the payload of the next frame, which is of this kind."""
    length, got, *_ = HEADER.unpack(await reader.readexactly(HEADER_SIZE))
    assert got == kind
    return await reader.readexactly(length)


async def test_peer_without_tls_is_told(
    start_server: StartServer, ca: Authority
) -> None:
    """In its own dialect, and it is not greeted; the log has the reason."""
    running = await start_server(**settings(ca.issue("server")))

    def talk() -> None:
        with connect(running.port) as sock:
            sock.sendall(HELLO)
            assert read_to_end(sock) == b"this port requires TLS\n"
        client = FramedClient(running.port)
        client.sock.sendall(opening())
        assert client.sock.recv(len(MAGIC), socket.MSG_WAITALL) == MAGIC
        assert client.error()["code"] == "tls_required"
        client.sock.close()

    await asyncio.to_thread(talk)
    for number in (1, 2):
        line = await running.closed_line(number)
        assert line["netduet.ended"] == "tls_required"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_mutual_tls_serves_known_clients_alone(
    start_server: StartServer, ca: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Neither without a certificate, nor with one of another authority."""
    files = ca.issue("server")
    running = await start_server(**settings(files, tls_client_ca=ca.file))
    stranger = authority(tmp_path, "Strange CA").issue("stranger")

    def talk(own: CertificateFiles | None) -> str:
        context = client_context(ca, own)
        context.maximum_version = version
        try:
            with framed_tls(running.port, context) as client:
                client.send(Kind.ECHO, b"x")  # a TLS socket is for one thread
                return "" if client.receive().payload == b"x" else "no echo"
        except ssl.SSLError as error:
            return error.reason

    assert await asyncio.to_thread(talk, ca.issue("client")) == ""
    assert "ALERT" in await asyncio.to_thread(talk, None)
    assert "UNKNOWN_CA" in await asyncio.to_thread(talk, stranger)


async def test_silent_and_broken_handshakes_end_in_time(
    start_server: StartServer, ca: Authority
) -> None:
    """The limits of a connection hold from its first byte on."""
    running = await start_server(
        **settings(ca.issue("server"), first_byte_timeout=0.3, max_connections=3)
    )

    def talk(sent: bytes) -> bytes:
        with connect(running.port) as sock:
            sock.sendall(sent)
            with contextlib.suppress(ConnectionError):
                return read_to_end(sock)
            return b""

    hello_alone = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    assert await asyncio.to_thread(talk, hello_alone) == b""
    broken = await asyncio.to_thread(talk, b"\x16\x03\x01\x00\x05hello")
    assert broken.startswith(b"\x15\x03")
    await wait_until(lambda: not running.server._connections)


async def test_reload_under_load_drops_nothing(
    start_server: StartServer, ca: Authority
) -> None:
    """Open connections keep the old certificate, new ones get the new one at once.

    A file that cannot be used changes nothing.
    """
    live = ca.issue("live")
    second = ca.issue("second")
    old = fingerprint(live)
    running = await start_server(**settings(live))
    certificate = running.server._tls
    assert certificate is not None
    seen: list[str] = []
    stop = asyncio.Event()
    context = client_context(ca)

    async def call() -> None:
        """Make connections until the end; each has a conversation to its end."""
        while not stop.is_set():
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", running.port, ssl=context, server_hostname="localhost"
            )
            writer.write(opening() + serialize(Kind.ECHO, b"here", id=2))
            await reader.readexactly(len(MAGIC))
            length = HEADER.unpack(await reader.readexactly(HEADER_SIZE))[0]
            welcome = json.loads(await reader.readexactly(length))
            echoed = await reader.readexactly(HEADER_SIZE + 4)
            assert echoed.endswith(b"here")
            seen.append(welcome["certificate"])
            writer.close()

    kept = await asyncio.open_connection(
        "127.0.0.1", running.port, ssl=context, server_hostname="localhost"
    )
    callers = [asyncio.create_task(call()) for _ in range(4)]
    await wait_until(lambda: seen.count(old) >= 20)
    shutil.copy(live.key, live.certificate)
    certificate.reload()
    first = len(seen)
    await wait_until(lambda: len(seen) >= first + 20)
    assert set(seen) == {old}
    shutil.copy(second.certificate, live.certificate)
    certificate.reload()  # the key is still the old one
    later = len(seen)
    await wait_until(lambda: len(seen) >= later + 20)
    assert set(seen) == {old}
    shutil.copy(second.key, live.key)
    certificate.reload()
    await wait_until(lambda: seen.count(fingerprint(second)) >= 20)
    stop.set()
    await asyncio.gather(*callers)  # none was dropped
    reader, writer = kept
    writer.write(HELLO)
    assert await reader.read() == GREETING
    writer.close()
    assert [line["level"] for line in running.lines.of("tls.reload_failed")] == [
        "warning"
    ] * 2
    assert len(running.lines.of("tls.loaded")) == 2


async def test_changed_files_are_read_again(
    start_server: StartServer, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a link is replaced, as in a volume of a Kubernetes secret."""
    monkeypatch.setattr(tls, "WATCH_SECONDS", 0.02)
    first, second = ca.issue("first"), ca.issue("second")
    link = str(ca.folder / "link.pem")
    point_to(link, second)
    running = await start_server(tls_cert=link)
    shown = await running.lines.wait("tls.loaded")
    assert shown["tls.server.hash.sha256"] == fingerprint(second)
    point_to(link, first)
    shown = await running.lines.wait("tls.loaded", 2)
    assert shown["tls.server.hash.sha256"] == fingerprint(first)


def point_to(link: str, files: CertificateFiles) -> None:
    """Replace a link, to a file with a certificate and its key."""
    both = Path(files.key).with_suffix(".both")
    parts = (files.certificate, files.key)
    both.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    fresh = Path(f"{link}.new")
    fresh.symlink_to(both)
    fresh.replace(link)


def test_sighup_reloads_and_health_check_and_admin_port_work(
    serve_command: ServeCommand, ca: Authority
) -> None:
    """The real command, with mutual TLS on the main port."""
    files = ca.issue("server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin_port = free.getsockname()[1]
    running = serve_command(
        **settings(files, tls_client_ca=ca.file, admin_tls=True, admin_port=admin_port)
    )
    assert running.wait("server.ready")
    running.process.send_signal(signal.SIGHUP)
    assert running.wait("tls.loaded", 4)  # both ports, at the start and again
    environment = {
        "NETDUET_SERVER_PORT": str(running.port),
        "NETDUET_SERVER_TLS_CERT": files.certificate,
        "NETDUET_SERVER_TLS_CLIENT_CA": ca.file,
    }
    command = [sys.executable, "-m", "netduet.server.healthcheck"]
    done = subprocess.run(
        command, env=environment, capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    url = f"https://localhost:{admin_port}/readyz"
    with urllib.request.urlopen(url, timeout=10, context=client_context(ca)) as page:
        assert page.status == 200
    with connect(admin_port) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1024) == b""


def test_health_check_opens_inside_of_tls(
    serve_command: ServeCommand, ca: Authority
) -> None:
    """Without mutual TLS it is served like any client."""
    files = ca.issue("server")
    running = serve_command(**settings(files))
    assert running.wait("server.ready")
    environment = {
        "NETDUET_SERVER_PORT": str(running.port),
        "NETDUET_SERVER_TLS_CERT": files.certificate,
    }
    command = [sys.executable, "-m", "netduet.server.healthcheck"]
    done = subprocess.run(
        command, env=environment, capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tls_cert": "/none.pem"}, "tls-cert /none.pem: cannot be read: No such file"),
        ({"tls_key": "KEY"}, "does not belong to the certificate in"),
        ({"tls_client_ca": "KEY"}, "has no certificate in PEM"),
        ({"tls_cert": "KEY"}, "has no certificate in PEM"),
        ({"tls_cert": ""}, "needs a file in"),
    ],
)
def test_unusable_files_are_named(
    serve_command: ServeCommand, ca: Authority, wrong: dict[str, str], message: str
) -> None:
    """One line and status 2."""
    files, other = ca.issue("server"), ca.issue("other")
    named = {
        name: other.key if value == "KEY" else value for name, value in wrong.items()
    }
    running = serve_command(**settings(files) | named)
    assert running.finish() == 2
    text = running.stderr_text()
    assert message in text
    assert "Traceback" not in text
    assert text.count("\n") == 1
