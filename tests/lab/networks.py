"""The networks of the lab. Each is one ``Network(...)`` of a few lines in NETWORKS.

    Network(
        "udp-lost-up",                            its name, a row of the matrix
        "5 % of datagrams are lost on the way to the server",
        fails("udp.loss", "path →"),              what the verdict must say
        conditions=(lost(0.05, UP, "udp"),),      what the network is like
        flags=("--profile", "full"),              of `netduet check`
    )

What it must say: ``fails(CLASS, WHERE)`` (the root finding; the check is the class's
first word, or ``check=``), ``passes(("CHECK", "words of a remark"), ...)``, or
``never_fails()``. Every other finding is wrong, unless its class stands in ``may=``.
What it is like:
  conditions  functions of conditions.py: rules, MTUs, NAT, idle timers; they add up
  weather     (up, down): Weather of tunrouter.py: delay, jitter, reordering, changes
  proxy       a manner of middleboxes.py that all TCP passes through
  server      flags of `netduet serve`; or a manner of a stranger; None: nothing there
  servers     how many netduets there are (SERVER4 and OTHERS4)
  names       what the name server.test resolves to, and how late
  target      what is checked, if not that name
  starved     "client" or "server" runs 5 % of the time
  seconds     the bound on one check
  representative   also in `make test`
Without any of them it is healthy, routed, with IPv4 and IPv6. A network whose check
is not there yet stands in PREPARED: it runs when named, and is not judged.
Try one:  .venv/bin/python -m tests.lab NAME...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tests.lab import middleboxes
from tests.lab.conditions import (
    DOWN,
    UP,
    Condition,
    balanced,
    bridged,
    dropped,
    every_nth_lost,
    flagged_dropped,
    fragments_dropped,
    idle_forgotten,
    longer_dropped,
    lost,
    mismatched_link,
    mss_clamped,
    mtu,
    narrow_route,
    no_ipv6,
    own_port_alone,
    port_unreachable,
    prohibited,
    published_port,
    rate_limited,
    real_packets,
    reset,
    source_nat,
    too_big_unsaid,
)
from tests.lab.expectation import Expected, fails, never_fails, passes
from tests.lab.middleboxes import Manner
from tests.lab.nameserver import NAME, Names
from tests.lab.topology import (
    ABSENT4,
    CLIENT4,
    OTHERS4,
    ROUTER4,
    ROUTER6,
    SERVER4,
    SERVER6,
)
from tests.lab.tunrouter import Weather

V4: Final = ("-4",)
V6: Final = ("-6",)
IDLE: Final = ("-4", "--checks", "idle", "--idle-rungs", "2s,8s")
"""Connections are held for less and for more than the 5 s of the timers here."""
UDP: Final = ("--checks", "udp")
WAYS: Final = (("up", UP, "path →"), ("down", DOWN, "path ←"))


@dataclass(frozen=True, slots=True)
class Network:
    """One network; see the head of this file."""

    name: str
    what: str
    expect: Expected | None
    conditions: tuple[Condition, ...] = ()
    weather: tuple[Weather, Weather] | None = None
    proxy: Manner | None = None
    server: tuple[str, ...] | Manner | None = ()
    servers: int = 1
    names: Names = field(default=Names((SERVER4, SERVER6)))
    target: str = NAME
    flags: tuple[str, ...] = ()
    starved: str = ""
    seconds: float = 60.0
    representative: bool = False


def _hole(way: str, how: str, family: str) -> Network:
    """Return a network with an MTU black hole of 1,400 bytes, made in one of four ways."""
    direction: Final = UP if way == "up" else DOWN
    made = {
        "route": (narrow_route(1400, direction), too_big_unsaid(), real_packets()),
        "rule": (longer_dropped(1400, direction), real_packets()),
        # Many packets in one piece pass a mismatched link of virtual devices.
        "link": (mismatched_link(1400, direction),),
        "cable": (mismatched_link(1400, direction), real_packets()),
    }[how]
    remark = (("size", "a virtual link hands many packets on in one piece"),)
    return Network(
        f"hole-{how}-{way}-v{family}",
        f"packets over 1,400 bytes vanish on the way {way}, by {how}, IPv{family}",
        fails(
            "size.black_hole",
            "path →" if way == "up" else "path ←",
            remarks=remark if how == "link" else (),
            may=("udp.black_hole",),
        ),
        conditions=made,
        flags=(f"-{family}",),
        representative=f"{how}-{way}-v{family}"
        in ("route-down-v4", "rule-up-v6", "link-up-v4"),
    )


NETWORKS: Final = (
    # Healthy
    Network(
        "healthy",
        "routed, IPv4 and IPv6",
        passes(),
        representative=True,
    ),
    Network("healthy-v4", "routed, IPv4 alone", passes(), flags=V4),
    Network("healthy-v6", "routed, IPv6 alone", passes(), flags=V6),
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
        "the router's port leads to the server (DNAT)",
        passes(("path", "a published port")),
        conditions=(published_port(),),
        names=Names((ROUTER4, ROUTER6)),
        representative=True,
    ),
    Network(
        "balancer-proxy",
        "three servers behind a TCP balancer that is a proxy",
        passes(("path", "source NAT or a proxy")),
        proxy=middleboxes.faithful,
        servers=3,
        names=Names((SERVER4,)),
        representative=True,
    ),
    Network(
        "balancer-nat",
        "three servers behind a virtual address (DNAT by turns)",
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
        "the route has a smaller MTU both ways, and says so",
        passes(("size", "path MTU discovery works")),
        conditions=(narrow_route(1400, UP), narrow_route(1400, DOWN)),
    ),
    Network(
        "delay-50ms",
        "50 ms there and 50 ms back",
        passes(),
        weather=(Weather(delay=0.05), Weather(delay=0.05)),
        representative=True,
    ),
    Network(
        "lossy-1",
        "1 % of all packets are lost, both ways",
        passes(),
        conditions=(lost(0.01, UP), lost(0.01, DOWN)),
    ),
    Network(
        "name-slow",
        "the name server answers after 3 s",
        passes(("name", "resolving took 3.")),
        names=Names((SERVER4, SERVER6), delay=3.0),
    ),
    # Names
    Network(
        "name-missing",
        "the name does not exist",
        fails("name.not_found", "client"),
        names=Names(()),
        representative=True,
    ),
    Network(
        "name-unanswered",
        "the name server never answers",
        fails("name.timeout", "unknown"),
        names=Names((SERVER4,), delay=300.0),
    ),
    Network(
        "aaaa-for-v4-only",
        "the name has an IPv6 address, and the server listens on IPv4 alone",
        fails("reach.partial", "unknown"),
        server=("--host", "0.0.0.0"),
        representative=True,
    ),
    Network(
        "one-of-three-dead",
        "one of the name's three addresses leads nowhere",
        fails("reach.partial", "unknown"),
        names=Names((SERVER4, OTHERS4[0], ABSENT4)),
    ),
    # Connections
    Network(
        "refused",
        "nothing listens there",
        fails("reach.refused", "server"),
        server=None,
        representative=True,
    ),
    Network(
        "firewall-reset",
        "a firewall rejects with a reset",
        fails("reach.refused", "server"),
        conditions=(reset(),),
    ),
    Network(
        "firewall-prohibited",
        "a firewall rejects with an ICMP error",
        fails("reach.unreachable", "intermediary"),
        conditions=(prohibited(),),
        names=Names((SERVER4,)),
    ),
    Network(
        "dropped-up",
        "TCP is dropped on the way to the server",
        fails("reach.timeout", "unknown"),
        conditions=(dropped("tcp", UP),),
        representative=True,
    ),
    Network(
        "dropped-down",
        "TCP is dropped on the way back",
        fails("reach.timeout", "unknown"),
        conditions=(dropped("tcp", DOWN),),
    ),
    Network(
        "gone",
        "the only address leads nowhere",
        fails("reach.unreachable", "intermediary"),
        names=Names((ABSENT4,)),
    ),
    # Who answers
    Network(
        "proxy-dead-silent",
        "a proxy accepts for a server that hangs",
        fails("identity.silent", "unknown"),
        proxy=middleboxes.silent,
        representative=True,
    ),
    Network(
        "proxy-dead-app",
        "a proxy accepts, finds its server dead, and gives up",
        fails(("identity.closed", "identity.reset"), "intermediary"),
        proxy=middleboxes.faithful,
        server=None,
        representative=True,
    ),
    Network(
        "proxy-dead-closing",
        "a proxy accepts for a dead server, and closes",
        fails("identity.closed", "intermediary"),
        proxy=middleboxes.closing,
    ),
    Network(
        "proxy-dead-resetting",
        "a proxy accepts for a dead server, and resets",
        fails("identity.reset", "intermediary"),
        proxy=middleboxes.resetting,
    ),
    Network(
        "proxy-dead-resetting-at-once",
        "a proxy accepts for a dead server, and resets before it is asked",
        fails("identity.reset", "intermediary"),
        proxy=middleboxes.resetting_at_once,
    ),
    Network(
        "stranger-web",
        "a web server has the name",
        fails("identity.stranger", "server"),
        server=middleboxes.web,
        representative=True,
    ),
    Network(
        "stranger-shell",
        "a server that speaks first has the name",
        fails("identity.stranger", "server"),
        server=middleboxes.shell,
    ),
    Network(
        "other-service",
        "a netduet of another service has the name",
        fails("identity.other_service", "server"),
        server=("--service", "billing"),
    ),
    Network(
        "itself",
        "the name is the client's own address, and the connection meets itself",
        fails("identity.self", "client"),
        conditions=(own_port_alone(),),
        names=Names((CLIENT4,)),
        server=None,
    ),
    Network(
        "mangled-up",
        "a proxy turns CR LF into LF on the way to the server",
        fails("identity.mangled", "path →"),
        proxy=middleboxes.mangling(up=True),
        representative=True,
    ),
    Network(
        "mangled-down",
        "a proxy turns CR LF into LF on the way back",
        fails("identity.mangled", "path ←"),
        proxy=middleboxes.mangling(up=False),
    ),
    # Datagrams
    Network(
        "udp-dropped",
        "datagrams are dropped on the way to the server",
        fails("udp.silent", "unknown"),
        conditions=(dropped("udp", UP),),
        flags=UDP,
        representative=True,
    ),
    Network(
        "udp-dropped-down",
        "datagrams are dropped on the way back",
        fails("udp.silent", "unknown"),
        conditions=(dropped("udp", DOWN),),
        flags=UDP,
    ),
    Network(
        "udp-rejected",
        "a firewall rejects datagrams with an ICMP error",
        fails("udp.rejected", "intermediary"),
        conditions=(port_unreachable(),),
        flags=UDP,
        representative=True,
    ),
    Network(
        "udp-prohibited",
        "a firewall rejects datagrams as prohibited",
        fails("udp.rejected", "intermediary"),
        conditions=(prohibited("udp"),),
        flags=UDP,
    ),
    Network(
        "udp-off",
        "the server answers no datagrams: its kernel refuses them",
        fails("udp.rejected", "server"),
        server=("--no-udp",),
        flags=UDP,
    ),
    *(
        Network(
            f"udp-lost-{way}",
            f"5 % of datagrams are lost on the way {way}",
            fails("udp.loss", where),
            conditions=(lost(0.05, direction, "udp"),),
            flags=(*UDP, "--profile", "full"),
            representative=True,
        )
        for way, direction, where in WAYS
    ),
    *(
        Network(
            f"udp-tenth-lost-{way}",
            f"every tenth datagram is lost on the way {way}",
            fails("udp.loss", where),
            conditions=(every_nth_lost(10, direction, "udp"),),
            flags=UDP,
        )
        for way, direction, where in WAYS
    ),
    Network(
        "udp-rate-limited",
        "no more than 100 datagrams a second pass on the way to the server",
        fails("udp.loss", "path →"),
        conditions=(rate_limited(100, UP),),
        flags=UDP,
    ),
    Network(
        "udp-lossy-1",
        "1 % of datagrams are lost, both ways: fewer than may be",
        passes(("udp", "were lost")),
        conditions=(lost(0.01, UP, "udp"), lost(0.01, DOWN, "udp")),
        flags=(*UDP, "--profile", "full"),
    ),
    Network(
        "udp-reordered",
        "5 % of datagrams come 20 ms late on the way up",
        passes(("udp", "came behind a later one on the way to the server")),
        weather=(Weather(held=0.05, protocol="udp"), Weather()),
        flags=UDP,
        representative=True,
    ),
    Network(
        "udp-reordered-down",
        "5 % of datagrams come 20 ms late on the way down",
        passes(("udp", "came behind a later one on the way back")),
        weather=(Weather(), Weather(held=0.05, protocol="udp")),
        flags=UDP,
    ),
    Network(
        "udp-duplicated",
        "5 % of datagrams come twice on the way up",
        passes(("udp", "came more than once on the way to the server")),
        weather=(Weather(duplicated=0.05, protocol="udp"), Weather()),
        flags=UDP,
        representative=True,
    ),
    Network(
        "udp-duplicated-down",
        "5 % of datagrams come twice on the way down",
        passes(("udp", "came more than once on the way back")),
        weather=(Weather(), Weather(duplicated=0.05, protocol="udp")),
        flags=UDP,
    ),
    *(
        Network(
            f"udp-hole-{way}-v{family}",
            f"packets of datagrams over 1,400 bytes vanish, {way}, IPv{family}",
            fails("udp.black_hole", where),
            conditions=(longer_dropped(1400, direction, "udp"), real_packets()),
            flags=(*UDP, f"-{family}"),
        )
        for way, direction, where in WAYS
        for family in "46"
    ),
    *(
        Network(
            f"fragments-dropped-{way}",
            f"fragments are dropped on the way {way}",
            fails("udp.fragments", where),
            conditions=(fragments_dropped(direction),),
            flags=UDP,
            representative=way == "up",
        )
        for way, direction, where in WAYS
    ),
    Network(
        "udp-pmtu-discovery",
        "the route has a smaller MTU both ways, and says so",
        passes(("udp", "so, as it should")),
        conditions=(narrow_route(1400, UP), narrow_route(1400, DOWN)),
        flags=UDP,
    ),
    # Sizes
    *(
        _hole(way, how, family)
        for how in ("route", "rule", "link", "cable")
        for way in ("up", "down")
        for family in ("4", "6")
    ),
    Network(
        "hole-both-ways",
        "packets over 1,400 bytes vanish both ways",
        fails("size.black_hole", "path →", may=("udp.black_hole",)),
        conditions=(
            longer_dropped(1400, UP),
            longer_dropped(1400, DOWN),
            real_packets(),
        ),
        flags=V4,
    ),
    Network(
        "hole-jumbo-down",
        "the ends agree on an MTU of 9,000, and packets over 1,500 bytes vanish, down",
        fails("size.black_hole", "path ←", may=("udp.black_hole",)),
        conditions=(mtu(9000), longer_dropped(1500, DOWN), real_packets()),
        flags=V4,
    ),
    Network(
        "hole-lossy-up",
        "packets over 1,400 bytes vanish on the way up, and 1 % of all both ways",
        fails("size.black_hole", "path →", may=("udp.black_hole",)),
        conditions=(
            longer_dropped(1400, UP),
            real_packets(),
            lost(0.01, UP),
            lost(0.01, DOWN),
        ),
        flags=V4,
    ),
    *(
        Network(
            f"changed-{way}",
            f"a bit of every 20th long TCP segment is changed, {way}",
            fails("size.changed", where, may=("close.answer_changed",)),
            weather=(
                Weather(changed=0.05 if way == "up" else 0.0),
                Weather(changed=0.05 if way == "down" else 0.0),
            ),
            representative=way == "down",
        )
        for way, _, where in WAYS
    ),
    # Silence
    Network("idle-healthy", "nothing forgets idle connections", passes(), flags=IDLE),
    Network(
        "idle-forgotten",
        "a router forgets idle connections after 5 s, and drops their packets",
        fails("idle.silent", "intermediary"),
        conditions=(idle_forgotten(5, told=False),),
        flags=IDLE,
        representative=True,
    ),
    Network(
        "idle-forgotten-reset",
        "a router forgets idle connections after 5 s, and resets whoever sends",
        fails("idle.reset", "intermediary"),
        conditions=(idle_forgotten(5, told=True),),
        flags=IDLE,
        representative=True,
    ),
    Network(
        "idle-forgotten-nat",
        "a router that hides the client forgets idle connections after 5 s",
        # The server's own words lead to the router, which resets what it knows not.
        fails(("idle.reset", "idle.silent"), "intermediary"),
        conditions=(source_nat(), idle_forgotten(5, told=False)),
        flags=IDLE,
    ),
    *(
        Network(
            f"idle-proxy-{how}",
            f"a proxy ends idle connections after 5 s by {how}",
            fails(failure, "intermediary"),
            proxy=middleboxes.idle_cutting(5, how),
            flags=IDLE,
            representative=how == "fin",
        )
        for how, failure in (
            ("reset", "idle.reset"),
            ("fin", "idle.closed"),
            ("silence", "idle.silent"),
        )
    ),
    # Ends
    Network(
        "half-close-broken",
        "a proxy closes both ways at the first end of sending",
        fails("close.half_close", "intermediary"),
        proxy=middleboxes.half_close_breaking,
        representative=True,
    ),
    Network(
        "answer-cut",
        "a proxy carries 1,000 bytes of answer after the asker's end of sending",
        fails("close.answer_cut", "intermediary"),
        proxy=middleboxes.answer_cutting(1000),
        representative=True,
    ),
    Network(
        "reset-hidden",
        "a proxy turns resets into proper ends",
        fails("close.reset_hidden", "intermediary"),
        proxy=middleboxes.reset_hiding,
        representative=True,
    ),
    Network(
        "reset-dropped",
        "a firewall drops resets on the way back",
        fails("close.reset_lost", "intermediary"),
        conditions=(flagged_dropped("RST", DOWN),),
    ),
    Network(
        "fin-swallowed",
        "a proxy never tells the server that the client has ended its sending",
        fails("close.fin_changed", "intermediary", may=("close.reset_hidden",)),
        proxy=middleboxes.end_swallowing,
    ),
    *(
        Network(
            f"fin-dropped-{way}",
            f"a firewall drops ends of sending on the way {way}",
            fails("close.fin_changed", "intermediary"),
            conditions=(flagged_dropped("FIN", direction),),
        )
        for way, direction, _ in WAYS
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

PREPARED: Final[tuple[Network, ...]] = ()

ALL: Final = {network.name: network for network in (*NETWORKS, *PREPARED)}
assert len(ALL) == len(NETWORKS) + len(PREPARED), "a name is taken twice"
