"""Containers as places of the pair: who they are, where they are attached. Pure.

Read from the engine's JSON (GET /containers/{id}/json, Docker Engine API 1.41).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from netduet.between.errors import BetweenError

_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"
_NUMBER: Final = "com.docker.compose.container-number"
_DEPENDS_ON: Final = "com.docker.compose.depends_on"
_ONE_OFF: Final = "com.docker.compose.oneoff"
_SWARM_SERVICE: Final = "com.docker.swarm.service.name"

_GENERATED: Final = re.compile(r"[a-z]+_[a-z]+[0-9]?")
"""A name that the engine made up (moby/pkg/namesgenerator): its DNS does not know it."""

_MIN_ID_DIGITS: Final = 4
_MAX_CANDIDATES: Final = 5
_OTHERS_NAMESPACE: Final = "container:"
_NO_NAMES: Final = frozenset(("bridge", "podman"))
"""Default networks: the engine resolves no names on them."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container on a network: its addresses, and the names it has there."""

    network: str
    addresses: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    dns_names: tuple[str, ...] = ()
    """All names that the DNS knows; empty for engines before API 1.44."""

    @property
    def resolves_names(self) -> bool:
        """Whether the engine's DNS answers on this network."""
        return self.network not in _NO_NAMES


@dataclass(frozen=True, slots=True)
class Place:
    """A running container beside which one of the pair can be put."""

    id: str
    name: str
    attachments: tuple[Attachment, ...] = ()
    service: str = ""
    """Of Compose or Swarm, "" for neither."""
    project: str = ""
    number: int = 1
    depends_on: tuple[str, ...] = ()
    exposed: tuple[int, ...] = ()
    """TCP ports that the image or the configuration declares."""
    started: str = ""
    running: bool = True
    status: str = "running"
    network_mode: str = ""

    @property
    def title(self) -> str:
        """The name that people know it by: the service's, if it has one."""
        return self.service or self.name

    def names_on(self, attachment: Attachment) -> tuple[str, ...]:
        """Return the names by which a network's DNS knows this container, best first."""
        known = set(attachment.dns_names) or set(attachment.aliases)
        if not attachment.dns_names and not _GENERATED.fullmatch(self.name):
            known.add(self.name)
        wanted = (self.service, self.name, *attachment.aliases, *attachment.dns_names)
        return tuple(dict.fromkeys(name for name in wanted if name in known))

    @property
    def namespace_owner(self) -> str:
        """The id or name of the container whose network namespace this one uses, or ""."""
        mode = self.network_mode
        return mode.removeprefix(_OTHERS_NAMESPACE) if _is_joined(mode) else ""


def place(inspected: Mapping[str, Any]) -> Place:
    """Return the place of a container from what the engine says of it."""
    config, state = inspected["Config"], inspected["State"]
    labels: Mapping[str, str] = config.get("Labels") or {}
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    number = labels.get(_NUMBER, "")
    return Place(
        inspected["Id"],
        inspected["Name"].removeprefix("/"),
        tuple(
            Attachment(
                network,
                tuple(
                    str(endpoint[key])
                    for key in ("IPAddress", "GlobalIPv6Address")
                    if endpoint.get(key)
                ),
                tuple(endpoint.get("Aliases") or ()),
                tuple(endpoint.get("DNSNames") or ()),
            )
            for network, endpoint in sorted(networks.items())
        ),
        "" if labels.get(_ONE_OFF) == "True" else _service(labels),
        labels.get(_PROJECT, ""),
        int(number) if number.isdigit() else 1,
        _depends_on(labels.get(_DEPENDS_ON, "")),
        _exposed(config.get("ExposedPorts") or {}),
        str(state.get("StartedAt", "")),
        bool(state.get("Running")) and not state.get("Paused"),
        _status(state),
        str((inspected.get("HostConfig") or {}).get("NetworkMode", "")),
    )


def _service(labels: Mapping[str, str]) -> str:
    return labels.get(_SERVICE) or labels.get(_SWARM_SERVICE, "")


def _depends_on(label: str) -> tuple[str, ...]:
    """Return the services of ``db:service_started:false,cache:service_healthy:true``."""
    return tuple(part.partition(":")[0] for part in label.split(",") if part)


