"""The failures that the check ``isolation`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "isolation.open",
        "the target is open but should be blocked",
        (
            "The target was expected to be blocked, but a connection or a datagram "
            "got a response: nothing in between blocks this client."
        ),
        Location.INTERMEDIARY,
        (
            (
                "no rule covers this case: rules often cover only TCP, only IPv4, or "
                "a single port"
            ),
            "client and target share a network on which nothing is filtered",
            "the rule has no effect: it is not loaded, or an earlier rule accepts the traffic",
            "the client is allowed to reach a proxy or load balancer that forwards to the target",
        ),
        (
            "check which networks the two share: docker network inspect NETWORK",
            (
                "review the rules in order, for both protocols and address families: "
                "nft list ruleset"
            ),
            (
                "in a cluster: kubectl get networkpolicy -A, and check that the "
                "network plugin enforces policies"
            ),
            "if access is intended, expect the target to be open: TARGET=open",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "isolation.unproven",
        "cannot determine whether the target is blocked",
        (
            "Nothing was received from a target that should be blocked, but this "
            "client would have received nothing either if the target were open."
        ),
        Location.CLIENT,
        (
            "this client has no network, or did not get enough CPU",
            "the connect timeout is too short for a second attempt",
        ),
        (
            "also check a target that is known to be open, from the same client",
            "give the client more CPU, and --connect-timeout 5s or more",
        ),
        severity=Severity.PROBE,
    ),
)
