"""Conditions of a network; each function is named after one.

A condition is lines for the tools that bring it about. Packets are dropped,
changed and refused in the router, on their way out of it (``-o``), and never in
the sender's own OUTPUT chain: there, the sender's kernel would know. On its way
out, a packet is met once, also where it takes the detour through the TUN router.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final, Literal

PORT: Final = 12345
UP: Final = "to_server"
"""The way from the client to the server: the router's link that leads there."""
DOWN: Final = "to_client"
"""The way back."""

Way = Literal["to_server", "to_client"]
Role = Literal["client", "router", "middle", "far", "server"]
Line = tuple[Role, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a packet filter, the router's unless another one is named."""

    table: str
    text: str
    at: Role = "router"


@dataclass(frozen=True, slots=True)
class Condition:
    """Rules and queues (lines for ``tc``) of the router; lines for ``ip``, settings.

    ``long_path``: two more routers, ``middle`` and ``far``, follow the first one.
    """

    ipv4: tuple[Rule, ...] = ()
    ipv6: tuple[Rule, ...] = ()
    links: tuple[Line, ...] = ()
    settings: tuple[Line, ...] = ()
    queues: tuple[str, ...] = ()
    long_path: bool = False


def _forward(match: str, action: str, action6: str = "") -> Condition:
    return Condition(
        ipv4=(Rule("filter", f"-A FORWARD {match} -j {action}"),),
        ipv6=(Rule("filter", f"-A FORWARD {match} -j {action6 or action}"),),
    )


# Blocked, rejected, lost


def dropped(protocol: str = "tcp", way: Way = UP) -> Condition:
    """Drop all that goes this way."""
    return _forward(f"-o {way} -p {protocol}", "DROP")


def reset(way: Way = UP) -> Condition:
    """Answer TCP with a reset, as a firewall that rejects does."""
    return _forward(f"-o {way} -p tcp", "REJECT --reject-with tcp-reset")


def prohibited(protocol: str = "tcp", way: Way = UP) -> Condition:
    """Answer with the ICMP error of an administrator's prohibition."""
    return _forward(
        f"-o {way} -p {protocol}",
        "REJECT --reject-with icmp-host-prohibited",
        "REJECT --reject-with icmp6-adm-prohibited",
    )


def port_unreachable(way: Way = UP) -> Condition:
    """Answer datagrams with ICMP port unreachable."""
    return _forward(
        f"-o {way} -p udp",
        "REJECT --reject-with icmp-port-unreachable",
        "REJECT --reject-with icmp6-port-unreachable",
    )


def address_dropped(address: str, way: Way = UP) -> Condition:
    """Drop all that goes to one IPv4 address."""
    rule = Rule("filter", f"-A FORWARD -o {way} -d {address} -j DROP")
    return Condition(ipv4=(rule,))


def lost(share: float, way: Way, protocol: str = "all") -> Condition:
    """Lose packets at random."""
    match = f"-o {way} -p {protocol} -m statistic --mode random --probability {share}"
    return _forward(match, "DROP")


def every_nth_lost(nth: int, way: Way, protocol: str = "all") -> Condition:
    """Lose every nth packet."""
    nth_of = f"-m statistic --mode nth --every {nth} --packet 0"
    return _forward(f"-o {way} -p {protocol} {nth_of}", "DROP")


def rate_limited(packets: int, way: Way, protocol: str = "udp") -> Condition:
    """Drop packets above this rate per second."""
    limit = f"--hashlimit-above {packets}/sec --hashlimit-burst {packets}"
    name = f"--hashlimit-name {protocol}_{way}"
    return _forward(f"-o {way} -p {protocol} -m hashlimit {limit} {name}", "DROP")


def text_cut(text: str, way: Way = UP) -> Condition:
    """Drop packets that contain a text, as a firewall that reads along does."""
    return _forward(f'-o {way} -m string --algo bm --string "{text}"', "DROP")


def flagged_dropped(flag: Literal["FIN", "RST"], way: Way) -> Condition:
    """Drop the segments with this flag."""
    return _forward(f"-o {way} -p tcp --tcp-flags {flag} {flag}", "DROP")


def syns_lost(share: float, way: Way) -> Condition:
    """Lose SYNs at random; on the way back, the answers to them."""
    flags = "SYN,ACK SYN" if way == UP else "SYN,ACK SYN,ACK"
    chance = f"-m statistic --mode random --probability {share}"
    return _forward(f"-o {way} -p tcp --tcp-flags {flags} {chance}", "DROP")


def new_limited_by_rate(rate: str, burst: int, *, reset: bool) -> Condition:
    """Limit new connections by a token bucket; reset or drop the rest."""
    limit = f"--hashlimit-above {rate} --hashlimit-burst {burst} --hashlimit-name new"
    action = "REJECT --reject-with tcp-reset" if reset else "DROP"
    return _forward(f"-o {UP} -p tcp --syn -m hashlimit {limit}", action)


def new_limited_by_count(count: int, *, reset: bool) -> Condition:
    """Limit the number of open connections."""
    action = "REJECT --reject-with tcp-reset" if reset else "DROP"
    limit = f"--connlimit-above {count} --connlimit-mask 0"
    return _forward(f"-o {UP} -p tcp --syn -m connlimit {limit}", action)


def fragments_dropped(way: Way) -> Condition:
    """Drop fragments. Not beside NAT or conntrack, which put them together first."""
    return Condition(
        ipv4=(Rule("filter", f"-A FORWARD -o {way} -f -j DROP"),),
        ipv6=(Rule("filter", f"-A FORWARD -o {way} -m frag -j DROP"),),
    )


# Sizes


def real_packets() -> Condition:
    """Send no packet larger than the MTU into a link.

    A veth pair carries super-packets of up to 64 KiB past every check of length;
    a cable does not.
    """
    return Condition(
        links=tuple(
            (role, "link set eth0 gso_max_segs 1") for role in ("client", "server")
        )
    )


def mtu(size: int) -> Condition:
    """Agree on this MTU on all links."""
    return Condition(
        links=(
            ("client", f"link set eth0 mtu {size}"),
            ("router", f"link set to_client mtu {size}"),
            ("router", f"link set to_server mtu {size}"),
            ("server", f"link set eth0 mtu {size}"),
        )
    )


def narrow_route(size: int, way: Way) -> Condition:
    """Give the route this way a smaller MTU and report it by ICMP, as is normal."""
    four, six = ("198.18.2.0", "2001:db8:2::") if way == UP else _CLIENT_SIDE
    return Condition(
        links=(
            ("router", f"route replace {four}/24 dev {way} mtu lock {size}"),
            ("router", f"route add {six}/64 dev {way} metric 1 mtu lock {size}"),
        )
    )


_CLIENT_SIDE: Final = ("198.18.1.0", "2001:db8:1::")


def too_big_unsaid() -> Condition:
    """Never say that a packet was too big (the router's own ICMP is dropped)."""
    return Condition(
        ipv4=(
            Rule(
                "filter", "-A OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP"
            ),
        ),
        ipv6=(
            Rule("filter", "-A OUTPUT -p icmpv6 --icmpv6-type packet-too-big -j DROP"),
        ),
    )


def longer_dropped(size: int, way: Way, protocol: str = "all") -> Condition:
    """Drop packets longer than this; real only beside ``real_packets``."""
    match = f"-o {way} -p {protocol} -m length --length {size + 1}:65535"
    return _forward(match, "DROP")


def mismatched_link(size: int, way: Way) -> Condition:
    """Have the router's end of the sender's link at a smaller MTU than the sender's.

    What is longer is dropped by the link without a word, but for super-packets, which
    pass (``real_packets``), and a link lets 4 bytes more through, for a VLAN. The router sends full size back all the same: else path
    MTU discovery that way lowers the segment size of later connections both ways, and
    the hole is there for the first ones only.
    """
    device: Way = DOWN if way == UP else UP
    link: Line = ("router", f"link set {device} mtu {size}")
    return Condition(links=(link, *narrow_route(1500, device).links))


def mss_clamped(size: int) -> Condition:
    """Lower the segment size that both ends agree on."""
    clamp = f"-A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {size}"
    return Condition(ipv4=(Rule("mangle", clamp),), ipv6=(Rule("mangle", clamp),))


def slow(megabits: float, way: Way, queue_ms: int = 200) -> Condition:
    """Limit the link this way to a rate, with a queue of this many milliseconds."""
    bucket = f"rate {megabits}mbit burst 16kb latency {queue_ms}ms"
    return Condition(queues=(f"qdisc add dev {way} root tbf {bucket}",))


# Translation


def source_nat() -> Condition:
    """Hide the client behind the router's address."""
    rule = Rule("nat", f"-A POSTROUTING -o {UP} -j MASQUERADE")
    return Condition(ipv4=(rule,), ipv6=(rule,))


def published_port(*protocols: str) -> Condition:
    """Lead the router's port to the server, as an engine publishes one.

    Without ``protocols``, for TCP and UDP.
    """

    def rules(router: str, server: str) -> tuple[Rule, ...]:
        return tuple(
            Rule(
                "nat",
                f"-A PREROUTING -d {router} -p {protocol} --dport {PORT} "
                f"-j DNAT --to-destination {server}:{PORT}",
            )
            for protocol in protocols or ("tcp", "udp")
        )

    return Condition(
        ipv4=rules("198.18.1.1", "198.18.2.2"),
        ipv6=rules("2001:db8:1::1", "[2001:db8:2::2]"),
    )


def balanced(servers: tuple[str, ...]) -> Condition:
    """Lead each new connection to the next server, as a cluster's virtual address."""
    return Condition(
        ipv4=tuple(
            Rule(
                "nat",
                f"-A PREROUTING -i {DOWN} -p {protocol} --dport {PORT} "
                f"-m statistic --mode nth --every {len(servers) - number} --packet 0 "
                f"-j DNAT --to-destination {server}:{PORT}",
            )
            for protocol in ("tcp", "udp")
            for number, server in enumerate(servers)
        )
    )


def absent(address: str) -> Condition:
    """Swallow without a word what goes to an address: no card has its MAC address.

    A rule of FORWARD would not do: a connection dropped there is not remembered, and
    its next SYN is led to the next server.
    """
    line = f"neigh add {address} lladdr 02:00:00:00:00:99 dev to_server"
    return Condition(links=(("router", line),))


def through_proxy() -> Condition:
    """Lead TCP, unasked, through the router's own port, where a proxy listens."""
    rule = Rule(
        "nat", f"-A PREROUTING -i {DOWN} -p tcp --dport {PORT} -j REDIRECT --to {PORT}"
    )
    return Condition(ipv4=(rule,), ipv6=(rule,))


# Memory of connections


def idle_forgotten(seconds: int, *, reset: bool) -> Condition:
    """Forget an idle connection; then drop its packets, or with ``reset``, reset it.

    Only the end that sends first gets the reset; the other end gets nothing.
    """
    timers = (
        f"net.netfilter.nf_conntrack_tcp_timeout_established={seconds}",
        "net.netfilter.nf_conntrack_tcp_loose=0",
    )
    action = "REJECT --reject-with tcp-reset" if reset else "DROP"
    unknown = _forward("-p tcp -m conntrack --ctstate INVALID", action)
    settings: tuple[Line, ...] = tuple(("router", timer) for timer in timers)
    return dataclasses.replace(unknown, settings=settings)


def udp_forgotten(seconds: int) -> Condition:
    """Forget a silent UDP flow; then let nothing in that the client has not begun."""
    timers = ("udp_timeout", "udp_timeout_stream")
    settings: tuple[Line, ...] = tuple(
        ("router", f"net.netfilter.nf_conntrack_{timer}={seconds}") for timer in timers
    )
    match = f"-o {DOWN} -p udp -m conntrack --ctstate NEW,INVALID"
    return dataclasses.replace(_forward(match, "DROP"), settings=settings)


# The ends themselves


def bridged() -> Condition:
    """Have both ends on one bridge, as containers of one network: nobody routes.

    What the router alone can do (FORWARD, NAT, MTUs of its routes) is without effect.
    """
    lines = [
        "link add bridge type bridge",
        "link set bridge up",
        "link set to_client master bridge",
        "link set to_server master bridge",
        "addr del 198.18.1.1/24 dev to_client",
        "addr add 198.18.1.1/24 dev bridge",
    ]
    return Condition(
        links=(
            *(("router", line) for line in lines),
            ("client", "route add 198.18.2.0/24 dev eth0"),
            ("client", "route add 2001:db8:2::/64 dev eth0"),
            ("server", "route add 198.18.1.0/24 dev eth0"),
            ("server", "route add 2001:db8:1::/64 dev eth0"),
        )
    )


def link_local() -> Condition:
    """Give both ends a link-local address that is known: fe80::c and fe80::5."""
    return Condition(
        links=(
            ("client", "addr add fe80::c/64 dev eth0 nodad"),
            ("server", "addr add fe80::5/64 dev eth0 nodad"),
        )
    )


def no_ipv6() -> Condition:
    """Have no IPv6 at the client's end."""
    return Condition(
        links=(
            ("client", "route del default via 2001:db8:1::1"),
            ("client", "addr del 2001:db8:1::2/64 dev eth0"),
        )
    )


def unplugged() -> Condition:
    """Have the client's link down: it has no route to anywhere."""
    return Condition(links=(("client", "link set eth0 down"),))


def few_ports(count: int) -> Condition:
    """Leave the client this number of local ports."""
    setting = f"net.ipv4.ip_local_port_range=40000 {40000 + count - 1}"
    return Condition(settings=(("client", setting),))


def own_port_alone() -> Condition:
    """Leave the client one port to connect from: the very one that it connects to.

    A connection to an address of its own then meets itself. No TIME_WAIT, or the
    second one would find the port taken.
    """
    return Condition(
        settings=(
            ("client", f"net.ipv4.ip_local_port_range={PORT} {PORT}"),
            ("client", "net.ipv4.tcp_max_tw_buckets=0"),
        )
    )
