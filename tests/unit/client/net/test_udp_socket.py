"""A connected UDP socket against sockets on loopback."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from netduet.client.net.dial import Address
from netduet.client.net.error_queue import parse_extended_error
from netduet.client.net.udp_socket import IcmpNotice, UdpSocket
from tests.integration.servers import TIMEOUT_SECONDS

HOSTS = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


@contextmanager
def peer(family: socket.AddressFamily, host: str) -> Iterator[socket.socket]:
    """Return a bound socket that never waits for long."""
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(TIMEOUT_SECONDS)
        sock.bind((host, 0))
        yield sock


def towards(sock: socket.socket) -> Address:
    """Return where a socket is."""
    host, port = sock.getsockname()[:2]
    return Address(sock.family, host, port)


@pytest.mark.parametrize(("family", "host"), HOSTS)
def test_datagrams_are_sent_and_received(
    family: socket.AddressFamily, host: str
) -> None:
    """Receiving waits for the answer."""
    with peer(family, host) as remote, UdpSocket(towards(remote)) as sock:
        assert sock.send(b"question") == ""
        data, source = remote.recvfrom(100)
        remote.sendto(b"answer", source)
        assert (data, sock.wait(TIMEOUT_SECONDS)) == (b"question", [b"answer"])
        assert sock.notices == []


@pytest.mark.parametrize(("family", "host"), HOSTS)
def test_refusal_names_its_sender(family: socket.AddressFamily, host: str) -> None:
    """The error queue has the ICMP error and its sender; the next send works."""
    with peer(family, host) as remote:
        address = towards(remote)
    with UdpSocket(address) as sock:
        assert [sock.send(b"1"), sock.send(b"2")] == ["", ""]
        assert sock.wait(TIMEOUT_SECONDS) == []
        kind, code = (1, 4) if ":" in host else (3, 3)  # port unreachable
        assert set(sock.notices) == {IcmpNotice("ECONNREFUSED", host, 0, kind, code)}


def test_receive_without_an_answer_is_empty() -> None:
    """Silence gives an empty list."""
    with peer(*HOSTS[0]) as remote, UdpSocket(towards(remote)) as sock:
        assert sock.wait(0.001) == []


def test_receive_buffer_overflow_is_counted() -> None:
    """The drop counter is exactly the number of datagrams that are missing."""
    count = 5000
    with peer(*HOSTS[0]) as remote, UdpSocket(towards(remote)) as sock:
        sock.send(b"")
        _, source = remote.recvfrom(1)
        for _ in range(count):
            remote.sendto(bytes(1000), source)
        received = 0
        while arrived := sock.wait(0):
            received += len(arrived)
        dropped = sock.dropped
    assert dropped is not None
    assert dropped > 0
    assert received + dropped == count


@pytest.mark.parametrize(("family", "host"), HOSTS)
def test_too_large_datagram_returns_emsgsize(
    family: socket.AddressFamily, host: str
) -> None:
    """A local send error has its errno, and is no error from the network."""
    with peer(family, host) as remote, UdpSocket(towards(remote)) as sock:
        sock.set_fragmentation(allowed=False)
        assert sock.send(bytes(65_536)) == "EMSGSIZE"
        assert sock.notices == []


@pytest.mark.parametrize(("family", "host"), HOSTS)
def test_mtu_of_loopback_is_known(family: socket.AddressFamily, host: str) -> None:
    """The path MTU and the MTU of the interface are equal on loopback."""
    with peer(family, host) as remote, UdpSocket(towards(remote)) as sock:
        assert sock.mtu is not None
        assert sock.interface_mtu == sock.mtu
        remote.setblocking(False)
        with pytest.raises(BlockingIOError):  # nothing was sent to find it out
            remote.recv(100)


@pytest.mark.parametrize(
    ("number", "origin", "info", "offender", "expected"),
    [
        (errno.ECONNREFUSED, 2, 0, "192.0.2.1", ("ECONNREFUSED", "192.0.2.1", 0)),
        (errno.EMSGSIZE, 2, 1400, "192.0.2.9", ("EMSGSIZE", "192.0.2.9", 1400)),
        (errno.EACCES, 3, 7, "2001:db8::1", ("EACCES", "2001:db8::1", 0)),
        (errno.EMSGSIZE, 1, 1500, "", ("EMSGSIZE", "", 1500)),
    ],
)
def test_error_queue_message_is_parsed(
    number: int, origin: int, info: int, offender: str, expected: tuple[str, str, int]
) -> None:
    """The kernel's structure gives the error, its sender, and the MTU."""
    data = struct.pack("=IBBBBII", number, origin, 3, 3, 0, info, 0)
    if ":" in offender:
        packed = socket.inet_pton(socket.AF_INET6, offender)
        data += struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, packed, 0)
    elif offender:
        data += struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(offender))
    found = parse_extended_error(data)
    assert (found.error, found.offender, found.mtu) == expected
    assert found.local is (origin == 1)
