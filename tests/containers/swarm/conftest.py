"""An engine that is in swarm mode while these tests run."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.containers.sandbox import Images
from tests.containers.swarm.stack import Stack, join_swarm


@pytest.fixture(scope="session")
def swarm(engine: docker.DockerClient) -> docker.DockerClient:
    """Make a swarm of this engine alone; the end of the whole run leaves it."""
    try:
        join_swarm(engine)
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    return engine


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
