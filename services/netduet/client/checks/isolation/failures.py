"""The failures that the check ``isolation`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
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
            Advice(
                "no rule covers this case: rules often cover only TCP, only IPv4, or a "
                "single port",
                pod=(
                    "the network plugin does not enforce network policies: some, such "
                    "as flannel alone, ignore them without a warning"
                ),
            ),
            Advice(
                "client and target share a network on which nothing is filtered",
                pod=(
                    "no policy selects the target's pods for ingress, or one of those "
                    "that do allows this client: policies add up, and none denies"
                ),
            ),
            Advice(
                "the rule has no effect: it is not loaded, or an earlier rule accepts "
                "the traffic",
                pod=(
                    "a selector misses the labels of the namespaces or pods, or the "
                    "target's pods use the host's network, which policies do not cover"
                ),
            ),
            "the client is allowed to reach a proxy or load balancer that forwards to the target",
        ),
        (
            Advice(
                "check which networks the two share: ip route get ADDRESS",
                container=(
                    "check which networks the two share: docker network inspect "
                    "NETWORK; in a swarm, docker service inspect SERVICE"
                ),
                pod=(
                    "check that a policy engine runs on both nodes (Calico, Cilium, "
                    "Antrea, …): kubectl get pods -A -o wide"
                ),
            ),
            Advice(
                "review the rules in order, for both protocols and address families: "
                "nft list ruleset",
                container=(
                    "containers on a network of theirs reach each other: put them on "
                    "different networks, or review the host's rules (nft list ruleset)"
                ),
                pod=(
                    "see what the policies select and allow: kubectl -n NAMESPACE "
                    "describe networkpolicy; compare with the labels: kubectl -n "
                    "NAMESPACE get namespaces,pods --show-labels"
                ),
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
