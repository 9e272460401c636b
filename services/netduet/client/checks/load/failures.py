"""The failures that the check ``load`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

_ALONE: Final = "run --checks load --profile full while nothing else uses the path"

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "load.stalled",
        "transfers stop under load",
        "Under bulk data, no connection made progress for seconds, though small "
        "packets had passed before.",
        Location.UNKNOWN,
        (
            "a shaper, policer or firewall drops all that exceeds a rate",
            "a link on the way failed, or its queue is full of other traffic",
            "a packet size that the path swallows: the check size finds those",
        ),
        (
            "look at the check size first: what it finds explains this",
            "look at the drop counters of the interfaces and shapers on the way",
            _ALONE,
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "load.slow",
        "throughput is below the required rate",
        "The rate measured at the receiver is below the required one (--min-rate).",
        Location.INTERMEDIARY,
        (
            "a shaper or policer on the way caps the rate",
            "a link on the way is slow, or others use it",
            "packets are lost, and TCP slows down",
        ),
        (
            "see which way it is low, and whether a note says that it is steady (a cap)",
            "look for limits of rate on the way: tc, the cloud's instance type, a plan",
            _ALONE,
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "load.cut",
        "connections end under load",
        "A connection that carried bulk data ended, and the server did not announce "
        "it.",
        Location.INTERMEDIARY,
        (
            "a proxy, balancer or firewall ends connections that carry much",
            "the server was stopped or killed meanwhile",
        ),
        (
            "look at the logs of proxies and firewalls on the way",
            "ask the server's own address, past any proxy or balancer",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "load.changed",
        "bulk data is altered in transit",
        "Bytes of a transfer differ from those that were sent.",
        Location.INTERMEDIARY,
        (
            "broken hardware or checksum offload changes bytes",
            "a proxy or tunnel changes what it carries",
        ),
        (
            "switch checksum offload off at one end after the other (ethtool -K)",
            "run the check size, which tells where and how much",
        ),
        severity=Severity.DATA,
    ),
)
