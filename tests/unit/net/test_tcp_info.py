"""TCP_INFO, read from the real kernel."""

from __future__ import annotations

import socket
import sys

import pytest

from netduet.net import tcp_info as module
from netduet.net.tcp_info import (
    TcpOption,
    accept_queue,
    bytes_acked,
    tcp_info,
    tcp_settings,
    window_scales,
)


def test_tcp_info_counts_bytes(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    """State, bytes each way and sizes are those of this connection."""
    _, client, server = pair
    client.sendall(bytes(5000))
    received = 0
    while received < 5000:
        received += len(server.recv(8192))
    server.sendall(b"x" * 70)
    client.recv(100)
    info = tcp_info(server.fileno())
    assert info is not None
    assert info.state == "ESTABLISHED"
    assert info.bytes_received == 5000
    assert info.bytes_acked == bytes_acked(server.fileno()) == 70
    assert info.unacked == info.notsent_bytes == info.total_retrans == 0
    assert info.pmtu == client.getsockopt(socket.IPPROTO_IP, 14)  # IP_MTU
    assert 0 < info.rtt < 1_000_000
    assert info.snd_mss == server.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


def test_tcp_info_shows_unacked_and_unsent_bytes(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    """Bytes beyond the peer's window are unacknowledged or not yet sent."""
    _, client, server = pair
    client.setblocking(False)
    sent = 0
    try:
        while True:
            sent += client.send(bytes(65536))
    except BlockingIOError:
        pass
    info = tcp_info(client.fileno())
    assert info is not None
    assert info.notsent_bytes > 0
    assert info.bytes_acked + info.notsent_bytes <= sent
    assert server.fileno() >= 0


@pytest.mark.parametrize("half_closed", [False, True])
def test_state_is_named(
    pair: tuple[socket.socket, socket.socket, socket.socket], *, half_closed: bool
) -> None:
    """The state has its name of RFC 9293."""
    _, client, server = pair
    if half_closed:
        client.shutdown(socket.SHUT_WR)
        server.recv(1)
    info = tcp_info(server.fileno())
    assert info is not None
    assert info.state == ("CLOSE_WAIT" if half_closed else "ESTABLISHED")


def test_accept_queue_counts_waiting_connections() -> None:
    """Only a listening socket has an accept queue."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        assert accept_queue(listener.fileno()) == 0
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        assert accept_queue(listener.fileno()) == 3
        listener.accept()[0].close()
        assert accept_queue(listener.fileno()) == 2
        assert accept_queue(clients[0].fileno()) is None
        for client in clients:
            client.close()


def test_options_are_those_of_the_handshake(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    """Each end's scale is the one that the other end received."""
    _, client, server = pair
    client.sendall(b"x")
    server.recv(1)
    ours, theirs = tcp_info(client.fileno()), tcp_info(server.fileno())
    assert ours is not None
    assert theirs is not None
    assert TcpOption.WINDOW_SCALE in TcpOption(ours.options or 0)
    assert (ours.rcv_wscale, ours.snd_wscale) == (theirs.snd_wscale, theirs.rcv_wscale)
    assert ours.data_segs_out == 1
    assert ours.snd_wnd


@pytest.mark.parametrize(
    ("byte", "order", "expected"),
    [(0xA7, "little", (7, 10)), (0xA7, "big", (10, 7))],
)
def test_window_scales_are_bit_fields(
    monkeypatch: pytest.MonkeyPatch, byte: int, order: str, expected: tuple[int, int]
) -> None:
    """The compiler puts the first field where the byte order says."""
    monkeypatch.setattr(sys, "byteorder", order)
    assert window_scales(byte) == expected


def test_fields_that_a_kernel_lacks_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    """A shorter structure, of an older kernel, has no windows."""
    read = module.read_option
    monkeypatch.setattr(
        module, "read_option", lambda *asked: (read(*asked) or b"")[:192]
    )
    info = tcp_info(pair[1].fileno())
    assert info is not None
    assert (info.snd_wnd, info.rcv_wnd, info.dsack_dups) == (None, None, None)
    assert info.data_segs_out == 0


def test_settings_are_those_of_the_kernel() -> None:
    """What this host offers is known, or None where a sandbox hides it."""
    settings = tcp_settings()
    assert settings.window_scaling in {None, 0, 1}
    assert settings.ecn in {None, *range(6)}
