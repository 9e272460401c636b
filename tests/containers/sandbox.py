"""The sandbox of the container tests: networks and containers on the real engine.

Everything made here carries the label of this test session, by which
``conftest`` removes what a broken test left behind: the reaper that
testcontainers would start comes from a registry, and there may be none.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import docker.types
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import ExecWaitStrategy

if TYPE_CHECKING:
    from types import TracebackType

    from docker.models.containers import Container

testcontainers_config.ryuk_disabled = True

PORT: Final = 12345
HARDENED: Final[dict[str, Any]] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "mem_limit": "256m",
    "pids_limit": 64,
}
_HEALTHY = ["netduet-healthcheck"]
_SUBNETS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Images:
    """The images under test, and one with nothing but Python for everybody else."""

    server: str
    client: str
    python: str


@dataclass(frozen=True, slots=True)
class ContainerResult:
    """A container that ran to its end."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` printed."""
        document: dict[str, Any] = json.loads(self.out)
        return document


class Sandbox:
    """Makes networks and containers, and removes them when the test is over."""

    def __init__(self, images: Images) -> None:
        """Start empty."""
        self.images = images
        self._containers: list[DockerContainer] = []
        self._networks: list[Network] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove all that was made, the newest first."""
        for container in reversed(self._containers):
            container.stop()
        for network in reversed(self._networks):
            network.remove()

    def network(self, *, ipv6: bool = False) -> Network:
        """Make a fresh network; with ``ipv6``, one that has both families."""
        options: dict[str, Any] = {}
        if ipv6:
            number = next(_SUBNETS)
            prefix = ipaddress.ip_network("2001:db8:77::/48")
            subnet = f"{prefix.network_address + (number << 64)}/64"
            pool = docker.types.IPAMPool(subnet=subnet)
            options = {
                "enable_ipv6": True,
                "ipam": docker.types.IPAMConfig(pool_configs=[pool]),
            }
        network = Network(docker_network_kw=options).create()
        self._networks.append(network)
        return network

    def start(
        self, image: str, network: Network | None = None, **options: Any
    ) -> DockerContainer:
        """Start a container. ``alias``, ``command``, ``env``, ``ports``, ``wait`` are ours."""
        container = DockerContainer(image)
        alias = options.pop("alias", None)
        command = options.pop("command", None)
        wait = options.pop("wait", None)
        container.ports.update(options.pop("ports", {}))
        if network is not None:
            container.with_network(network)
            if alias is not None:
                container.with_network_aliases(alias)
        if command is not None:
            container.with_command(command)
        container.with_envs(**options.pop("env", {}))
        container.with_kwargs(detach=True, **options)
        if wait is not None:
            container.waiting_for(
                ExecWaitStrategy(wait).with_poll_interval(0.1).with_startup_timeout(30)
            )
        self._containers.append(container)
        return container.start()

    def server(
        self, network: Network | None, alias: str = "server", **options: Any
    ) -> DockerContainer:
        """Start a server, hardened as the compose file does, and wait until it answers."""
        return self.start(
            self.images.server,
            network,
            alias=alias,
            wait=options.pop("wait", _HEALTHY),
            **{**HARDENED, **options},
        )

    def python(
        self, network: Network | None, program: str, **options: Any
    ) -> DockerContainer:
        """Start a program in a container that has nothing of ours."""
        # As PID 1, Python would ignore SIGTERM: a small init takes that place.
        return self.start(
            self.images.python,
            network,
            command=["python3", "-c", program],
            init=True,
            **options,
        )

    def client(
        self, network: Network | None, *words: str, **options: Any
    ) -> ContainerResult:
        """Run a client to its end."""
        return wait_for_end(self.start_client(network, *words, **options))

    def start_client(
        self, network: Network | None, *words: str, **options: Any
    ) -> DockerContainer:
        """Start a client and do not wait for it."""
        return self.start(
            self.images.client,
            network,
            command=list(words),
            **{**HARDENED, **options},
        )


def wait_for_end(container: DockerContainer) -> ContainerResult:
    """Wait until a container exits; return its status and output."""
    status = container.wait()
    out, err = container.get_logs()
    return ContainerResult(status, out.decode(), err.decode())


def wait_for_output(container: DockerContainer, word: str) -> None:
    """Read what a container prints until the word is there."""
    printed = b""
    command = ["docker", "logs", "--follow", container.get_container_id()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as logs:
        assert logs.stdout is not None
        try:
            for line in logs.stdout:
                printed += line
                if word.encode() in printed:
                    return
        finally:
            # A test whose time is up comes by here, too: nothing else ends it.
            logs.kill()
    raise AssertionError(printed.decode())


def engine_handle(container: DockerContainer) -> Container:
    """Return the engine's own handle: pause, stop, kill."""
    return container.get_wrapped_container()


def address(container: DockerContainer, network: Network, family: str = "") -> str:
    """Return the address of a container on a network; ``family`` "6" for IPv6."""
    wrapped = engine_handle(container)
    wrapped.reload()
    settings = wrapped.attrs["NetworkSettings"]["Networks"][network.name]
    key = "GlobalIPv6Address" if family == "6" else "IPAddress"
    found: str = settings[key]
    return found
