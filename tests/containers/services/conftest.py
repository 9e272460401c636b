"""The image of all services, and what starts one of them."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.containers.conftest import exclusive_lock
from tests.containers.sandbox import Images, Sandbox, engine_handle
from tests.containers.services.catalogue import Service

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
IMAGE = "netduet-test-services"
BUILD_SECONDS = 900


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that serves, with the address at which this test reaches it."""

    service: Service
    container: DockerContainer
    host: str
    port: int
    network: Network


StartService = Callable[[Service], RunningService]


@pytest.fixture(scope="session")
def services_image(engine: docker.DockerClient, images: Images) -> str:
    """Build the image; Debian's packages are fetched once, and stay in the cache."""
    assert engine
    assert images  # and with them the image that all stand on
    base = subprocess.run(
        [ROOT / "deploy/base-image/resolve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[1]
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("Dockerfile", "is-listening"):
            tar.add(HERE / name, name)
    with exclusive_lock("services"):
        # Not the engine's API: the client of it gives up after a minute of silence.
        done = subprocess.run(
            [
                "docker",
                "build",
                "-q",
                "-t",
                IMAGE,
                "--build-arg",
                f"BUILDER_IMAGE={base}",
                "-",
            ],
            input=context.getvalue(),
            capture_output=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout.decode().split()[-1]


@pytest.fixture
def start_service(services_image: str, sandbox: Sandbox) -> StartService:
    """Return what starts a service on a network of its own and waits until it serves."""
    network = sandbox.network()

    def start(service: Service) -> RunningService:
        key = f"{service.port}/{service.transport}"
        container = sandbox.start(
            services_image,
            network,
            alias=service.name,
            command=["sh", "-c", service.script],
            ports={key: None},
            wait=service.ready_command,
        )
        handle = engine_handle(container)
        handle.reload()
        [binding, *_] = handle.attrs["NetworkSettings"]["Ports"][key]
        host = container.get_container_host_ip()
        published = int(binding["HostPort"])
        return RunningService(service, container, host, published, network)

    return start
