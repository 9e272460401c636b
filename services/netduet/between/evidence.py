"""Looks into the network namespaces of containers, by ``netduet namespace`` in ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from netduet.between.engine import (
    MEMORY,
    Image,
    Service,
    engine_errors,
    exit_status,
    start_beside,
)
from netduet.between.errors import BetweenError
from netduet.net.namespace.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    import docker
    from docker.models.containers import Container

    from netduet.between.leftovers import Run
    from netduet.between.places import Place

COMMAND: Final = ("namespace", "--json")
_TIMEOUT_SECONDS: Final = 30.0
_MAX_AT_ONCE: Final = 4
"""Containers that are started before the first is waited for."""


def look(
    engine: docker.DockerClient,
    image: Image,
    places: Sequence[Place],
    run: Run,
    service: Service = "server",
) -> list[Snapshot]:
    """Return what the namespaces of these containers show, in order.

    Raises:
        BetweenError: one of them cannot be looked into.
    """
    found: list[Snapshot] = []
    for start in range(0, len(places), _MAX_AT_ONCE):
        group = places[start : start + _MAX_AT_ONCE]
        started = [
            start_beside(
                engine,
                image,
                beside,
                COMMAND,
                labels=run.labels,
                environment={},
                memory=MEMORY[service],
            )
            for beside in group
        ]
        for container, beside in zip(started, group, strict=True):
            found.append(_ended(container, beside))
    return found


def _ended(container: Container, beside: Place) -> Snapshot:
    with engine_errors(f"the namespace of {beside.name} cannot be read"):
        status = exit_status(container, _TIMEOUT_SECONDS)
        out = container.logs(stdout=True, stderr=False)
        err = container.logs(stdout=False, stderr=True)
    return parse(out, err, status, beside)


def parse(out: bytes, err: bytes, status: int | None, beside: Place) -> Snapshot:
    """Return the snapshot that a container printed.

    Raises:
        BetweenError: it printed none.
    """
    try:
        return Snapshot.model_validate_json(out)
    except ValidationError:
        words = " ".join(err.decode(errors="replace").split())
        raise BetweenError(
            f"the namespace of {beside.name} cannot be read: netduet namespace ended "
            f"with status {status}: {words or 'no output'}: use images of this version "
            "(make images)"
        ) from None
