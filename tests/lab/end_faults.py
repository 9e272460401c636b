"""Conditions of an end itself, or of one router of a long path."""

from __future__ import annotations

from typing import Final, Literal

from tests.lab.conditions import UP, Condition, Role, Rule, Way

End = Literal["client", "server"]

_ICMP: Final = {4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"}


def ruled(
    at: Role, text: str, *, table: str = "filter", long_path: bool = False
) -> Condition:
    """Have one rule for both families in one namespace."""
    rule = Rule(table, text, at)
    return Condition(ipv4=(rule,), ipv6=(rule,), long_path=long_path)


def own_input_dropped(at: End, protocol: str = "tcp") -> Condition:
    """Drop what arrives at an end, by its own firewall."""
    return ruled(at, f"-A INPUT -p {protocol} -j DROP")


def own_output_dropped(at: End, protocol: str = "tcp") -> Condition:
    """Drop what an end sends, by its own firewall."""
    return ruled(at, f"-A OUTPUT -p {protocol} -j DROP")


def rejected_by_icmp(at: Role, *, long_path: bool = False) -> Condition:
    """Answer TCP with "port unreachable", which REJECT does unless told otherwise."""
    chain = {"client": "OUTPUT", "server": "INPUT"}.get(at, "FORWARD")
    text = f"-A {chain} -p tcp -j REJECT --reject-with "
    return Condition(
        ipv4=(Rule("filter", text + _ICMP[4], at),),
        ipv6=(Rule("filter", text + _ICMP[6], at),),
        long_path=long_path,
    )


def two_more_routers() -> Condition:
    """Lead the path through three routers."""
    return Condition(long_path=True)


def dropped_at(at: Role, match: str = "-p tcp", way: Way = UP) -> Condition:
    """Drop what a router of a long path should forward this way."""
    return ruled(at, f"-A FORWARD -o {way} {match} -j DROP", long_path=True)


def reset_at(at: Role) -> Condition:
    """Answer TCP with a reset, at a router of a long path."""
    text = "-A FORWARD -o to_server -p tcp -j REJECT --reject-with tcp-reset"
    return ruled(at, text, long_path=True)


def looping() -> Condition:
    """Have the last router of a long path send what is for the server back."""
    return Condition(
        links=(
            ("far", "route add 198.18.2.2/32 via 198.18.4.1"),
            ("far", "route add 2001:db8:2::2/128 via 2001:db8:4::1"),
        ),
        long_path=True,
    )
