"""An engine that is in swarm mode while these tests run."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.containers.sandbox import Images
from tests.containers.swarm.stack import Stack, require_no_swarm

_BRIDGE = "docker_gwbridge"


@pytest.fixture(scope="session")
def swarm(engine: docker.DockerClient) -> Iterator[docker.DockerClient]:
    """Make a swarm of this engine alone, and leave it; one that is there is an error."""
    try:
        require_no_swarm(engine.info())
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    there = {network.name for network in engine.networks.list()}
    engine.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    try:
        yield engine
    finally:
        engine.swarm.leave(force=True)
        for network in engine.networks.list(names=[_BRIDGE]):
            if _BRIDGE not in there:
                network.remove()


@pytest.fixture(scope="module")
def stack(swarm: docker.DockerClient, images: Images) -> Iterator[Stack]:
    """Deploy the stack with one server; remove it in the end."""
    deployed = Stack(swarm, images)
    try:
        deployed.deploy(NETDUET_REPLICAS="1")
        deployed.settle(1)
        yield deployed
    finally:
        deployed.remove()
