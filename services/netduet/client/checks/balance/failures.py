"""The failures that the check ``balance`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "balance.unhealthy_backend",
        "some connections reach an unhealthy backend",
        "Some connections to an address failed, while others were answered.",
        Location.INTERMEDIARY,
        (
            "the load balancer still sends to an address that no longer exists",
            (
                "a backend's process is dead or its port closed, and no health check "
                "notices"
            ),
            "a firewall lets the load balancer reach only some of its backends",
            (
                "no backend is down: new connections are limited, and other "
                "connections used up the limit"
            ),
        ),
        (
            Advice(
                "compare the load balancer's list of backends with the instances that "
                "responded: those only in the list are down (docker ps)",
                pod=(
                    "compare the Service's endpoints with the instances that responded: "
                    "those only in the list are down (kubectl get endpointslices)"
                ),
            ),
            "give the load balancer a health check that opens a connection",
            (
                "wait a minute and run the check again: if the first connections all "
                "succeed, it is a limit"
            ),
        ),
        aliases=("balance.ghost",),
    ),
    Failure(
        "balance.stopped_responding",
        "connections succeed at first, then fail",
        (
            "The first of many new connections to an address all got a response; of "
            "the later ones, far more failed than chance would explain."
        ),
        Location.UNKNOWN,
        (
            "a firewall, load balancer or flood protection limits new connections",
            "a connection table on the path filled up (nf_conntrack: table full)",
            "the server or one of its backends crashed or was stopped during the check",
        ),
        (
            (
                "wait a minute and run the check again: a limit lets about as many "
                "through at first"
            ),
            "run --checks churn, which identifies a rate limit and measures it",
            (
                "look for the rule: iptables -S, nft list ruleset, on both hosts and "
                "in between"
            ),
            Advice(
                "check whether the servers are still running, and since when (docker ps)",
                pod=(
                    "check whether the servers' pods are still running, and since when "
                    "(kubectl get pods)"
                ),
            ),
        ),
        aliases=("balance.stopped",),
    ),
    Failure(
        "balance.wrong_service",
        "some connections reach another program",
        "Some connections were answered by something other than the expected service.",
        Location.SERVER,
        (
            "an address in the load balancer's list now belongs to another program",
            "two services share a label, selector or name, and are balanced together",
        ),
        (
            "compare the load balancer's list of backends with those that should be in it",
            "--expect-service '*' if several services are meant",
        ),
        aliases=("balance.stranger",),
    ),
    Failure(
        "balance.uneven",
        "one backend gets far more than its share",
        (
            "One instance gets more connections than --max-uneven times the average "
            "of the others, and more than chance would explain."
        ),
        Location.INTERMEDIARY,
        (
            "the load balancer's weights differ, by mistake or on purpose (a canary)",
            "it balances by open connections, and long-lived ones skew the count",
            "it hashes a value that hardly differs between connections",
        ),
        (
            "check the load balancer's weights and its balancing method",
            "if it is intended, set --max-uneven to the multiple that is allowed",
            "run the check again while nothing else uses the service",
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "balance.missing",
        "fewer instances respond than expected",
        (
            "Many new connections reached fewer instances than --expect-instances "
            "requires."
        ),
        Location.UNKNOWN,
        (
            (
                "an instance is not running, or the load balancer's health check considers "
                "it unhealthy"
            ),
            "the load balancer is sticky: it keeps each client on one instance",
        ),
        (
            "count the running instances, and those in the load balancer's list",
            "run the check with --profile full: it makes more connections",
        ),
    ),
)
