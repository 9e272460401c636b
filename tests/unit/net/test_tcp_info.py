"""TCP_INFO, read from the real kernel."""

from __future__ import annotations

import socket

import pytest

from netduet.net.tcp_info import accept_queue, bytes_acked, tcp_info


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
