"""Networks that are down for 1.5 s while the check ``stream`` runs."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import UP, dropped, lost, source_nat
from tests.lab.expectation import fails, never_fails, passes
from tests.lab.networks.declaration import WAYS, Network
from tests.lab.outages import (
    BOTH,
    new_connections_dropped,
    old_connections_dropped,
    packets_dropped,
)

STREAM: Final = ("-4", "--checks", "stream", "--profile", "full", "--stream-time")
WATCHED: Final = (*STREAM, "7s")
LONGER: Final = (*STREAM, "9s")
"""To tell from chance what only connections show takes more of them."""

NETWORKS: Final = (
    Network(
        "stream-healthy",
        "nothing is ever out",
        passes(),
        flags=("--checks", "stream"),
    ),
    *(
        Network(
            f"stream-starved-{who}",
            f"nothing is ever out, and the {who} runs 5 % of the time",
            never_fails(),
            starved=who,
            seconds=120,
            flags=WATCHED,
        )
        for who in ("client", "server")
    ),
    *(
        Network(
            f"outage-{way}",
            f"all packets are lost for 1.5 s, {way}",
            fails("stream.outage", where),
            outage=packets_dropped(direction),
            flags=WATCHED,
            representative=way == "up",
        )
        for way, direction, where in WAYS
    ),
    Network(
        "outage-both",
        "all packets are lost for 1.5 s in both directions",
        fails("stream.outage", "intermediary"),
        outage=packets_dropped(*BOTH),
        flags=WATCHED,
    ),
    Network(
        "outage-new",
        "for 1.5 s no new connection can be made",
        fails("stream.new_connections", "unknown"),
        outage=new_connections_dropped(),
        flags=LONGER,
    ),
    Network(
        "outage-old",
        "for 1.5 s the packets of existing connections are lost",
        fails("stream.old_connections", "intermediary"),
        outage=old_connections_dropped(),
        flags=LONGER,
    ),
    Network(
        "outage-udp-blocked",
        "all packets are lost for 1.5 s, and datagrams always",
        fails("stream.outage", "unknown"),
        conditions=(dropped("udp", UP),),
        outage=packets_dropped(*BOTH),
        flags=LONGER,
    ),
    Network(
        "outage-nat",
        "all packets are lost for 1.5 s on the way up; the router hides the client",
        fails("stream.outage", "path →"),
        conditions=(source_nat(),),
        outage=packets_dropped(UP),
        flags=WATCHED,
    ),
    Network(
        "outage-lossy",
        "all packets are lost for 1.5 s on the way up, and 1 % always",
        fails("stream.outage", "path →"),
        conditions=(lost(0.01, UP),),
        outage=packets_dropped(UP),
        flags=WATCHED,
    ),
    Network(
        "outage-short",
        "all packets are lost for 0.35 s in both directions: within the limit",
        passes(("stream", "within the allowed length")),
        outage=packets_dropped(*BOTH, seconds=0.35),
        # Rules may go late on a busy machine, and the outage then is longer.
        flags=(*WATCHED, "--max-outage", "1s"),
    ),
)