def _exposed(ports: Mapping[str, object]) -> tuple[int, ...]:
    split = (port.partition("/") for port in ports)
    return tuple(
        sorted(int(number) for number, _, kind in split if kind in {"", "tcp"})
    )


def _status(state: Mapping[str, Any]) -> str:
    status = str(state.get("Status", "unknown"))
    if status == "exited":
        return f"exited with status {state.get('ExitCode')}"
    return status


def _is_joined(mode: str) -> bool:
    return mode.startswith(_OTHERS_NAMESPACE)


def select(
    word: str, places: Sequence[Place], project: str = ""
) -> tuple[Place, tuple[str, ...]]:
    """Return the place that a word names, and notes on the choice.

    A word is a container's name or id, a service of Compose or Swarm, or a Swarm task
    without its id (``SERVICE.N``). With a project, its services come first.

    Raises:
        BetweenError: there is none, or the word names several projects' services.
    """
    ours = [each for each in places if project in {"", each.project}]
    if project and not ours:
        raise BetweenError(_no_project(project, places))
    exact = [each for each in places if word in {each.name, each.id}]
    services = [each for each in ours if word and each.service == word]
    if project and services:
        return _first(word, services)
    if exact:
        return exact[0], ()
    projects = sorted({each.project for each in services})
    if len(projects) > 1:
        raise BetweenError(
            f"service {word!r} exists in the projects {', '.join(projects)}: name one "
            "with -p PROJECT"
        )
    if services:
        return _first(word, services)
    tasks = [each for each in places if each.name.rpartition(".")[0] == word]
    tasks = [each for each in tasks if each.service]
    if tasks:
        return _first(word, tasks)
    by_id = [each for each in places if each.id.startswith(word)]
    if len(word) >= _MIN_ID_DIGITS and len(by_id) == 1:
        return by_id[0], ()
    raise BetweenError(_unknown(word, places))


def _first(word: str, found: Sequence[Place]) -> tuple[Place, tuple[str, ...]]:
    """Return the first container of a service, those that run before the others."""
    ordered = sorted(found, key=lambda each: (not each.running, each.number, each.name))
    if len(ordered) == 1:
        return ordered[0], ()
    others = ", ".join(each.name for each in ordered[1 : 1 + _MAX_CANDIDATES])
    note = (
        f"{word} has {len(ordered)} containers: {ordered[0].name} was taken; name "
        f"another to test it: {others}"
    )
    return ordered[0], (note,)


def _unknown(word: str, places: Sequence[Place]) -> str:
    names = list(dict.fromkeys(_names(places)))
    if not names:
        return f"container {word!r} does not exist: no container runs on this engine"
    close = difflib.get_close_matches(word, names, 1)
    if close:
        return f"container {word!r} does not exist: did you mean {close[0]}?"
    shown = ", ".join(names[:_MAX_CANDIDATES])
    more = ", …" if len(names) > _MAX_CANDIDATES else ""
    return f"container {word!r} does not exist: there are {shown}{more}"


def _no_project(project: str, places: Sequence[Place]) -> str:
    known = sorted({each.project for each in places if each.project})
    close = difflib.get_close_matches(project, known, 1)
    remedy = f"did you mean {close[0]}?" if close else "start it: docker compose up -d"
    return f"project {project!r} has no containers: {remedy}"


def _names(places: Sequence[Place]) -> Iterator[str]:
    for each in places:
        if each.running:
            yield each.title
            yield each.name


def require_usable(chosen: Place) -> None:
    """Make sure that the pair can stand beside a container.

    Raises:
        BetweenError: it does not run, or has no network namespace of its own.
    """
    name = chosen.name
    if chosen.status == "paused":
        raise BetweenError(
            f"container {name} is paused: resume it: docker unpause {name}"
        )
    if not chosen.running:
        raise BetweenError(
            f"container {name} is not running ({chosen.status}): start it: docker "
            f"start {name}"
        )
    if chosen.network_mode == "host":
        raise BetweenError(
            f"container {name} uses the host's network: run netduet on the host "
            "instead: netduet serve there, or netduet check TARGET"
        )
    if chosen.network_mode == "none":
        raise BetweenError(
            f"container {name} has no network (network mode none): connect it: docker "
            f"network connect NETWORK {name}"
        )
