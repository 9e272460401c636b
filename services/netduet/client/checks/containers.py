"""What a client in a container can tell of the commonest mistakes with names and ports.

The facts cost a few reads of small files. The rules are those of Docker's and Podman's
networks (docs.docker.com/engine/network).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCKER_RESOLVER: Final = "127.0.0.11"
"""Docker's own DNS server, in containers on user-defined networks."""

_HOST_NAMES: Final = frozenset({"host.docker.internal", "gateway.docker.internal"})
_ENGINES: Final = {
    "kubepods": "kubernetes",
    "docker": "docker",
    "libpod": "podman",
    "containerd": "container",
    "crio": "container",
    "lxc": "container",
}
_CGROUP: Final = re.compile(rf"\b({'|'.join(_ENGINES)})\b")
_MAX_FILE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """Where this process runs.

    ``engine`` is ``docker``, ``podman``, ``kubernetes`` or ``container`` (of another
    engine), "" outside of containers. ``resolvers`` are the DNS servers of resolv.conf.
    """

    engine: str = ""
    resolvers: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What this process has to itself, in a sentence."""
        names = {"": "host", "kubernetes": "pod"}
        return f"this {names.get(self.engine, 'container')}"


def read_facts(
    root: Path = Path("/"), environment: Mapping[str, str] = os.environ
) -> ContainerFacts:
    """Read the facts below ``root``; what cannot be read is unknown."""
    lines = _read(root / "etc/resolv.conf").splitlines()
    words = [line.split() for line in lines]
    resolvers = tuple(
        parts[1] for parts in words if parts[:1] == ["nameserver"] and len(parts) > 1
    )
    return ContainerFacts(_engine(root, environment), resolvers)


def _engine(root: Path, environment: Mapping[str, str]) -> str:
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    for name, engine in (("run/.containerenv", "podman"), (".dockerenv", "docker")):
        if os.path.lexists(root / name):
            return engine
    found = _CGROUP.search(_read(root / "proc/1/cgroup"))
    return _ENGINES[found[1]] if found else ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""


def note_on_unknown_name(host: str, facts: ContainerFacts) -> str:
    """Return what to try when a name does not resolve; "" if nothing is known."""
    if host in _HOST_NAMES:
        return (
            f"Docker on Linux knows {host} only on request: extra_hosts: "
            f'"{host}:host-gateway" in compose, docker run --add-host '
            f"{host}:host-gateway"
        )
    if "." in host.removesuffix("."):
        return ""
    if not facts.engine:
        return (
            "names of containers resolve only inside containers: if this is the name "
            "of a container, use localhost and its published port from this host"
        )
    if DOCKER_RESOLVER in facts.resolvers:
        return (
            f"Docker's DNS ({DOCKER_RESOLVER}) knows no running container, service or "
            "alias of that name on the networks of this container: start it, or "
            "connect both to the same network"
        )
    if facts.engine == "docker":
        resolvers = ", ".join(facts.resolvers) or "none"
        return (
            f"this container does not use Docker's DNS (its resolver: {resolvers}): "
            "containers on the default bridge network do not resolve each other's "
            "names; connect both to a user-defined network (docker network create)"
        )
    return ""


def note_on_own_address(facts: ContainerFacts) -> str:
    """Return what to try when a loopback address refuses connections."""
    if not facts.engine:
        return (
            "localhost is this host itself: if the server runs elsewhere, or in a "
            "container without a published port, name its address"
        )
    pod = facts.engine == "kubernetes"
    other = "the service" if pod else "the other container or service"
    return (
        f"localhost is {facts.place} itself, unless it shares another's network: name "
        f"{other} instead"
    )


def note_on_refused_name(host: str, facts: ContainerFacts) -> str:
    """Return what to try when what may be a container's name refuses; "" otherwise."""
    if facts.engine in {"", "kubernetes"} or not host or set(host) & set(".:"):
        return ""
    return (
        f"between containers, {host} listens on its own port, not on the port that is "
        "published on the host: use the container's port"
    )
