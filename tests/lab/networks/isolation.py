"""Targets that should be blocked: blocked in every way, and not blocked."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import (
    address_dropped,
    dropped,
    port_unreachable,
    prohibited,
    reset,
    unplugged,
)
from tests.lab.expectation import fails, is_inconclusive, never_fails, passes
from tests.lab.nameserver import NAME, Names
from tests.lab.networks.declaration import Network
from tests.lab.topology import ABSENT4, OTHERS4, ROUTER4, SERVER4

BLOCKED: Final = f"{NAME}=blocked"
_UNSURE: Final = ("isolation", "this client may have no network at all")

NETWORKS: Final = (
    # Open
    Network(
        "isolation-open",
        "nothing blocks what should be blocked",
        fails("isolation.open", "intermediary"),
        target=BLOCKED,
    ),
    Network(
        "isolation-open-tcp",
        "only UDP is dropped",
        fails("isolation.open", "intermediary"),
        conditions=(dropped("udp"),),
        target=BLOCKED,
    ),
    Network(
        "isolation-open-udp",
        "only TCP is dropped",
        fails("isolation.open", "intermediary"),
        conditions=(dropped("tcp"),),
        target=BLOCKED,
        representative=True,
    ),
    Network(
        "isolation-open-v6",
        "the rules cover only IPv4",
        fails("isolation.open", "intermediary"),
        conditions=(address_dropped(SERVER4),),
        target=BLOCKED,
    ),
    # Blocked
    Network(
        "isolation-dropped",
        "TCP and UDP are dropped, as they should be",
        passes(("isolation", "TCP and UDP are dropped"), _UNSURE),
        conditions=(dropped("all"),),
        target=BLOCKED,
    ),
    Network(
        "isolation-reset",
        "TCP is rejected by a reset, UDP by ICMP",
        passes(
            (
                "isolation",
                f"TCP is rejected (reset), UDP is rejected (ICMP port unreachable from {ROUTER4})",
            ),
            ("isolation", "the two look the same"),
        ),
        conditions=(reset(), port_unreachable()),
        target=BLOCKED,
    ),
    Network(
        "isolation-prohibited",
        "both are rejected by an ICMP prohibition",
        passes(
            ("isolation", f"TCP and UDP are rejected (ICMP prohibited from {ROUTER4})"),
            ("isolation", "rejected (ICMP prohibited from 2001:db8:1::1)"),
        ),
        conditions=(prohibited("all"),),
        target=BLOCKED,
        representative=True,
    ),
    Network(
        "isolation-mixed",
        "TCP is dropped, UDP is rejected",
        passes(("isolation", "TCP is dropped, UDP is rejected (ICMP port unreachable")),
        conditions=(dropped("tcp"), port_unreachable()),
        target=BLOCKED,
    ),
    Network(
        "isolation-truth",
        "one of two servers is open and one blocked, as they should be",
        passes(
            ("isolation", "TCP and UDP are dropped"),
            ("isolation", f"{OTHERS4[0]}:12345 was reached from here"),
        ),
        conditions=(address_dropped(SERVER4),),
        servers=2,
        target=f"{SERVER4}=blocked",
        also=((OTHERS4[0], passes()),),
        representative=True,
    ),
    Network(
        "isolation-truth-swapped",
        "the one that should be open is blocked, and vice versa",
        fails("isolation.open", "intermediary"),
        conditions=(address_dropped(OTHERS4[0]),),
        servers=2,
        target=f"{SERVER4}=blocked",
        also=((OTHERS4[0], fails("reach.timeout", "unknown")),),
    ),
    # Not there at all
    Network(
        "isolation-refused",
        "nothing listens on the target that should be blocked",
        passes(("isolation", "does not prove that a firewall blocks it")),
        server=None,
        target=BLOCKED,
    ),
    Network(
        "isolation-absent",
        "no host has the address that should be blocked",
        passes(("isolation", f"{ROUTER4} reports that the host is unreachable")),
        names=Names((ABSENT4,)),
        target=BLOCKED,
    ),
    # Nothing is proven
    Network(
        "isolation-no-name",
        "the target that should be blocked has no address",
        is_inconclusive(("name", "a name that does not resolve proves nothing")),
        names=Names(()),
        target=BLOCKED,
    ),
    Network(
        "isolation-no-network",
        "the client has no network",
        is_inconclusive(),
        conditions=(unplugged(),),
        target=f"{SERVER4}=blocked",
    ),
    Network(
        "isolation-starved-client",
        "the client runs 5 % of the time, and the target is blocked as expected",
        never_fails(),
        conditions=(dropped("all"),),
        target=BLOCKED,
        starved="client",
        seconds=120,
    ),
)
