"""The failures that the check ``idle`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

_KEEP_ALIVE: Final = (
    "switch TCP keep-alive on in the application, at an interval well below the timer: "
    "SO_KEEPALIVE with TCP_KEEPIDLE; the kernel's own 2 hours are too long"
)
_RAISE: Final = "raise the timer of what lies between, if it is yours"

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "idle.reset",
        "silent connections are reset",
        "A connection that nobody used for a while was reset, and neither end had done so.",
        Location.INTERMEDIARY,
        (
            "a balancer, NAT or firewall forgets connections, and resets whoever then sends",
            "a proxy resets both its sides when its timer of silence is up",
        ),
        (_KEEP_ALIVE, _RAISE, "find out whose timer it is: --idle-rungs around it"),
    ),
    Failure(
        "idle.closed",
        "silent connections are closed",
        "A connection that nobody used for a while was closed, and neither end had done so.",
        Location.INTERMEDIARY,
        (
            "a proxy or balancer closes both its sides when its timer of silence is up",
            "a sidecar of a service mesh does",
        ),
        (
            "have the application itself send now and then: a proxy counts no keep-alive",
            _RAISE,
        ),
    ),
    Failure(
        "idle.silent",
        "silent connections die, and nobody is told",
        "After a silence what was sent on a connection went nowhere: no answer, no reset.",
        Location.INTERMEDIARY,
        (
            "a NAT or firewall forgets connections, and drops what belongs to none it knows",
            "IPVS (Docker Swarm's virtual addresses) does after 15 minutes",
            "a balancer forgets them, as Azure's does unless told to send resets",
        ),
        (
            _KEEP_ALIVE,
            _RAISE,
            "set TCP_USER_TIMEOUT, or the application waits for a quarter of an hour",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "idle.interrupted",
        "silent connections could not be held to the end",
        "The server itself ended them, or is gone: that says nothing about the network.",
        Location.SERVER,
        (
            "the server was stopped or restarted meanwhile",
            "the server is at its limit of connections",
        ),
        ("run the check again while the server stays up",),
    ),
)
