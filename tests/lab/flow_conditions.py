"""Conditions of single flows: equal paths of which a device chooses one by the ports.

A switch or router hashes addresses and ports (RFC 2992). Here the lowest bits of the
client's port choose the path, and the first of the paths is at fault.
"""

from __future__ import annotations

from typing import Literal

from tests.lab.conditions import DOWN, UP, Condition, Rule, Way

Protocol = Literal["tcp", "udp", "all"]


def path_dead(paths: int, way: Way = UP, protocol: Protocol = "all") -> Condition:
    """Drop all that takes one of so many paths (a power of two)."""
    return _path(paths, way, protocol)


def path_lossy(
    paths: int, share: float, way: Way = UP, protocol: Protocol = "all"
) -> Condition:
    """Lose this share of what takes one of so many paths."""
    chance = f"-m statistic --mode random --probability {share}"
    return _path(paths, way, protocol, chance)


def path_narrow(
    paths: int, size: int, way: Way = UP, protocol: Protocol = "all"
) -> Condition:
    """Drop what is longer than this on one of so many paths."""
    return _path(paths, way, protocol, f"-m length --length {size + 1}:65535")


def ports_dropped(
    first: int, last: int, protocols: tuple[str, ...] = ("tcp", "udp")
) -> Condition:
    """Drop what comes from these ports of the client."""
    match = f"--sport {first}:{last}"
    return Condition(
        ipv4=tuple(
            Rule("filter", f"-A FORWARD -o {UP} -p {protocol} {match} -j DROP")
            for protocol in protocols
        )
    )


def backend_narrow(address: str, size: int) -> Condition:
    """Drop what is longer than this and goes to one server."""
    match = f"-o {UP} -d {address} -m length --length {size + 1}:65535"
    return Condition(ipv4=(Rule("filter", f"-A FORWARD {match} -j DROP"),))


def backend_lossy(address: str, share: float) -> Condition:
    """Lose this share of what goes to one server."""
    chance = f"-m statistic --mode random --probability {share}"
    rule = f"-A FORWARD -o {UP} -d {address} {chance} -j DROP"
    return Condition(ipv4=(Rule("filter", rule),))


def backend_syn_acks_lost(address: str, share: float) -> Condition:
    """Lose this share of the SYN-ACKs of one server."""
    match = f"-o {DOWN} -s {address} -p tcp --tcp-flags SYN,ACK SYN,ACK"
    chance = f"-m statistic --mode random --probability {share}"
    return Condition(ipv4=(Rule("filter", f"-A FORWARD {match} {chance} -j DROP"),))


def _path(paths: int, way: Way, protocol: Protocol, match: str = "") -> Condition:
    """Drop on the first path what matches; a fragment has no ports and passes."""
    # xt_u32: behind the IP header are the source port and the destination port.
    shift = 16 if way == UP else 0
    ports = f'-m u32 --u32 "0>>22&0x3C@0>>{shift}&{paths - 1:#x}=0"'
    direction = UP if way == UP else DOWN
    protocols = ("tcp", "udp") if protocol == "all" else (protocol,)
    return Condition(
        ipv4=tuple(
            Rule(
                "filter",
                f"-A FORWARD -o {direction} ! -f -p {each} {ports} {match} -j DROP",
            )
            for each in protocols
        )
    )
