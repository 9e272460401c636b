"""Lost, duplicated and reordered datagrams; black holes; altered bytes."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import (
    DOWN,
    UP,
    dropped,
    every_nth_lost,
    fragments_dropped,
    longer_dropped,
    lost,
    mismatched_link,
    mtu,
    narrow_route,
    port_unreachable,
    prohibited,
    rate_limited,
    real_packets,
    too_big_unsaid,
)
from tests.lab.expectation import fails, passes
from tests.lab.networks.declaration import UDP, V4, WAYS, Network
from tests.lab.tunrouter import Impairments


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
    remark = (("size", "a virtual link forwards many packets as one"),)
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
        "the server does not serve UDP: its kernel rejects datagrams",
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
        "at most 100 datagrams per second pass on the way to the server",
        fails("udp.loss", "path →"),
        conditions=(rate_limited(100, UP),),
        flags=UDP,
    ),
    Network(
        "udp-lossy-1",
        "1 % of datagrams are lost in both directions: within the limit",
        passes(("udp", "were lost")),
        conditions=(lost(0.01, UP, "udp"), lost(0.01, DOWN, "udp")),
        flags=(*UDP, "--profile", "full"),
    ),
    Network(
        "udp-reordered",
        "5 % of datagrams come 20 ms late on the way up",
        passes(("udp", "arrived out of order on the way to the server")),
        impairments=(Impairments(held=0.05, protocol="udp"), Impairments()),
        flags=UDP,
        representative=True,
    ),
    Network(
        "udp-reordered-down",
        "5 % of datagrams come 20 ms late on the way down",
        passes(("udp", "arrived out of order on the way back")),
        impairments=(Impairments(), Impairments(held=0.05, protocol="udp")),
        flags=UDP,
    ),
    Network(
        "udp-duplicated",
        "5 % of datagrams come twice on the way up",
        passes(("udp", "arrived more than once on the way to the server")),
        impairments=(Impairments(duplicated=0.05, protocol="udp"), Impairments()),
        flags=UDP,
        representative=True,
    ),
    Network(
        "udp-duplicated-down",
        "5 % of datagrams come twice on the way down",
        passes(("udp", "arrived more than once on the way back")),
        impairments=(Impairments(), Impairments(duplicated=0.05, protocol="udp")),
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
        "the route has a smaller MTU in both directions, and reports it",
        passes(("udp", "the path MTU is 1400")),
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
        "packets over 1,400 bytes vanish in both directions",
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
        (
            "packets over 1,400 bytes vanish on the way up, and 1 % of all in both "
            "directions"
        ),
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
            impairments=(
                Impairments(changed=0.05 if way == "up" else 0.0),
                Impairments(changed=0.05 if way == "down" else 0.0),
            ),
            representative=way == "down",
        )
        for way, _, where in WAYS
    ),
)
