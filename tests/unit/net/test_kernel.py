"""What the kernel reports about sockets and the CPU, on the real kernel."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netduet.net import kernel, tcp_info


def test_no_socket_has_no_tcp_info() -> None:
    """For a closed, negative or file descriptor the result is None, never zero."""
    with socket.socket() as sock:
        closed = sock.fileno()
    with Path("/dev/null").open() as file:
        for descriptor in (closed, -1, file.fileno()):
            assert tcp_info.tcp_info(descriptor) is None
            assert kernel.socket_drops(descriptor) is None
            assert kernel.openings_dropped(descriptor, 0) is None
            assert tcp_info.accept_queue(descriptor) is None
            assert tcp_info.bytes_acked(descriptor) == 0
            assert kernel.ignore_new_connections(descriptor) is False
            assert kernel.refuse_new_connections(descriptor) is False
            with pytest.raises(OSError, match=r"descriptor|socket"):
                kernel.reset_on_close(descriptor)
        assert os.fstat(file.fileno())  # lent, not taken


def test_drops_are_those_of_one_listener() -> None:
    """Drops that the network namespace did not count were no SYNs."""
    before = kernel.listen_drops()
    assert before is not None
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1) as full,
        socket.create_server(("127.0.0.1", 0), backlog=8) as other,
    ):
        clients = [socket.socket() for _ in range(6)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        drops = kernel.socket_drops(full.fileno())
        assert drops is not None
        assert drops >= 4
        assert kernel.socket_drops(other.fileno()) == 0
        openings = kernel.openings_dropped(full.fileno(), before)
        assert openings is not None
        assert openings >= 4
        after = kernel.listen_drops()
        since = kernel.openings_dropped(full.fileno(), after)
        now = kernel.listen_drops()
        assert after is not None
        assert since is not None
        assert now is not None
        assert since <= now - after
        assert kernel.openings_dropped(full.fileno(), None) is None
        assert kernel.openings_dropped(other.fileno(), None) == 0
        for client in clients:
            client.close()


def test_reset_on_close_resets(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    """Closing a marked socket sends a RST; the mark alone closes nothing."""
    _, client, server = pair
    kernel.reset_on_close(server.fileno())
    client.sendall(b"still open")
    assert server.recv(100) == b"still open"
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_held_off_listener_serves_existing_connections() -> None:
    """New SYNs are dropped; accepted and queued connections are unaffected."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        with socket.create_connection(listener.getsockname()) as waiting:
            assert kernel.ignore_new_connections(listener.fileno()) is True
            server, _ = listener.accept()
            with server, socket.socket() as late:
                late.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    late.connect(listener.getsockname())
                waiting.sendall(b"hello")
                assert server.recv(100) == b"hello"
        assert tcp_info.accept_queue(listener.fileno()) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_refusing_listener_serves_existing_connections(host: str) -> None:
    """New SYNs are refused; accepted and queued connections are unaffected."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=8) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((host, port)) as waiting:
            assert kernel.refuse_new_connections(listener.fileno()) is True
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, port))
            server, _ = listener.accept()
            with server:
                waiting.sendall(b"hello")
                assert server.recv(100) == b"hello"
                server.sendall(b"hello back")
                assert waiting.recv(100) == b"hello back"


def test_descriptors_are_raised_to_the_hard_limit() -> None:
    """The soft limit becomes the hard limit, and is returned."""
    code = (
        "import resource as r; from netduet.net import kernel, tcp_info; "
        "r.setrlimit(r.RLIMIT_NOFILE, (100, 200)); "
        "print(kernel.raise_descriptor_limit(), *r.getrlimit(r.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["200", "200", "200"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] != 200


def test_throttling_is_read_from_cgroup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``cpu.stat`` of the process's own cgroup comes first, in seconds."""
    (tmp_path / "cpu.stat").write_text("usage_usec 5\nthrottled_usec 2500000\n")
    monkeypatch.setattr(kernel, "_cgroup_v2", lambda: tmp_path)
    assert kernel.throttled_seconds() == 2.5


def test_pressure_is_read_from_psi(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The total of ``some`` counts, in seconds; without the file there is None."""
    lines = ["some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000", "full total=9"]
    monkeypatch.setattr(kernel, "_lines", lambda _: lines)
    assert kernel.cpu_pressure_seconds() == 1.5
    monkeypatch.setattr(kernel, "_lines", lambda _: [])
    assert kernel.cpu_pressure_seconds() is None
    assert kernel.throttled_seconds() is None


def test_files_of_this_machine_are_read_without_error() -> None:
    """Each value is a number or None."""
    for value in (kernel.throttled_seconds(), kernel.cpu_pressure_seconds()):
        assert value is None or value >= 0
    assert kernel._lines(Path("/no/such/file")) == []


def test_local_port_use_is_read() -> None:
    """The range and the TIME_WAIT sockets are those that the kernel reports."""
    words = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert kernel.local_ports() == (int(words[0]), int(words[1]))
    waiting = kernel.time_wait()
    assert waiting is not None
    assert waiting >= 0
