"""The engine, the images, and a sandbox for each test.

No test here is ever skipped: without an engine each of them fails and says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from tests.containers.sandbox import Images, Sandbox
from tests.containers.swarm.stack import leave_swarm

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bound the time of a test alone: whoever comes first waits for the images.

    What fixtures run has bounds of its own.
    """
    for item in items:
        if item.path.is_relative_to(HERE) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(120, func_only=True))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave the swarm when the last test of all workers has ended."""
    if hasattr(session.config, "workerinput"):  # a worker: others may still run
        return
    with (
        contextlib.suppress(DockerException),
        contextlib.closing(docker.from_env()) as client,
    ):
        leave_swarm(client)


@contextlib.contextmanager
def exclusive_lock(name: str) -> Iterator[None]:
    """Keep the other workers of this run waiting: what one builds, they then have."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Return the engine; remove by their label whatever the tests left behind."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.fail(
            f"no container engine responds, so NO container test ran: {error}",
            pytrace=False,
        )
    yield client
    mine = {"label": f"{LABEL_SESSION_ID}={SESSION_ID}"}
    for container in client.containers.list(all=True, filters=mine):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=mine):
        network.remove()
    client.close()


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> Images:
    """Build both images as ``make up`` does, and find the Python they stand on."""
    with exclusive_lock("images"):
        built = subprocess.run(
            ["make", "--no-print-directory", "images"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert built.returncode == 0, built.stdout + built.stderr
    base = subprocess.run(
        [ROOT / "deploy/base-image/resolve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    images = Images("netduet-server", "netduet-client", base.stdout.split()[0])
    for name in (images.server, images.client, images.python):
        engine.images.get(name)
    return images


@pytest.fixture
def sandbox(images: Images) -> Iterator[Sandbox]:
    """Return a sandbox that is cleared when the test is over."""
    with Sandbox(images) as created:
        yield created
