"""The container engine, with clear errors when it does not work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import docker
import docker.errors
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from netduet.between.engine import HARDENED, Image

IMAGE_VARIABLES: Final = "NETDUET_TESTING"
"""Prefix of the variables that name other images."""

_ENGINES_OWN: Final = frozenset(("bridge", "host", "none"))


class DuetError(Exception):
    """The containers could not be run; says nothing about the network."""


class Named(Protocol):
    """A network object of testcontainers or docker-py."""

    @property
    def name(self) -> str | None:
        """Its name."""


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn any error of the engine into one clear error.

    Raises:
        DuetError: instead of the engine's error.
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
    """Return a client of the engine, which has answered.

    Raises:
        DuetError: no engine answers.
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
    """Return the name of an existing network, given as an object, by name or id.

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
    """Make sure that an image exists.

    The default names are never pulled, because a registry may have another project's
    image of that name.

    Raises:
        DuetError: it does not exist, and cannot be pulled.
    """
    with engine_errors(
        f"image {image.name!r} does not exist here and cannot be pulled"
    ):
        try:
            engine.client.images.get(image.name)
        except docker.errors.ImageNotFound:
            if image.is_default:
                raise DuetError(
                    f"image {image.name!r} does not exist: {image.remedy}"
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
    """Return a container that is not started, labelled by testcontainers."""
    docker_container = DockerContainer(image.name)
    docker_container.image = image.name  # the exact name, without a registry prefix
    docker_container.with_command(list(command)).with_envs(**env)
    api = docker_container.get_docker_client().client.api
    endpoint = api.create_endpoint_config(aliases=list(aliases))
    docker_container.with_kwargs(
        network=network, networking_config={network: endpoint}, **HARDENED
    )
    return docker_container


def log_text(docker_container: DockerContainer) -> str:
    """Return the output of a container so far, both streams."""
    with engine_errors("a container's log cannot be read"):
        return docker_container.get_wrapped_container().logs().decode(errors="replace")


def remove(docker_container: DockerContainer) -> None:
    """Remove a container, running or not; a missing one is not an error.

    Raises:
        DuetError: the engine cannot remove it.
    """
    with engine_errors("a container cannot be removed"):
        try:
            docker_container.stop()
        except docker.errors.NotFound:
            docker_container.get_docker_client().client.close()
