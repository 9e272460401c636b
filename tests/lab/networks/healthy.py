"""Healthy networks, and starved ends: nothing may be called broken."""

from __future__ import annotations

from typing import Final

from tests.lab import middleboxes
from tests.lab.conditions import (
    DOWN,
    UP,
    balanced,
    bridged,
    link_local,
    lost,
    mss_clamped,
    mtu,
    narrow_route,
    no_ipv6,
    published_port,
    source_nat,
)
from tests.lab.expectation import never_fails, passes
from tests.lab.nameserver import Names
from tests.lab.networks.declaration import V4, V6, Network
from tests.lab.topology import (
    OTHERS4,
    ROUTER4,
    ROUTER6,
    SERVER4,
    SERVER6,
)
from tests.lab.tunrouter import Impairments

NETWORKS: Final = (
    # Healthy
    Network(
        "healthy",
        "routed, IPv4 and IPv6",
        passes(),
        representative=True,
    ),
    Network("healthy-v4", "routed, IPv4 only", passes(), flags=V4),
    Network("healthy-v6", "routed, IPv6 only", passes(), flags=V6),
    Network(
        "bridge",
        "both ends on one bridge, IPv4 and IPv6",
        passes(),
        conditions=(bridged(),),
    ),
    Network(
        "healthy-no-ipv6",
        "the client's end has no IPv6, and the name has both kinds of address",
        passes(("reach", "IPv6 not tried")),
        conditions=(no_ipv6(),),
    ),
    Network(
        "published-port",
        "the router forwards a published port to the server (DNAT)",
        passes(("path", "a published port")),
        conditions=(published_port(),),
        names=Names((ROUTER4, ROUTER6)),
        representative=True,
    ),
    Network(
        "balancer-proxy",
        "three servers behind a TCP load balancer that is a proxy",
        passes(("path", "source NAT or a proxy")),
        proxy=middleboxes.forward_all,
        servers=3,
        names=Names((SERVER4,)),
        representative=True,
    ),
    Network(
        "balancer-nat",
        "three servers behind a virtual address (round-robin DNAT)",
        passes(),
        conditions=(balanced((SERVER4, *OTHERS4)),),
        servers=3,
        names=Names((SERVER4,)),
    ),
    Network(
        "source-nat",
        "the client is hidden behind the router's address",
        passes(("path", "source NAT")),
        conditions=(source_nat(),),
        representative=True,
    ),
    Network(
        "mtu-1400",
        "an MTU of 1,400 is agreed on all links",
        passes(),
        conditions=(mtu(1400),),
    ),
    Network(
        "mss-500",
        "segments are clamped to 500 bytes",
        passes(),
        conditions=(mss_clamped(500),),
    ),
    Network(
        "pmtu-discovery",
        "the route has a smaller MTU in both directions, and reports it",
        passes(("udp", "the path MTU is 1400")),
        conditions=(narrow_route(1400, UP), narrow_route(1400, DOWN)),
    ),
    Network(
        "delay-50ms",
        "50 ms there and 50 ms back",
        passes(),
        impairments=(Impairments(delay=0.05), Impairments(delay=0.05)),
        representative=True,
    ),
    Network(
        "lossy-1",
        "1 % of all packets are lost in both directions",
        passes(),
        conditions=(lost(0.01, UP), lost(0.01, DOWN)),
    ),
    Network(
        "name-slow",
        "the name server responds after 3 s",
        passes(("name", "the lookup took 3.")),
        names=Names((SERVER4, SERVER6), delay=3.0),
    ),
    Network(
        "link-local",
        "both ends on one bridge, and the target is a link-local address with its zone",
        passes(),
        conditions=(bridged(), link_local()),
        target="[fe80::5%eth0]:12345",
    ),
    # Starved
    Network(
        "starved-client",
        "the client runs 5 % of the time",
        never_fails(),
        starved="client",
        seconds=120,
    ),
    Network(
        "starved-server",
        "the server runs 5 % of the time",
        never_fails(),
        starved="server",
    ),
)
