"""The pair beside containers of a test: ``Duet.between``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from netduet.between.command import measure
from netduet.between.engine import Image
from netduet.between.errors import BetweenError
from netduet.between.options import Options
from netduet.between.report import document
from netduet.between.selection import requests
from netduet.between.session import Session
from netduet.testing.engine import IMAGE_VARIABLES, DuetError
from netduet.testing.report import Report

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

_WRAPPED: Final = "get_wrapped_container"


class Identified(Protocol):
    """A container of docker-py."""

    @property
    def id(self) -> str | None:
        """Its id."""


def container_name(container: DockerContainer | Identified | str) -> str:
    """Return the id of a container object, or the name that was given."""
    if isinstance(container, str):
        return container
    wrapped = getattr(container, _WRAPPED, None)
    found: Any = container if wrapped is None else wrapped()
    return str(found.id)


def measure_between(
    client: DockerContainer | Identified | str,
    service: DockerContainer | Identified | str,
    *,
    ports: Sequence[int | str],
    project: str,
    options: Options,
    checks: Sequence[str],
) -> Report:
    """Return the report of the pair between two containers.

    Raises:
        DuetError: the pair could not be run.
    """
    suffix = f":{','.join(map(str, ports))}" if ports else ""
    try:
        with Session(options) as session:
            places = session.places()
            wanted = requests(
                container_name(client),
                [container_name(service) + suffix],
                places,
                project,
            )
            results = measure(session, wanted, places)
            if session.interrupted:
                raise KeyboardInterrupt
        return Report.read(document(results).model_dump_json(by_alias=True), checks)
    except BetweenError as error:
        raise DuetError(str(error)) from error


def pair_options(
    environment: Mapping[str, str],
    *,
    port: int | None,
    profile: str,
    timeout: float | None,
    server_image: str | None,
    client_image: str | None,
) -> Options:
    """Return the options of a run in a test."""
    return Options(
        Image.of("server", server_image, IMAGE_VARIABLES),
        Image.of("client", client_image, IMAGE_VARIABLES),
        port,
        profile,
        timeout,
        environment,
    )
