"""What the pair needs of the container engine, and plain errors when it is not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import docker
import docker.errors
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

HARDENED: Final[dict[str, Any]] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}
"""As docker-compose.yml runs both: they need nothing of what is taken here."""

_ENGINES_OWN: Final = frozenset(("bridge", "host", "none"))


class DuetError(Exception):
    """The pair could not be played: nothing is said about the network."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one half; ``ours`` when nobody has named another one."""

    name: str
    is_default: bool
    variable: str

    @classmethod
    def of(cls, half: Literal["server", "client"], given: str | None) -> Image:
        """Return the image that was given, or the variable's, or ours."""
        is_default, variable = (
            f"netduet-{half}",
            f"NETDUET_TESTING_{half.upper()}_IMAGE",
        )
        name = given or os.environ.get(variable) or is_default
        return cls(name, name == is_default, variable)


class Named(Protocol):
    """A network as testcontainers or docker-py has it."""

    @property
    def name(self) -> str | None:
        """Its name."""


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what the engine refuses into one plain error.

    Raises:
        DuetError: in the place of any error of the engine.

    """
    try:
        yield
    except docker.errors.DockerException as error:
        remedy = ""
        if "ryuk" in str(error):  # testcontainers starts it before the first container
            remedy = (
                "; testcontainers' reaper needs an image of its own: set "
                "TESTCONTAINERS_RYUK_DISABLED=true if it cannot be pulled"
            )
        raise DuetError(f"{what}: {error}{remedy}") from error


def connect() -> DockerClient:
    """Return the engine, which has answered.

    Raises:
        DuetError: none answers.

    """
    try:
        client = DockerClient()
        client.client.ping()
    except docker.errors.DockerException as error:
        raise DuetError(
            f"no container engine responds: {error}; start Docker, or set DOCKER_HOST"
        ) from error
    return client


def network_name(engine: DockerClient, network: Named | str) -> str:
    """Return the name of a network that is there.

    Args:
        engine: where it is looked for.
        network: as testcontainers or docker-py has it, or its name or id.

    Raises:
        DuetError: there is none, or names are not resolved on it.

    """
    asked = network if isinstance(network, str) else str(network.name)
    try:
        found = engine.client.networks.get(asked)
    except docker.errors.NotFound:
        raise DuetError(
            f"network {asked!r} does not exist: create it first, with testcontainers' "
            "Network() or docker network create"
        ) from None
    except docker.errors.DockerException as error:
        raise DuetError(f"network {asked!r}: {error}") from error
    name = str(found.name)
    if name in _ENGINES_OWN:
        raise DuetError(
            f"network {name!r} is the engine's default network and resolves no names: "
            "create one with testcontainers' Network() or docker network create"
        )
    return name


def require(engine: DockerClient, image: Image) -> None:
    """Make sure that an image is there.

    One of our names is never pulled: in a registry it would be a stranger's.

    Raises:
        DuetError: it does not exist here and cannot be pulled.

    """
    with engine_errors(
        f"image {image.name!r} does not exist here and cannot be pulled"
    ):
        try:
            engine.client.images.get(image.name)
        except docker.errors.ImageNotFound:
            if image.is_default:
                raise DuetError(
                    f"image {image.name!r} does not exist: build it with `make "
                    f"images` in netduet's repository, or set {image.variable} to "
                    "another one"
                ) from None
            engine.client.images.pull(image.name)


def container(
    image: Image,
    network: str,
    env: Mapping[str, str],
    *,
    aliases: tuple[str, ...] = (),
    command: tuple[str, ...],
) -> DockerContainer:
    """Return a container of ours that is not started; testcontainers labels it."""
    docker_container = DockerContainer(image.name)
    docker_container.image = (
        image.name
    )  # as it was looked for: no prefix of a registry before it
    docker_container.with_command(list(command)).with_envs(**env)
    api = docker_container.get_docker_client().client.api
    endpoint = api.create_endpoint_config(aliases=list(aliases))
    docker_container.with_kwargs(
        network=network, networking_config={network: endpoint}, **HARDENED
    )
    return docker_container


def log_text(docker_container: DockerContainer) -> str:
    """Return what a container has written so far, both streams."""
    with engine_errors("a container's log cannot be read"):
        return docker_container.get_wrapped_container().logs().decode(errors="replace")


def remove(docker_container: DockerContainer) -> None:
    """Remove a container, started or not; one that is gone already is removed.

    Raises:
        DuetError: the engine does not do it.

    """
    with engine_errors("a container cannot be removed"):
        try:
            docker_container.stop()
        except docker.errors.NotFound:
            docker_container.get_docker_client().client.close()
