"""The kernel's counters of the network namespace: declared once, read at either end.

Both ends read them before and after a check; what grew meanwhile is evidence of packets
that arrived and were dropped by the kernel itself. They count for the whole namespace:
other traffic counts too, so a growth explains a loss only if it fits it.

The names are those of nstat(8). Sources: proc_net(5); Linux,
Documentation/networking/snmp_counter.rst; net/ipv4/proc.c, net/ipv6/proc.c;
net/netfilter/nf_conntrack_standalone.c. No privilege is needed, and a counter that this
kernel does not have is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

COUNTERS: Final[dict[str, str]] = {
    "TcpInCsumErrors": "TCP segments that arrived with a wrong checksum",
    "UdpInCsumErrors": "datagrams that arrived with a wrong checksum",
    "Udp6InCsumErrors": "datagrams over IPv6 that arrived with a wrong checksum",
    "IcmpInCsumErrors": "ICMP messages that arrived with a wrong checksum",
    "Icmp6InCsumErrors": "ICMPv6 messages that arrived with a wrong checksum",
    "TcpExtIPReversePathFilter": "packets that the reverse-path filter dropped",
    "TcpExtListenOverflows": "connections that found the accept queue full",
    "TcpExtListenDrops": "SYNs and connections dropped at listening sockets",
    "TcpExtTCPBacklogDrop": "segments that found a socket's backlog full",
    "TcpExtTCPRetransFail": "retransmissions that this kernel could not send",
    "UdpRcvbufErrors": "datagrams that found a receive buffer full",
    "UdpSndbufErrors": "datagrams that found a send buffer full",
    "UdpInErrors": "datagrams that arrived and were dropped",
    "UdpNoPorts": "datagrams to ports on which nothing listens",
    "Udp6RcvbufErrors": "datagrams over IPv6 that found a receive buffer full",
    "Udp6SndbufErrors": "datagrams over IPv6 that found a send buffer full",
    "Udp6InErrors": "datagrams over IPv6 that arrived and were dropped",
    "Udp6NoPorts": "datagrams over IPv6 to ports on which nothing listens",
    "IpInReceives": "packets that IP received",
    "IpInDelivers": "packets that IP delivered to a protocol",
    "IpForwDatagrams": "packets that were forwarded",
    "IpInHdrErrors": "packets dropped for their header",
    "IpInAddrErrors": "packets dropped for their destination address",
    "IpInDiscards": "packets dropped on arrival, for lack of memory",
    "IpReasmReqds": "fragments that arrived",
    "IpReasmOKs": "packets put together from fragments",
    "IpOutRequests": "packets that protocols handed to IP",
    "IpOutTransmits": "packets that IP handed to an interface",
    "IpOutDiscards": "packets dropped before they were sent",
    "Ip6InReceives": "packets that IPv6 received",
    "Ip6InDelivers": "packets that IPv6 delivered to a protocol",
    "Ip6OutForwDatagrams": "packets that IPv6 forwarded",
    "Ip6InHdrErrors": "packets that IPv6 dropped for their header",
    "Ip6InAddrErrors": "packets that IPv6 dropped for their destination address",
    "Ip6InDiscards": "packets that IPv6 dropped on arrival",
    "Ip6ReasmReqds": "fragments that arrived over IPv6",
    "Ip6ReasmOKs": "packets put together from fragments of IPv6",
    "Ip6OutRequests": "packets that protocols handed to IPv6",
    "Ip6OutTransmits": "packets that IPv6 handed to an interface",
    "Ip6OutDiscards": "packets that IPv6 dropped before they were sent",
    "conntrack.drop": "packets that connection tracking dropped (its table is full)",
    "conntrack.early_drop": "connections evicted from a full tracking table",
    "conntrack.insert_failed": "connections that could not be tracked",
    "conntrack.invalid": "packets that belong to no tracked connection",
    "device.received": "packets that interfaces, but for lo, received",
    "device.sent": "packets that interfaces, but for lo, sent",
    "device.lo": "packets that passed the interface lo",
}
"""What each counter counts."""

_MAX_BYTES: Final = 1024 * 1024
"""Maximum bytes that are read of a file."""

_CONNTRACK: Final = ("drop", "early_drop", "insert_failed", "invalid")
_MIN_DEVICE_COUNTERS: Final = 16


def read(root: Path = Path("/")) -> dict[str, int]:
    """Return the counters of this process's network namespace, by name."""
    net = root / "proc/net"
    found: dict[str, int] = {}
    for name in ("snmp", "netstat"):
        found |= dict(_table(_text(net / name)))
    found |= dict(_list(_text(net / "snmp6")))
    found |= _devices(_text(net / "dev"))
    found |= _conntrack(_text(net / "stat/nf_conntrack"))
    return {name: found[name] for name in COUNTERS if name in found}


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each counter that was read both times has changed."""
    return {
        name: count - before[name] for name, count in after.items() if name in before
    }


def growth(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each counter grew, without those that did not.

    One that was not read before was 0.
    """
    changes = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: change for name, change in changes.items() if change > 0}


def _table(text: str) -> Iterator[tuple[str, int]]:
    """Yield the counters of snmp and netstat: a line of names, a line of values."""
    rows = [line.split() for line in text.splitlines()]
    for names, values in pairwise(rows):
        if names[:1] == values[:1] and not _is_number(names[1:2]):
            group = names[0].removesuffix(":")
            for name, value in zip(names[1:], values[1:], strict=False):
                if value.isdigit():
                    yield group + name, int(value)


def _is_number(words: list[str]) -> bool:
    return bool(words) and words[0].lstrip("-").isdigit()


def _list(text: str) -> Iterator[tuple[str, int]]:
    """Yield the counters of snmp6: a line each."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit():  # noqa: PLR2004 - name and value
            yield words[0], int(words[1])


def _devices(text: str) -> dict[str, int]:
    """Return the packets that interfaces received and sent (proc_net(5), dev)."""
    totals: dict[str, int] = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.rpartition(":")
        words = rest.split()
        if not name or len(words) < _MIN_DEVICE_COUNTERS:
            continue
        received, sent = int(words[1]), int(words[9])
        counts = (
            {"device.lo": received}
            if name.strip() == "lo"
            else {"device.received": received, "device.sent": sent}
        )
        for counter, count in counts.items():
            totals[counter] = totals.get(counter, 0) + count
    return totals


def _conntrack(text: str) -> dict[str, int]:
    """Return the statistics of connection tracking: a line a processor, in hex."""
    header, *rows = [line.split() for line in text.splitlines()] or [[]]
    return {
        f"conntrack.{name}": sum(
            int(row[header.index(name)], 16) for row in rows if len(row) == len(header)
        )
        for name in _CONNTRACK
        if name in header and rows
    }


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("ascii", "replace")
    except OSError:
        return ""  # no IPv6, no connection tracking, or a container without /proc
