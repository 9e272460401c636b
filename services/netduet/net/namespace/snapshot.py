"""What one look at a network namespace shows. Values alone: ``proc`` parses, ``read`` opens."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

Transport = Literal["tcp", "udp"]


class _SnapshotPart(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ListenerPart(_SnapshotPart):
    """A TCP socket that listens, or a UDP socket without a peer."""

    transport: Transport
    address: str
    port: int
    queue: int
    """TCP: connections in the accept queue; UDP: bytes in the receive buffer."""
    uid: int
    drops: int | None = None
    """UDP: datagrams that found the receive buffer full; null for TCP."""

    @property
    def is_loopback(self) -> bool:
        """Whether only its own namespace can reach it (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3)."""
        address = ipaddress.ip_address(self.address)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback

    @property
    def is_wildcard(self) -> bool:
        """Whether it listens on every address of its family, or of both."""
        return ipaddress.ip_address(self.address).is_unspecified

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class InterfacePart(_SnapshotPart):
    """An interface, and what it has dropped since it exists."""

    name: str
    mtu: int | None
    addresses: list[str]
    """IPv6 addresses with prefix length; /proc lists those of IPv4 in no such form."""
    received_drops: int
    sent_drops: int
    received_errors: int
    sent_errors: int


class RoutePart(_SnapshotPart):
    """A route of the main table."""

    destination: str
    gateway: str
    """Empty if the destination is on the link."""
    interface: str
    metric: int
    rejects: bool = False
    """Whether packets are refused: unreachable, prohibit, blackhole."""


class Snapshot(_SnapshotPart):
    """A network namespace at one moment: what `netduet namespace` prints."""

    listeners: list[ListenerPart]
    interfaces: list[InterfacePart]
    routes: list[RoutePart]
    listen_overflows: int | None
    """Connections that found an accept queue full since the namespace exists (TcpExt ListenOverflows)."""
    listen_drops: int | None
    """SYNs and connections dropped at listeners, overflows included (TcpExt ListenDrops)."""

    def tcp_listeners(self) -> list[ListenerPart]:
        """Return the TCP listeners, by port."""
        return [each for each in self.listeners if each.transport == "tcp"]

    def ports_taken(self) -> frozenset[int]:
        """Return the ports that a server for TCP and UDP cannot have."""
        return frozenset(each.port for each in self.listeners)


@dataclass(frozen=True, slots=True)
class Change:
    """What a namespace counted between two looks; None where a kernel does not count."""

    overflows: int | None
    drops: int | None
    interface_drops: dict[str, int]
    """Packets dropped, by interface; only those that dropped any."""


def compare(before: Snapshot, after: Snapshot) -> Change:
    """Return what was counted between two looks at the same namespace."""
    earlier = {each.name: _drops(each) for each in before.interfaces}
    grown = {
        each.name: _drops(each) - earlier.get(each.name, 0) for each in after.interfaces
    }
    return Change(
        _grown(before.listen_overflows, after.listen_overflows),
        _grown(before.listen_drops, after.listen_drops),
        {name: count for name, count in grown.items() if count > 0},
    )


def _drops(interface: InterfacePart) -> int:
    return interface.received_drops + interface.sent_drops


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
