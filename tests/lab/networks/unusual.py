"""Unusual conditions that no check targets: the verdict must still be true."""

from __future__ import annotations

from typing import Final

from tests.lab import unusual_faults
from tests.lab.conditions import DOWN, UP, balanced, longer_dropped, real_packets, slow
from tests.lab.expectation import fails, passes
from tests.lab.nameserver import Names
from tests.lab.networks.declaration import V4, Network
from tests.lab.topology import ABSENT4, OTHERS4, SERVER4
from tests.lab.tunrouter import Impairments

NETWORKS: Final = (
    # Odd, and healthy
    Network(
        "options-stripped",
        "a firewall strips window scaling, SACK and timestamps from SYNs",
        passes(),
        conditions=(
            unusual_faults.options_stripped("wscale,sack-permitted,timestamp"),
        ),
    ),
    Network(
        "bare-acks-lost",
        "30 % of pure ACKs are lost in both directions",
        passes(),
        conditions=(
            unusual_faults.bare_acks_lost(0.3, UP),
            unusual_faults.bare_acks_lost(0.3, DOWN),
        ),
    ),
    Network(
        "bytes-apart",
        "a proxy forwards the first bytes one by one, and odd-sized pieces after them",
        passes(("path", "source NAT or a proxy")),
        proxy=unusual_faults.split_pieces,
        representative=True,
    ),
    Network(
        "delay-800ms",
        (
            "800 ms there and 800 ms back: a SYN is retransmitted before its response "
            "can arrive"
        ),
        passes(("reach", "the path is slow"), ("size", "the path is slow")),
        impairments=(Impairments(delay=0.8), Impairments(delay=0.8)),
        seconds=120,
    ),
    Network(
        "slow-2mbit",
        "2 Mbit/s in both directions, with a long queue",
        passes(("size", "the path is slow")),
        conditions=(slow(2, UP, 2000), slow(2, DOWN, 2000)),
    ),
    # Connections
    Network(
        "ttl-used-up",
        "packets to the server reach the router with no hops left (a loop)",
        fails("reach.unreachable", "intermediary"),
        conditions=(unusual_faults.short_lived(UP),),
        flags=V4,
    ),
    Network(
        "one-backend-dead",
        "one of three servers behind a virtual address is gone",
        # The NAT remembers flows, and one process answers at both other addresses: so
        # does a path that is dead for some source ports.
        fails(
            "flows.dead",
            "intermediary",
            may=("balance.unhealthy_backend", "flows.udp_dead"),
        ),
        conditions=(balanced((SERVER4, OTHERS4[0], ABSENT4)),),
        names=Names((SERVER4,)),
    ),
    Network(
        "five-connections",
        "the server serves five connections at once",
        fails("identity.busy", "server", check="size"),
        flags=("--checks", "size"),
        server=("--max-connections", "5"),
    ),
    # What carries bytes changes them
    Network(
        "banner-first",
        "a proxy sends a line of its own before it forwards anything",
        fails("identity.mangled", "path ←"),
        proxy=unusual_faults.insert_prefix(down=b"220 welcome to the gateway\r\n"),
    ),
    Network(
        "proxy-header",
        "a load balancer prepends a PROXY protocol header to each connection",
        fails("identity.plain", "unknown"),
        proxy=unusual_faults.insert_prefix(
            up=b"PROXY TCP4 198.18.1.2 198.18.2.2 40000 12345\r\n"
        ),
    ),
    Network(
        "first-byte-lost-down",
        "a proxy loses the first byte of each response",
        fails("identity.mangled", "path ←"),
        proxy=unusual_faults.drop_first_byte(up=False),
    ),
    Network(
        "piece-repeated-up",
        "a proxy forwards a piece of 100 bytes twice",
        fails("size.changed", "path →"),
        proxy=unusual_faults.repeat_piece(30_000, up=True),
    ),
    # Connections that work for a while
    *(
        Network(
            f"first-packets-{way}",
            f"a firewall passes only the first ten packets of a connection, {way}",
            fails("size.stalled", where),
            conditions=(unusual_faults.first_packets_only(10, link),),
            flags=("--checks", "size"),
            representative=way == "down",
        )
        for way, link, where in (("up", UP, "path →"), ("down", DOWN, "path ←"))
    ),
    Network(
        "reset-after-20k",
        "a firewall resets whoever sends on a connection that has carried 20 KiB",
        fails("size.cut", "intermediary"),
        conditions=(unusual_faults.reset_after(20),),
    ),
    Network(
        "pushed-dropped-up",
        "connections open, but the data that they carry to the server is dropped",
        fails("identity.unacknowledged", "unknown", cause="firewall"),
        conditions=(unusual_faults.pushed_dropped(UP),),
    ),
    # One family, one protocol
    Network(
        "v6-small-only",
        "IPv6 packets of more than 800 bytes are dropped on the way to the server",
        fails("size.black_hole", "path →", may=("udp.black_hole",)),
        conditions=(real_packets(), unusual_faults.only_ipv6(longer_dropped(800, UP))),
    ),
    Network(
        "udp-from-elsewhere",
        "datagrams are answered from a different port than the one they were sent to",
        fails("udp.misaddressed", "intermediary"),
        conditions=(unusual_faults.answered_from_elsewhere(),),
        representative=True,
    ),
)
