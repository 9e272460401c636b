"""Where on a path of three routers a fault is."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import DOWN, real_packets
from tests.lab.end_faults import (
    dropped_at,
    looping,
    rejected_by_icmp,
    reset_at,
    two_more_routers,
)
from tests.lab.expectation import fails, passes
from tests.lab.networks.declaration import UDP, V4, Network
from tests.lab.topology import FAR4, FAR6, MIDDLE4

NETWORKS: Final = (
    Network(
        "three-routers",
        "three routers, and all is well",
        passes(),
        conditions=(two_more_routers(),),
        flags=V4,
    ),
    *(
        Network(
            f"dropped-at-hop-3-v{family}",
            "the third router drops TCP",
            fails(
                "reach.timeout",
                "unknown",
                place=f"beyond hop 3 ({router})",
                cause="drops TCP",
            ),
            conditions=(dropped_at("far"),),
            flags=(f"-{family}",),
            representative=family == "4",
        )
        for family, router in (("4", FAR4), ("6", FAR6))
    ),
    Network(
        "all-dropped-at-hop-2",
        "the second router drops all that goes to the server",
        fails("reach.timeout", "unknown", place=f"beyond hop 2 ({MIDDLE4})"),
        conditions=(dropped_at("middle", ""),),
        flags=V4,
    ),
    Network(
        "udp-dropped-at-hop-2",
        "the second router drops datagrams",
        fails("udp.silent", "unknown", place=f"beyond hop 2 ({MIDDLE4})"),
        conditions=(dropped_at("middle", "-p udp"),),
        flags=(*UDP, *V4),
    ),
    Network(
        "hole-at-hop-3",
        "the third router drops packets over 1,400 bytes",
        fails(
            "size.black_hole",
            "path →",
            place=f"beyond hop 3 ({FAR4})",
            may=("udp.black_hole",),
        ),
        conditions=(dropped_at("far", "-m length --length 1401:65535"), real_packets()),
        flags=V4,
    ),
    Network(
        "hole-at-hop-3-down",
        "the third router drops packets over 1,400 bytes that come from the server",
        fails(
            "size.black_hole",
            "path ←",
            place="vanish on the way back",
            may=("udp.black_hole",),
        ),
        conditions=(
            dropped_at("far", "-m length --length 1401:65535", DOWN),
            real_packets(),
        ),
        flags=V4,
    ),
    Network(
        "data-dropped-at-hop-3",
        "the third router drops what follows the handshake, as one that saw half of it",
        fails(
            "identity.unacknowledged",
            "unknown",
            place=f"beyond hop 3 ({FAR4})",
            cause="asymmetric",
        ),
        conditions=(dropped_at("far", "-p tcp ! --syn -m length --length 53:"),),
        flags=V4,
    ),
    Network(
        "loop-at-hop-3",
        "the third router sends what is for the server back to the second",
        fails("reach.unreachable", "intermediary", place="in a loop between"),
        conditions=(looping(),),
        flags=V4,
    ),
    Network(
        "reset-at-hop-2",
        "the second router rejects TCP with a reset",
        fails("reach.refused", "intermediary", place=f"about hop 2 ({MIDDLE4})"),
        conditions=(reset_at("middle"),),
        flags=V4,
    ),
    Network(
        "rejected-at-hop-3",
        "the third router rejects TCP with an ICMP error",
        fails("reach.rejected", "intermediary", place=f"at hop 3 ({FAR4})"),
        conditions=(rejected_by_icmp("far", long_path=True),),
        flags=V4,
    ),
    Network(
        "refused-behind-three",
        "nothing listens at the end of a long path",
        fails("reach.refused", "server"),
        conditions=(two_more_routers(),),
        server=None,
        flags=V4,
    ),
)
