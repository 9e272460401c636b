"""Faults of single flows: one of several equal paths, source ports, one of several servers."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.flows.consequences import BREAKING, EXPLAINED_BALANCE
from tests.lab.conditions import DOWN, UP, balanced, lost, real_packets
from tests.lab.expectation import Expected, fails, passes
from tests.lab.flow_conditions import (
    backend_lossy,
    backend_narrow,
    backend_syn_acks_lost,
    path_dead,
    path_lossy,
    path_narrow,
    ports_dropped,
)
from tests.lab.middleboxes import to_server
from tests.lab.nameserver import Names
from tests.lab.networks.declaration import V4, Network
from tests.lab.topology import OTHERS4, SERVER4
from tests.lab.transport_faults import wait_first
from tests.lab.tunrouter import Impairments

_FOLLOWS: Final = (
    *BREAKING,
    *EXPLAINED_BALANCE,
    "flows.udp_black_hole",
    "flows.udp_loss",
    "flows.loss",
    "flows.black_hole",
    "stream.unsent",
)
_VIP: Final = Names((SERVER4,))
_MOVED: Final = (
    "stream.restarted",
    "stream.flapping",
    "stream.outage",
    "load.cut",
    "close.reset",
    "size.cut",
)
"""What breaks when another server gets the packets of a connection."""
_REPRESENTATIVE_TURN_SECONDS: Final = 1.2


def _flow_fault(failure: str, where: str = "intermediary") -> Expected:
    """Expect this root; the findings of other checks follow from it."""
    return fails(failure, where, may=_FOLLOWS)


NETWORKS: Final = (
    *(
        Network(
            f"flow-dead-{count}",
            f"one of {count} equal paths to the server is dead",
            _flow_fault("flows.dead"),
            conditions=(path_dead(count),),
            flags=V4,
            representative=count == 8,
        )
        for count in (2, 8, 16)
    ),
    Network(
        "flow-dead-4-down",
        "one of 4 equal paths back from the server is dead",
        _flow_fault("flows.dead"),
        conditions=(path_dead(4, DOWN),),
        flags=V4,
    ),
    Network(
        "flow-dead-8-lossy-1",
        "one of 8 equal paths is dead, and 1 % of all packets are lost both ways",
        _flow_fault("flows.dead"),
        conditions=(path_dead(8), lost(0.01, UP), lost(0.01, DOWN)),
        flags=V4,
    ),
    *(
        Network(
            f"flow-udp-dead-{count}-{way}",
            f"datagrams of one of {count} equal paths are lost, {way}",
            _flow_fault("flows.udp_dead"),
            conditions=(path_dead(count, UP if way == "up" else DOWN, "udp"),),
            flags=V4,
        )
        for count, way in ((2, "up"), (8, "down"), (16, "up"))
    ),
    *(
        Network(
            f"flow-lossy-{count}-{way}",
            f"one of {count} equal paths loses 20 % of its packets, {way}",
            fails(
                ("flows.loss", "flows.udp_loss"),
                "path →" if way == "up" else "path ←",
                may=_FOLLOWS,
            ),
            conditions=(path_lossy(count, 0.2, UP if way == "up" else DOWN),),
            flags=V4,
        )
        for count, way in ((2, "down"), (4, "up"), (8, "up"))
    ),
    *(
        Network(
            f"flow-hole-{count}-{way}",
            f"one of {count} equal paths drops packets over 1,400 bytes, {way}",
            _flow_fault("flows.black_hole", "path →" if way == "up" else "path ←"),
            conditions=(
                path_narrow(count, 1400, UP if way == "up" else DOWN),
                real_packets(),
            ),
            flags=V4,
        )
        for count, way in ((2, "up"), (4, "down"), (16, "up"))
    ),
    Network(
        "flow-port-range",
        "packets from 3,500 source ports are dropped",
        _flow_fault("flows.port_range"),
        conditions=(ports_dropped(40_000, 43_500),),
        flags=V4,
        representative=True,
    ),
    Network(
        "flow-port-range-udp",
        "datagrams from 3,500 source ports are dropped",
        _flow_fault("flows.udp_port_range"),
        conditions=(ports_dropped(50_000, 53_500, ("udp",)),),
        flags=V4,
    ),
    Network(
        "backend-hole",
        "packets over 1,400 bytes to one of three servers are dropped",
        _flow_fault("flows.black_hole", "path →"),
        conditions=(
            balanced((SERVER4, *OTHERS4)),
            backend_narrow(OTHERS4[0], 1400),
            real_packets(),
        ),
        servers=3,
        names=_VIP,
        flags=V4,
    ),
    Network(
        "backend-lossy",
        "a fifth of the packets to one of three servers is lost",
        fails(("flows.loss", "flows.udp_loss"), "path →", may=_FOLLOWS),
        conditions=(
            balanced((SERVER4, *OTHERS4)),
            backend_lossy(OTHERS4[0], 0.2),
        ),
        servers=3,
        names=_VIP,
        flags=V4,
    ),
    Network(
        "backend-syn-acks-lost",
        "half of the SYN-ACKs of one of three servers are lost",
        fails("churn.syn_lost", "path ←", cause="instance lab-"),
        conditions=(
            balanced((SERVER4, *OTHERS4)),
            backend_syn_acks_lost(OTHERS4[0], 0.5),
        ),
        servers=3,
        names=_VIP,
        flags=(*V4, "--checks", "churn"),
    ),
    Network(
        "backend-first-answer-late",
        "a proxy waits for 0.6 s before it forwards to one of three servers",
        fails("churn.slow_first_answer", "unknown", cause="instance lab-"),
        proxy=to_server(OTHERS4[0], wait_first(0.6)),
        servers=3,
        names=_VIP,
        flags=(*V4, "--checks", "churn"),
    ),
    Network(
        "flow-lossy-1",
        "1 % of all packets are lost in both directions, whatever the flow",
        passes(),
        conditions=(lost(0.01, UP), lost(0.01, DOWN)),
        flags=(*V4, "--checks", "flows"),
    ),
    *(
        Network(
            f"address-moves-{seconds:g}s",
            f"two servers have the address by turns, every {seconds:g} s",
            fails("flows.moved", "intermediary", may=(*_FOLLOWS, *_MOVED)),
            servers=2,
            names=_VIP,
            impairments=(Impairments(turn=seconds), Impairments(turn=seconds)),
            flags=V4,
            representative=seconds == _REPRESENTATIVE_TURN_SECONDS,
        )
        for seconds in (0.7, _REPRESENTATIVE_TURN_SECONDS, 3.0)
    ),
)
