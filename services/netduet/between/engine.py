"""The container engine, by docker-py: each error is one line with a remedy.

``netduet.testing`` shares what does not depend on testcontainers.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import docker
import docker.errors
from requests.exceptions import ConnectionError as ConnectionFailed
from requests.exceptions import RequestException

from netduet.between.errors import BetweenError
from netduet.between.places import Place, place

if TYPE_CHECKING:
    from docker.models.containers import Container

HARDENED: Final[dict[str, Any]] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}
"""The restrictions of docker-compose.yml; neither program needs more."""

MEMORY: Final = {"server": "512m", "client": "256m"}
"""The memory limits of docker-compose.yml."""

_API_TIMEOUT_SECONDS: Final = 60
_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})

Service = Literal["server", "client"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image; ``is_default`` if neither the caller nor a variable names one."""

    name: str
    is_default: bool
    variable: str

    @classmethod
    def of(cls, service: Service, given: str | None, prefix: str) -> Image:
        """Return the given image, or the variable's, or the default.

        The variable is ``PREFIX_SERVER_IMAGE`` or ``PREFIX_CLIENT_IMAGE``.
        """
        default = f"netduet-{service}"
        variable = f"{prefix}_{service.upper()}_IMAGE"
        name = given or os.environ.get(variable) or default
        return cls(name, name == default, variable)

    @property
    def remedy(self) -> str:
        """What to do if it does not exist."""
        return (
            "build it with `make images` in netduet's repository, or set "
            f"{self.variable} to another one"
        )


def connect() -> docker.DockerClient:
    """Return a client of the engine that the environment names, which has responded.

    Raises:
        BetweenError: no engine responds, or this user may not use it.
    """
    try:
        engine = docker.from_env(timeout=_API_TIMEOUT_SECONDS)
        engine.ping()
    except (docker.errors.DockerException, RequestException, OSError) as error:
        text = _one_line(error)
        if "Permission denied" in text or "PermissionError" in text:
            raise BetweenError(
                "permission denied at the container engine's socket: run as root, or "
                "add this user to the group docker"
            ) from None
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise BetweenError(
            f"no container engine responds at {where}: start Docker, or set DOCKER_HOST"
        ) from None
    return engine


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn any error of the engine into one line.

    Raises:
        BetweenError: instead of the engine's error.
    """
    try:
        yield
    except (docker.errors.DockerException, RequestException) as error:
        raise BetweenError(f"{what}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    if isinstance(error, ConnectionFailed):  # its text is a Python tuple
        return "the container engine has stopped responding"
    explanation = getattr(error, "explanation", None)
    return " ".join(str(explanation or error).split())


def require_image(engine: docker.DockerClient, image: Image) -> None:
    """Make sure that an image exists here; it is never pulled.

    Raises:
        BetweenError: it does not exist.
    """
    with engine_errors(f"image {image.name!r}"):
        try:
            engine.images.get(image.name)
        except docker.errors.ImageNotFound:
            raise BetweenError(
                f"image {image.name!r} does not exist: {image.remedy}"
            ) from None


def list_places(engine: docker.DockerClient, *, without_label: str) -> list[Place]:
    """Return the containers of the engine, running or not, that lack a label."""
    found = []
    with engine_errors("the containers cannot be listed"):
        for listed in engine.api.containers(all=True):
            if without_label in (listed.get("Labels") or {}):
                continue
            with contextlib.suppress(docker.errors.NotFound):  # it has just ended
                found.append(place(engine.api.inspect_container(listed["Id"])))
    return found


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM: what is being created gets known, and removed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_beside(
    engine: docker.DockerClient,
    image: Image,
    beside: Place,
    command: Sequence[str],
    *,
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    memory: str,
) -> Container:
    """Start a hardened container in the network namespace of another one.

    Raises:
        BetweenError: the engine cannot.
    """
    what = f"no container can be started beside {beside.name}"
    with engine_errors(what), signals_held():
        return engine.containers.run(
            image.name,
            list(command),
            detach=True,
            network_mode=f"container:{beside.id}",
            labels=dict(labels),
            environment=dict(environment),
            mem_limit=memory,
            **HARDENED,
        )


def exit_status(container: Container, timeout: float) -> int | None:
    """Wait for the end; return the exit status, None after the timeout in seconds."""
    try:
        return int(container.wait(timeout=timeout)["StatusCode"])
    except RequestException:  # which one depends on the connection to the engine
        container.reload()
        if container.status == "running":
            return None
        return int(container.attrs["State"]["ExitCode"])


def remove(container: Container) -> None:
    """Remove a container, running or not; one that is gone is not an error.

    Raises:
        BetweenError: the engine cannot remove it.
    """
    with engine_errors(f"container {container.short_id} cannot be removed"):
        try:
            container.remove(force=True, v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if "already in progress" not in str(error):
                raise
