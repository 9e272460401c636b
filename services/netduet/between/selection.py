"""Which pairs the words of a command line mean. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from netduet.between.errors import BetweenError
from netduet.between.pairs import PortRequest, requested_ports
from netduet.between.places import Place, select
from netduet.between.session import Request


def requests(
    client_word: str,
    service_words: Sequence[str],
    places: Sequence[Place],
    project: str,
) -> list[Request]:
    """Return what to measure between a client and services: ``db``, ``db:5432/postgres``.

    Raises:
        BetweenError: a word names no container, or no port.
    """
    client, client_notes = select(client_word, places, project)
    found = []
    for word in service_words:
        name, ports = split_ports(word)
        service, notes = select(name, places, project)
        if service.id == client.id:
            raise BetweenError(
                f"{client_word} and {name} are the same container, {client.name}: name "
                "two"
            )
        found.append(Request(service, (client,), ports, (*client_notes, *notes)))
    return found


def split_ports(word: str) -> tuple[str, tuple[PortRequest, ...]]:
    """Return the container and the ports of ``db``, ``db:5432`` or ``db:5432,8080``.

    Raises:
        BetweenError: what follows the colon is no port.
    """
    name, colon, ports = word.partition(":")
    if not colon:
        return name, ()
    try:
        return name, requested_ports(ports)
    except ValueError as error:
        raise BetweenError(f"service {word!r}: {error}") from None


def project_places(places: Sequence[Place], project: str) -> list[Place]:
    """Return the running containers of a project; without a name, of the only one.

    Raises:
        BetweenError: there is none, or there are several.
    """
    known = sorted({each.project for each in places if each.project and each.running})
    if not project:
        if len(known) != 1:
            shown = f"there are {', '.join(known)}" if known else "none runs here"
            raise BetweenError(f"--all needs a project: {shown}: name one with -p")
        project = known[0]
    chosen = [each for each in places if each.project == project and each.running]
    if not chosen:
        shown = f"there are {', '.join(known)}" if known else "none runs here"
        raise BetweenError(f"project {project!r} has no running containers: {shown}")
    return chosen


def grouped(pairs: Sequence[tuple[Place, Place]]) -> list[Request]:
    """Return pairs as requests: one for each service, with all of its clients."""
    clients: dict[str, list[Place]] = {}
    services: dict[str, Place] = {}
    for client, service in pairs:
        services[service.id] = service
        clients.setdefault(service.id, []).append(client)
    return [Request(services[key], tuple(group)) for key, group in clients.items()]
