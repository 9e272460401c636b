"""The smallest example: a network between two containers."""

from testcontainers.core.network import Network

from netduet.testing import Duet


def test_network_works() -> None:
    """All quick checks pass between two containers."""
    with Network() as network, Duet(network) as duet:
        duet.check("quick").assert_ok()
