"""Which address of a service a client can use, and which pairs a project has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from netduet.between.errors import BetweenError
from netduet.between.places import Attachment, Place
from netduet.net.namespace.snapshot import ListenerPart, Snapshot

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Route:
    """How a client is to reach a service: host names or addresses, and what they share."""

    hosts: tuple[str, ...]
    shared: tuple[str, ...] = ()
    same_namespace: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether both are on one network."""
        return bool(self.shared) or self.same_namespace


def resolve_namespace(chosen: Place, places: Sequence[Place]) -> Place:
    """Return the place with the attachments of the namespace that it uses."""
    owner = chosen.namespace_owner
    found = [each for each in places if owner and owner in {each.id, each.name}]
    return replace(chosen, attachments=found[0].attachments) if found else chosen


def route(client: Place, service: Place, places: Sequence[Place]) -> Route:
    """Return how a client reaches a service.

    By a name on a network that both are on, if it belongs to this container alone;
    else by its addresses there; without a shared network by all its addresses.

    Raises:
        BetweenError: the service has no address at all.
    """
    if _owner(client) == _owner(service):
        return Route((LOOPBACK,), same_namespace=True)
    networks = {each.network for each in client.attachments}
    shared = [each for each in service.attachments if each.network in networks]
    names = tuple(each.network for each in shared)
    for attachment in shared:
        if attachment.resolves_names:
            name = _own_name(service, attachment, networks, places)
            return Route((name,), names)
    hosts = tuple(
        address
        for attachment in (shared or service.attachments)
        for address in attachment.addresses
    )
    if not hosts:
        raise BetweenError(
            f"container {service.name} is on no network: connect it: docker network "
            f"connect NETWORK {service.name}"
        )
    return Route(hosts, names)


def _owner(chosen: Place) -> str:
    return chosen.namespace_owner or chosen.id


def _own_name(
    service: Place,
    attachment: Attachment,
    networks: Iterable[str],
    places: Sequence[Place],
) -> str:
    """Return the name of a service that no other container has where the client asks."""
    if service.namespace_owner:
        return attachment.addresses[0]
    others = {
        name
        for each in places
        if each.id != service.id and each.running
        for other in each.attachments
        if other.network in networks
        for name in (each.name, *each.names_on(other))
    }
    for name in service.names_on(attachment):
        if name not in others:
            return name
    return attachment.addresses[0]


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port of the service that is a target, and its protocol if the user named one."""

    port: int
    protocol: str = ""

    def target(self, host: str) -> str:
        """Return the target as ``netduet check`` takes it."""
        address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        return f"{address}/{self.protocol}" if self.protocol else address


def service_ports(
    requested: Sequence[PortRequest], snapshot: Snapshot, service: Place
) -> tuple[PortRequest, ...]:
    """Return the ports to check: those requested, else those that are meant to be reached.

    A port that only loopback can reach may be meant so (an admin port, a sidecar's, the
    engine's own DNS). It is a target only if the image declares it, or if the container
    listens on nothing else.
    """
    if requested:
        return tuple(dict.fromkeys(requested))
    listeners = service_listeners(snapshot)
    chosen = {
        each.port
        for each in listeners
        if not each.is_loopback or each.port in service.exposed
    }
    if not chosen:
        chosen = {each.port for each in listeners}
    return tuple(PortRequest(port) for port in sorted(chosen))


def service_listeners(snapshot: Snapshot) -> list[ListenerPart]:
    """Return the TCP listeners of a container, without the engine's own.

    The engine's DNS listens on 127.0.0.11 in the namespace of each container
    (moby/libnetwork, resolver.go).
    """
    return [each for each in snapshot.tcp_listeners() if each.address != "127.0.0.11"]


def project_pairs(
    services: Sequence[Place], listens: Mapping[str, bool]
) -> list[tuple[Place, Place]]:
    """Return the pairs of a project, client first: one container of each service.

    A service that depends on another is its client. Two that share a network and do
    not depend on each other are a pair in each direction in which the other listens on
    a TCP port; ``listens`` says so, by container id.
    """
    first: dict[str, Place] = {}
    for each in sorted(services, key=lambda each: (each.service, each.number)):
        if each.service and each.running:
            first.setdefault(each.service, each)
    pairs = []
    for client in first.values():
        for service in first.values():
            if client is service:
                continue
            depends = service.service in client.depends_on
            reverse = client.service in service.depends_on
            open_port = listens.get(service.id, False) and _share(client, service)
            if depends or (open_port and not reverse):
                pairs.append((client, service))
    return pairs


def _share(client: Place, service: Place) -> bool:
    networks = {each.network for each in client.attachments}
    return any(each.network in networks for each in service.attachments)


def requested_ports(words: str) -> tuple[PortRequest, ...]:
    """Return the ports behind the name of a service: ``5432`` or ``5432/postgres``.

    Raises:
        ValueError: it is no port.
    """
    found = []
    for word in words.split(","):
        digits, _, protocol = word.partition("/")
        if not digits.isdigit() or not 0 < int(digits) < 65_536:  # noqa: PLR2004
            raise ValueError("a port must be a number from 1 to 65535")
        found.append(PortRequest(int(digits), protocol))
    return tuple(found)
