"""Binding one port everywhere, and its errors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
from typing import cast

import pytest

import netduet.net.bind as binding
from netduet.net import kernel
from netduet.net.bind import BindError, bind
from netduet.net.tcp_info import accept_queue
from netduet.server import listener
from netduet.server.listener import Listener
from netduet.server.tcp_connection import TcpConnection


def test_addresses_share_one_free_port() -> None:
    """Port 0 gives the same port for TCP and UDP, IPv4 and IPv6."""
    sockets = bind("", 0, udp=True)
    try:
        names = [sock.getsockname()[:2] for sock in (*sockets.tcp, *sockets.udp)]
        expected = [("0.0.0.0", sockets.port), ("::", sockets.port)] * 2
        assert names == expected
        assert sockets.absent == []
    finally:
        sockets.close()


def test_ipv4_host_listens_on_ipv4_only() -> None:
    """An IPv4 address is bound on IPv4 alone, and no family counts as missing."""
    sockets = bind("127.0.0.1", 0, udp=False)
    assert [sock.family for sock in sockets.tcp] == [socket.AF_INET]
    assert (sockets.udp, sockets.absent) == ([], [])
    sockets.close()


def test_host_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that lacks a family serves the other one and reports it."""
    bind_one = binding._bind_one

    def without_ipv6(
        family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int
    ) -> socket.socket:
        if family is socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return bind_one(family, kind, address, port)

    monkeypatch.setattr(binding, "_bind_one", without_ipv6)
    sockets = bind("", 0, udp=True)
    assert [sock.family for sock in (*sockets.tcp, *sockets.udp)] == [
        socket.AF_INET
    ] * 2
    assert sockets.absent == ["AF_INET6"]
    sockets.close()


def test_host_without_any_family_cannot_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPv4 and IPv6 the server reports an error."""

    def nothing(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(binding, "_bind_one", nothing)
    with pytest.raises(BindError, match="every address, port 7"):
        bind("", 7, udp=True)


@pytest.mark.parametrize("udp_is_taken", [False, True])
def test_port_in_use_is_named(*, udp_is_taken: bool) -> None:
    """A TCP or UDP port in use is named with a remedy; no socket is left open."""
    kind = socket.SOCK_DGRAM if udp_is_taken else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if not udp_is_taken:
            holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1, port {port}: another process"):
            bind("127.0.0.1", port, udp=True)


def test_port_zero_skips_ports_in_use_for_udp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another port is chosen if UDP is taken."""
    bind_one = binding._bind_one
    refused: list[int] = []

    def first_udp_is_taken(
        family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int
    ) -> socket.socket:
        if kind is socket.SOCK_DGRAM and not refused:
            refused.append(port)
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return bind_one(family, kind, address, port)

    monkeypatch.setattr(binding, "_bind_one", first_udp_is_taken)
    sockets = bind("127.0.0.1", 0, udp=True)
    assert refused
    assert {sock.getsockname()[1] for sock in (*sockets.tcp, *sockets.udp)} == {
        sockets.port
    }
    sockets.close()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("192.0.2.1", "192.0.2.1, port 0: this host has no such address"),
        ("no-such-name.invalid", "this name does not resolve here"),
    ],
)
def test_foreign_address_is_named(host: str, words: str) -> None:
    """An address of another host, or an unknown name, is a one-line error."""
    with pytest.raises(BindError, match=words):
        bind(host, 0, udp=True)


async def test_second_listener_gets_a_clear_error() -> None:
    """Two may bind a port before either listens; the second gets the usual error."""
    first = bind("127.0.0.1", 0, udp=False)
    second = bind("127.0.0.1", first.port, udp=False)
    first.tcp[0].listen()
    with pytest.raises(
        BindError, match=f"127.0.0.1, port {first.port}: another process"
    ):
        await Listener(second.tcp, lambda _: pytest.fail("accepted")).start(8)
    first.close()
    second.close()


@pytest.mark.parametrize("turns", range(6))
async def test_connection_accepted_during_the_stop_is_served(turns: int) -> None:
    """However far the accept has come when the listener stops."""
    started: list[asyncio.BaseTransport] = []

    class Accepted(asyncio.Protocol):
        """A session that does nothing."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            """Count it."""
            started.append(transport)

    sockets = bind("127.0.0.1", 0, udp=False)
    listening = Listener(sockets.tcp, lambda _: cast("TcpConnection", Accepted()))
    await listening.start(8)
    with socket.create_connection(("127.0.0.1", sockets.port)):
        for _ in range(turns):
            await asyncio.sleep(0)
        await listening.stop(1.0)
    assert len(started) == 1
    for transport in started:
        transport.close()
    await asyncio.sleep(0)


WAYS = ("refuse_new_connections", "ignore_new_connections")
"""How the kernel holds newcomers off, the best way first; each may be impossible."""


def allow(monkeypatch: pytest.MonkeyPatch, way: str | None) -> None:
    """Let the kernel do one of these alone, or none."""
    for each in WAYS:
        if each != way:
            monkeypatch.setattr(kernel, each, lambda _: False)


@pytest.mark.parametrize("way", [*WAYS, None])
async def test_stopping_listener_lets_almost_no_connection_in(
    monkeypatch: pytest.MonkeyPatch, way: str | None
) -> None:
    """None, or a single one that fills the accept queue, depending on the kernel."""
    allow(monkeypatch, way)
    sockets = bind("127.0.0.1", 0, udp=False)
    [sock] = sockets.tcp
    sock.listen()
    listener._hold_off(sock)
    made = 0
    for _ in range(3):
        held_off = contextlib.suppress(TimeoutError, ConnectionRefusedError)
        with held_off, socket.socket() as client:
            client.settimeout(0.2)
            await asyncio.to_thread(client.connect, ("127.0.0.1", sockets.port))
            made += 1
    assert made == (0 if way else 1)
    assert accept_queue(sock.fileno()) == made
    sockets.close()


class Herald(asyncio.Protocol):
    """A connection that sends first, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send a byte, so that the peer knows that it was accepted."""
        writer = cast("asyncio.Transport", transport)
        writer.write(b"accepted")
        writer.close()


def connect_until_held_off(port: int, warm: threading.Event) -> list[bytes]:
    """Connect again and again until that fails; return what each connection brought."""
    brought: list[bytes] = []
    while True:
        with socket.socket() as sock:
            sock.settimeout(5)
            try:
                sock.connect(("127.0.0.1", port))
            except OSError:
                return brought
            try:
                brought.append(sock.recv(100))
            except OSError as error:
                brought.append(repr(error).encode())
        if len(brought) > 20:
            warm.set()


@pytest.mark.parametrize("way", WAYS)
async def test_stopping_listener_under_load_resets_no_connection(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Every completed connection is accepted, although new ones keep coming."""
    allow(monkeypatch, way)
    sockets = bind("127.0.0.1", 0, udp=False)
    listening = Listener(sockets.tcp, lambda _: cast("TcpConnection", Herald()))
    await listening.start(8)
    warm = threading.Event()
    clients = [
        asyncio.create_task(
            asyncio.to_thread(connect_until_held_off, sockets.port, warm)
        )
        for _ in range(8)
    ]
    await asyncio.to_thread(warm.wait, 10)
    begin = time.monotonic()
    await listening.stop(timeout=60.0)
    assert time.monotonic() - begin < 30  # the queues ran empty
    brought = [word for words in await asyncio.gather(*clients) for word in words]
    assert set(brought) == {b"accepted"}
