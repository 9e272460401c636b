"""The failures that the check ``load`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.needs import Need

_ALONE: Final = "run --checks load --profile full while nothing else uses the path"

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "load.stalled",
        "transfers stop under load",
        (
            "During bulk transfers, no connection made progress for several seconds, "
            "although small packets had passed before."
        ),
        Location.UNKNOWN,
        (
            "a shaper, policer or firewall drops everything above a certain rate",
            "a link on the path failed, or its queue is full of other traffic",
            "the path drops packets of a certain size: the size check finds it",
        ),
        (
            "look at the size check first: its findings explain this",
            "check the drop counters of the interfaces and shapers on the path",
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
            "a shaper or policer on the path caps the rate",
            "a link on the path is slow, or shared with others",
            "packets are lost, and TCP slows down",
        ),
        (
            (
                "see in which direction the rate is low, and whether a note says that "
                "it is steady (a cap)"
            ),
            (
                "look for rate limits on the path: tc, the cloud instance type, the "
                "subscription plan"
            ),
            _ALONE,
        ),
        severity=Severity.PERFORMANCE,
        need=Need.RATE,
        consequence="transfers take longer than required",
    ),
    Failure(
        "load.cut",
        "connections break under load",
        (
            "A connection that carried bulk data ended, although the server had not "
            "announced it."
        ),
        Location.INTERMEDIARY,
        (
            "a proxy, load balancer or firewall ends connections that carry a lot of data",
            "the server was stopped or killed during the check",
        ),
        (
            "check the logs of proxies and firewalls on the path",
            "connect directly to the server's address, bypassing any proxy or load balancer",
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
            "a proxy or tunnel alters what it carries",
        ),
        (
            "disable checksum offload at one end, then at the other (ethtool -K)",
            "run the size check, which shows where and how much",
        ),
        severity=Severity.DATA,
    ),
)
