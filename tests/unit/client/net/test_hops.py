"""Traces on loopback, which is one hop; networks with routers are in the lab."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from netduet.client.net.dial import Address
from netduet.client.net.hops import Hop, Trace, trace_datagrams, trace_syns
from netduet.client.net.own_host import ATTEMPTS, try_own_host
from netduet.client.net.reset_ttl import distance, reset_ttl

FAMILIES = pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)


def closed_port(family: socket.AddressFamily, host: str) -> Address:
    """Return a port on which nothing listens: one that was just in use."""
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        return Address(family, host, sock.getsockname()[1])


@FAMILIES
def test_datagrams_to_a_closed_port_reach_it(
    family: socket.AddressFamily, host: str
) -> None:
    """The target's own "port unreachable" is an answer, and has a TTL."""
    trace = trace_datagrams(closed_port(family, host))
    assert trace == Trace("udp", reached=1, answer_ttl=_default_ttl())


@FAMILIES
def test_syns_reach_open_and_closed_ports(
    family: socket.AddressFamily, host: str
) -> None:
    """A connection that is made, and a reset, are answers of the target."""
    assert trace_syns(closed_port(family, host)) == Trace("tcp", reached=1)
    with socket.create_server((host, 0), family=family) as listener:
        address = Address(family, host, listener.getsockname()[1])
        assert trace_syns(address) == Trace("tcp", reached=1)


@FAMILIES
def test_reset_of_this_host_has_passed_no_router(
    family: socket.AddressFamily, host: str
) -> None:
    """The TTL is found without a privilege."""
    ttl = reset_ttl(closed_port(family, host), 0.01)
    assert (ttl, distance(ttl)) == (_default_ttl(), 0)


def test_open_port_has_no_reset_ttl() -> None:
    """Nothing is refused there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert reset_ttl(Address(socket.AF_INET, "127.0.0.1", port), 0.01) == 0


@pytest.mark.parametrize(
    ("ttl", "routers"), [(64, 0), (63, 1), (33, 31), (128, 0), (120, 8), (255, 0)]
)
def test_distance_is_counted_from_the_usual_initial_ttls(
    ttl: int, routers: int
) -> None:
    """Of the initial values that fit, the lowest one is meant."""
    assert distance(ttl) == routers


@FAMILIES
@pytest.mark.parametrize("datagrams", [False, True])
def test_refusals_of_this_host_are_answers(
    family: socket.AddressFamily, host: str, *, datagrams: bool
) -> None:
    """The kernel hands them on, and counts them."""
    trial = try_own_host(closed_port(family, host), datagrams=datagrams)
    assert trial.answered >= 1
    assert datagrams or trial.answered == ATTEMPTS
    name = "Ip6InDelivers" if family == socket.AF_INET6 else "IpInDelivers"
    assert trial.grown[name] >= 1


def test_hop_is_named_by_distance_and_address() -> None:
    """As verdicts show it."""
    assert str(Hop(3, "198.51.100.1")) == "hop 3 (198.51.100.1)"


def _default_ttl() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_default_ttl").read_text())
