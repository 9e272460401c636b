"""Reads the network namespace of this process. Needs no privilege."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from netduet.net.namespace import proc
from netduet.net.namespace.snapshot import InterfacePart, Snapshot

_MAX_BYTES: Final = 16 * 1024 * 1024
"""Maximum bytes that are read of a file: some 100,000 sockets."""

_TCPEXT: Final = "TcpExt"


def read(root: Path = Path("/")) -> Snapshot:
    """Return what this namespace shows; a file that does not exist counts as empty."""
    net = root / "proc/net"
    netstat = _text(net / "netstat")
    return Snapshot(
        listeners=sorted(
            (
                *proc.listeners(_text(net / "tcp"), "tcp"),
                *proc.listeners(_text(net / "tcp6"), "tcp"),
                *proc.listeners(_text(net / "udp"), "udp"),
                *proc.listeners(_text(net / "udp6"), "udp"),
            ),
            key=lambda each: (each.transport, each.port, each.address),
        ),
        interfaces=_interfaces(root),
        routes=[
            *proc.routes(_text(net / "route")),
            *proc.routes_v6(_text(net / "ipv6_route")),
        ],
        listen_overflows=proc.counter(netstat, _TCPEXT, "ListenOverflows"),
        listen_drops=proc.counter(netstat, _TCPEXT, "ListenDrops"),
    )


def _interfaces(root: Path) -> list[InterfacePart]:
    addresses = proc.addresses_v6(_text(root / "proc/net/if_inet6"))
    return [
        InterfacePart(
            name=name,
            mtu=_number(root / "sys/class/net" / name / "mtu"),
            addresses=addresses.get(name, []),
            received_drops=counters[0],
            sent_drops=counters[1],
            received_errors=counters[2],
            sent_errors=counters[3],
        )
        for name, counters in proc.devices(_text(root / "proc/net/dev")).items()
    ]


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("ascii", "replace")
    except OSError:
        return ""  # no IPv6, or no sysfs: many containers
