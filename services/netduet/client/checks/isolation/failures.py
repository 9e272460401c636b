"""The failures that the check ``isolation`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "isolation.open",
        "the target is open, and should be blocked",
        "The target was expected to be blocked, and a connection or a datagram was "
        "answered there: nothing on the way keeps this client from it.",
        Location.INTERMEDIARY,
        (
            "no rule covers this: rules often name TCP alone, IPv4 alone, or one port",
            "both are on a network that they share, within which nothing is filtered",
            "nothing enforces the rule: it is not loaded, or behind one that accepts",
            "a proxy or balancer that may be reached leads there",
        ),
        (
            "look which networks the two share: docker network inspect NETWORK",
            "look at the rules in their order, of both protocols and families: nft list ruleset",
            "in a cluster: kubectl get networkpolicy -A, and does its plugin enforce them?",
            "if it may be reached, expect it to be open: TARGET=open",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "isolation.unproven",
        "it cannot be told whether the target is blocked",
        "Nothing was heard from a target that ought to be blocked, but this client "
        "would have heard nothing either if it were open.",
        Location.CLIENT,
        (
            "this client has no network, or had no time to run",
            "the time to connect is too short for a second attempt",
        ),
        (
            "check a target beside it that is open, from the same client",
            "give the client more CPU, and --connect-timeout 5s or more",
        ),
        severity=Severity.PROBE,
    ),
)
