"""Slow links, healthy and faulty: the probes must not take their own queues for faults."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import DOWN, UP, Condition, lost, slow
from tests.lab.expectation import fails, passes
from tests.lab.flow_conditions import path_dead
from tests.lab.networks.declaration import V4, Network
from tests.lab.transport_faults import slow_kilobits
from tests.lab.tunrouter import Impairments

_QUEUE_MS: Final = 1000
_LONG: Final = (Impairments(delay=0.3), Impairments(delay=0.3))
_NOTED: Final = (("identity", "the path is slow"),)
_RATES_KBIT: Final = (64, 128, 256, 512)
_FOLLOWS: Final = (
    "flows.udp_dead",
    "udp.silent",
    "stream.new_connections",
    "path.broken",
    "size.stalled",
    "udp.loss",
    "churn.syn_lost",
    "churn.not_served",
    "load.loss",
    "stream.outage",
    "close.interrupted",
)


def _link(kilobits: int) -> tuple[Condition, Condition]:
    return (
        slow_kilobits(kilobits, UP, _QUEUE_MS),
        slow_kilobits(kilobits, DOWN, _QUEUE_MS),
    )


NETWORKS: Final = (
    *(
        Network(
            f"slow-{kilobits}k",
            f"{kilobits} kbit/s in both directions",
            passes(*_NOTED),
            conditions=_link(kilobits),
            flags=V4,
            seconds=180,
            representative=kilobits == 256,
        )
        for kilobits in _RATES_KBIT
    ),
    *(
        Network(
            f"slow-{kilobits}k-600ms",
            f"{kilobits} kbit/s in both directions, 300 ms there and 300 ms back",
            passes(*_NOTED),
            conditions=_link(kilobits),
            impairments=_LONG,
            flags=V4,
            seconds=180,
        )
        for kilobits in _RATES_KBIT[1:]
    ),
    Network(
        "slow-512k-bucket",
        "512 kbit/s in both directions, behind a bucket of 16 KB",
        passes(*_NOTED),
        conditions=(slow(0.512, UP, _QUEUE_MS), slow(0.512, DOWN, _QUEUE_MS)),
        flags=V4,
        seconds=180,
    ),
    Network(
        "slow-512k-bucket-600ms",
        "the same, 300 ms there and 300 ms back",
        passes(),
        conditions=(slow(0.512, UP, _QUEUE_MS), slow(0.512, DOWN, _QUEUE_MS)),
        impairments=_LONG,
        flags=V4,
        seconds=180,
    ),
    Network(
        "slow-512k-full",
        "512 kbit/s in both directions, profile full",
        passes(*_NOTED),
        conditions=_link(512),
        flags=(*V4, "--profile", "full"),
        seconds=400,
    ),
    Network(
        "slow-512k-path-dead",
        "512 kbit/s in both directions, and one of 2 equal paths is dead",
        fails("flows.dead", "intermediary", may=_FOLLOWS),
        conditions=(*_link(512), path_dead(2)),
        flags=V4,
        seconds=180,
    ),
    Network(
        "slow-512k-lossy-20",
        "512 kbit/s in both directions, and 20 % of all packets are lost on the way up",
        fails(("churn.syn_lost", "udp.loss", "load.loss"), "path →", may=_FOLLOWS),
        conditions=(*_link(512), lost(0.2, UP)),
        flags=V4,
        seconds=180,
    ),
)
