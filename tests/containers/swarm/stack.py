"""The stack on a real engine in swarm mode: deploy, scale, update, check."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker
from docker.models.containers import Container
from docker.models.services import Service
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from tests.containers.sandbox import HARDENED, ContainerResult, Images

STACK: Final = Path(__file__).parents[3] / "deploy/swarm/stack.yml"
TIMEOUT_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.2
_LABELS: Final = {LABEL_SESSION_ID: SESSION_ID}
_SWARM_LABELS: Final = {"io.netduet.tests": "swarm"}
_BRIDGE: Final = "docker_gwbridge"
_NAMESPACE: Final = "com.docker.stack.namespace"
_ALREADY_IN_SWARM: Final = (
    "this engine is part of a swarm already, so NO swarm test ran: they make a swarm of "
    "their own and leave it in the end; run them on an engine that is in none"
)


def require_no_other_swarm(info: Mapping[str, Any]) -> None:
    """Make sure that no swarm but the tests' own is joined, for it is left in the end.

    Raises:
        RuntimeError: the engine is in one that somebody else made.

    """
    if info["Swarm"]["LocalNodeState"] != "inactive" and not _is_ours(info):
        raise RuntimeError(_ALREADY_IN_SWARM)


def join_swarm(engine: docker.DockerClient) -> None:
    """Make a swarm of this engine alone, unless these tests have made it before.

    Raises:
        RuntimeError: the engine is in a swarm that somebody else made.

    """
    info = engine.info()
    require_no_other_swarm(info)
    if not _is_ours(info):
        engine.swarm.init(
            advertise_addr="127.0.0.1",
            listen_addr="127.0.0.1:2377",
            labels=_SWARM_LABELS,
        )


def leave_swarm(engine: docker.DockerClient) -> None:
    """Leave the swarm that these tests made, if there is one.

    No other test may run meanwhile: an engine that leaves a swarm forgets the names of
    every local network's containers, and disconnects those on attachable networks, such
    as docker-compose makes (``cleanupServiceDiscovery`` of libnetwork,
    ``clearAttachableNetworks`` of Docker 20.10).
    """
    if not _is_ours(engine.info()):
        return
    engine.swarm.leave(force=True)
    for network in engine.networks.list(names=[_BRIDGE]):
        network.remove()


def _is_ours(info: Mapping[str, Any]) -> bool:
    """Whether these tests made the swarm that the engine is in."""
    cluster = info["Swarm"].get("Cluster") or {}  # a manager's alone
    return bool(cluster.get("Spec", {}).get("Labels") == _SWARM_LABELS)


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    """Look again until something holds; fail, saying what, when it never does."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"never {what}")


@dataclass
class Stack:
    """A stack that is deployed under a name of its own."""

    engine: docker.DockerClient
    images: Images
    name: str = field(default_factory=lambda: f"netduet-{uuid.uuid4().hex[:8]}")

    def deploy(self, **settings: str) -> None:
        """Deploy as a person would, from the images that are here."""
        env = {**os.environ, **settings}
        command = ["docker", "stack", "deploy", "--resolve-image", "never"]
        done = subprocess.run(
            [*command, "-c", str(STACK), self.name],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def remove(self) -> None:
        """Remove the stack, and wait until nothing of it is left."""
        label = {"label": f"{_NAMESPACE}={self.name}"}
        for service in self.engine.services.list(filters=label):
            service.remove()
        wait_until("without tasks", lambda: not self.containers())
        for network in self.engine.networks.list(filters=label):
            wait_until(
                f"removed: {network.name}", lambda joined=network: _removed(joined)
            )

    @property
    def network(self) -> str:
        """The name of the network that all of it is on."""
        return f"{self.name}_pair"

    @property
    def server(self) -> Service:
        """The servers, as one service."""
        return self.engine.services.get(f"{self.name}_server")

    def containers(self, service: str = "") -> list[Container]:
        """Return the containers that run now, of one service or of all."""
        labels = [f"{_NAMESPACE}={self.name}"]
        if service:
            labels.append(f"com.docker.swarm.service.name={self.name}_{service}")
        return list(self.engine.containers.list(filters={"label": labels}))

    def settle(self, replicas: int) -> None:
        """Wait until this number of servers runs, healthy, and no other is left."""

        def settled() -> bool:
            tasks = self.server.tasks({"desired-state": "running"})
            states = [task["Status"]["State"] for task in tasks]
            return (
                states == ["running"] * replicas
                and len(self.containers("server")) == replicas
            )

        wait_until(f"{replicas} servers", settled)

    def scale(self, replicas: int) -> None:
        """Scale to this number of servers, and wait for it."""
        assert self.server.scale(replicas)
        self.settle(replicas)

    def update(self) -> None:
        """Replace every server, and wait until that is done."""
        self.server.force_update()

        def state() -> str:
            found: str = self.server.attrs.get("UpdateStatus", {}).get("State", "")
            return found

        wait_until("under way", lambda: state() in {"updating", "completed"})
        wait_until("completed", lambda: state() == "completed")

    def start(self, image: str, command: list[str], **options: Any) -> Container:
        """Start a container on the stack's network, as a person joins it by hand."""
        return self.engine.containers.run(
            image,
            command,
            network=self.network,
            detach=True,
            labels=_LABELS,
            **options,
        )

    def client(self, *words: str) -> ContainerResult:
        """Run a client on the stack's network to its end."""
        return wait_for_end(self.start(self.images.client, list(words), **HARDENED))


def wait_for_end(container: Container) -> ContainerResult:
    """Wait until a container exits, remove it, and return its status and output."""
    status = int(container.wait()["StatusCode"])
    out = container.logs(stdout=True, stderr=False).decode()
    err = container.logs(stdout=False, stderr=True).decode()
    container.remove()
    return ContainerResult(status, out, err)


def _removed(network: Any) -> bool:
    """Remove a network as soon as nothing is on it any more."""
    try:
        network.remove()
    except docker.errors.NotFound:
        return True
    except docker.errors.APIError:
        return False
    return True
