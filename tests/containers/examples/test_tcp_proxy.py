"""An example: a user's own TCP proxy under test, between the two halves of netduet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from netduet.testing import Duet

PROXY = Path(__file__).with_name("tcp_proxy.py")
TCP = ("name", "reach", "identity", "path", "size", "close")  # it carries no UDP


@pytest.fixture
def front() -> Iterator[Network]:
    """Return the network of the clients."""
    with Network() as network:
        yield network


@pytest.fixture
def duet(front: Network) -> Iterator[Duet]:
    """Return the pair, each half on a network of its own."""
    with Network() as back, Duet(back, client_network=front) as one:
        yield one


@contextmanager
def proxy(duet: Duet, front: Network, *options: str) -> Iterator[None]:
    """Run the proxy on both networks: the one way from the client to the server."""
    container = (
        DockerContainer("netduet-client")  # your proxy's own image stands here
        .with_kwargs(entrypoint=["python3", "/proxy.py"])
        .with_copy_into_container(PROXY, "/proxy.py")
        .with_command([duet.address, *options])
        .with_network(front)
        .with_network_aliases("proxy")
        .waiting_for(LogMessageWaitStrategy("listening"))
    )
    with container:
        duet.join(container)
        yield


def test_proxy_carries_all_that_tcp_does(duet: Duet, front: Network) -> None:
    """Full packets, a megabyte, half-closed connections, ends and resets: all pass."""
    with proxy(duet, front):
        duet.check("quick", target="proxy:9000", checks=TCP).assert_ok()


def test_hasty_proxy_is_found_out(duet: Duet, front: Network) -> None:
    """A proxy that closes both sides at the first end of sending loses answers."""
    with proxy(duet, front, "hasty"):
        report = duet.check("quick", target="proxy:9000", checks=TCP)
    report.assert_fails("close.half_close")
