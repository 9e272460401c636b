"""Many short connections: lost SYNs, exhausted queues and ports, limits."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import (
    few_ports,
    lost,
    new_limited_by_count,
    new_limited_by_rate,
    source_nat,
    syns_lost,
)
from tests.lab.expectation import fails, passes
from tests.lab.networks.declaration import WAYS, Network

CHURN: Final = ("-4", "--checks", "churn")
ALL: Final = ("-4",)
FULL: Final = (*CHURN, "--profile", "full")
_BY_RATE: Final = fails("churn.rate_limited", "intermediary", check="balance")
_STOPPED: Final = fails("balance.stopped_responding", "unknown")
ACTIONS: Final = (("dropped", False), ("reset", True))

NETWORKS: Final = (
    *(
        Network(
            f"syns-lost-{way}{'' if flags is CHURN else '-full'}",
            f"20 % of SYNs (or SYN-ACKs) are lost on the way {way}",
            fails("churn.syn_lost", where),
            conditions=(syns_lost(0.2, direction),),
            flags=flags,
            representative=way == "up" and flags is CHURN,
        )
        for way, direction, where in WAYS
        for flags in (CHURN, FULL)
    ),
    Network(
        "churn-lossy-1-full",
        "1 % of all packets are lost in both directions, with many short connections",
        passes(("churn", "were retransmitted")),
        conditions=tuple(lost(0.01, direction) for _, direction, _ in WAYS),
        flags=FULL,
    ),
    Network(
        "accept-queue-short",
        "the server accepts in bursts, and its queue holds two connections",
        fails("churn.accept_queue", "server"),
        server=("--backlog", "1"),
        starved="server",
        rhythm=(0.1, 0.3),
        flags=CHURN,
        representative=True,
    ),
    Network(
        "ports-exhausted",
        "the client has 20 ports to connect from",
        fails("churn.ports_exhausted", "client"),
        conditions=(few_ports(20),),
        flags=CHURN,
    ),
    *(
        Network(
            f"new-by-rate-{how}",
            f"10 new connections pass at once, then 10 a second; the rest is {how}",
            fails("churn.rate_limited", "intermediary"),
            conditions=(new_limited_by_rate("10/sec", 10, reset=with_reset),),
            flags=CHURN,
            representative=not with_reset,
        )
        for how, with_reset in ACTIONS
    ),
    *(
        Network(
            f"new-by-rate-{how}-full",
            f"50 new connections pass at once, then 40 a second; the rest is {how}",
            fails("churn.rate_limited", "intermediary"),
            conditions=(new_limited_by_rate("40/sec", 50, reset=with_reset),),
            flags=FULL,
        )
        for how, with_reset in ACTIONS
    ),
    *(
        Network(
            f"new-by-minute-{how}",
            f"20 new connections pass at once, then 20 a minute; the rest is {how}",
            fails("churn.rate_limited", "intermediary"),
            conditions=(new_limited_by_rate("20/min", 20, reset=with_reset),),
            flags=CHURN,
        )
        for how, with_reset in ACTIONS
    ),
    Network(
        "new-by-rate-large-burst",
        "60 new connections pass at once, then 6 a minute; the rest is dropped",
        fails("churn.rate_limited", "intermediary"),
        conditions=(new_limited_by_rate("6/min", 60, reset=False),),
        flags=CHURN,
    ),
    Network(
        "syns-lost-both",
        "20 % of SYNs and 20 % of SYN-ACKs are lost",
        fails("churn.syn_lost", "intermediary"),
        conditions=tuple(syns_lost(0.2, direction) for _, direction, _ in WAYS),
        flags=FULL,
    ),
    Network(
        "syns-lost-nat",
        "20 % of SYNs are lost on the way up, and the client is hidden",
        fails("churn.syn_lost", "unknown"),
        conditions=(source_nat(), syns_lost(0.2, WAYS[0][1])),
        flags=CHURN,
    ),
    *(
        Network(
            f"new-by-count-{how}",
            f"16 connections may be open at once; the rest is {how}",
            fails("churn.count_limited", "intermediary"),
            conditions=(new_limited_by_count(16, reset=with_reset),),
            flags=CHURN,
        )
        for how, with_reset in ACTIONS
    ),
    Network(
        "new-by-count-server",
        "the server itself serves 16 connections of a client at once",
        passes(("churn", "the server's own limit")),
        server=("--max-connections-per-client", "16"),
        flags=CHURN,
    ),
    *(
        Network(
            f"all-new-by-{rate}-{how}",
            f"{burst} new connections pass at once, then {limit}: all checks; the rest is {how}",
            expected,
            conditions=(new_limited_by_rate(limit, burst, reset=with_reset),),
            flags=ALL,
        )
        for rate, limit, burst, how, with_reset, expected in (
            ("rate", "10/sec", 10, "dropped", False, _BY_RATE),
            ("rate", "10/sec", 10, "reset", True, _BY_RATE),
            ("minute", "20/min", 20, "dropped", False, _STOPPED),
            ("minute", "20/min", 20, "reset", True, _STOPPED),
        )
    ),
    Network(
        "new-by-count-beside-idle",
        "16 connections may be open at once, while the idle check ends some",
        fails("churn.count_limited", "intermediary"),
        conditions=(new_limited_by_count(16, reset=False),),
        flags=(
            "-4",
            "--checks",
            "idle,churn",
            "--profile",
            "full",
            "--idle-rungs",
            "11s",
        ),
    ),
)
