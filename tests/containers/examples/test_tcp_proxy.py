"""An example: a TCP proxy under test, between netduet's server and client."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from netduet.testing import Duet

PROXY = Path(__file__).with_name("tcp_proxy.py")
NEED = ("half-close", "reset")  # it carries no UDP


@contextmanager
def behind_proxy(*options: str) -> Iterator[Duet]:
    """Run the pair on two networks, and the proxy on both: it is the one way between."""
    with (
        Network() as front,
        Network() as back,
        Duet(back, client_network=front) as duet,
        proxy(duet, front, *options) as proxied,
    ):
        back.connect(proxied.get_container_id())
        yield duet


def proxy(duet: Duet, front: Network, *options: str) -> DockerContainer:
    """Return the proxy's container, where clients find it as ``proxy``."""
    return (
        DockerContainer("netduet-client")  # your proxy's own image stands here
        .with_kwargs(entrypoint=["python3", "/proxy.py"])
        .with_copy_into_container(PROXY, "/proxy.py")
        .with_command([duet.address, *options])
        .with_network(front)
        .with_network_aliases("proxy")
        .waiting_for(LogMessageWaitStrategy("listening"))
    )


def test_proxy_passes_all_checks() -> None:
    """Full packets, a megabyte, half-close, FIN and RST all pass."""
    with behind_proxy() as duet:
        duet.check("quick", target="proxy:9000", need=NEED).assert_ok()


def test_proxy_without_half_close_is_found() -> None:
    """A proxy that closes both directions at the first FIN loses answers."""
    with behind_proxy("hasty") as duet:
        report = duet.check("quick", target="proxy:9000", need=NEED)
    report.assert_fails("close.half_close")
