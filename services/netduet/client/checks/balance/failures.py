"""The failures that the check ``balance`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "balance.unhealthy_backend",
        "some connections reach a backend that is dead",
        "A share of connections to one address failed, while the others were answered.",
        Location.INTERMEDIARY,
        (
            "the balancer still sends to an address that nothing has any more",
            "a backend's process is dead or its port closed, and no health check says so",
            "a firewall lets the balancer reach only some of its backends",
            "no backend is dead: new connections are limited, and others used the limit up",
        ),
        (
            (
                "compare the balancer's list of backends with the instances that answered: "
                "those in the list alone are the dead ones (docker ps; kubectl get endpoints)"
            ),
            "give the balancer a health check that opens a connection",
            "wait a minute and ask again: do the first ones all pass then? that is a limit",
        ),
        aliases=("balance.ghost",),
    ),
    Failure(
        "balance.stopped_responding",
        "connections succeed at first, then fail",
        "The first of many fresh connections to an address were all answered, and of those "
        "behind them far more failed than chance explains.",
        Location.UNKNOWN,
        (
            "a firewall, balancer or protection against floods limits new connections",
            "a table of connections on the way became full (nf_conntrack: table full)",
            "the server or one of its backends died or was stopped meanwhile",
        ),
        (
            "wait a minute and ask again: a limit lets about as many pass at first",
            "run --checks churn, which tells a limit by rate and its numbers",
            "look for the rule: iptables -S, nft list ruleset, on both hosts and between",
            "look whether the servers still run, and since when (docker ps)",
        ),
        aliases=("balance.stopped",),
    ),
    Failure(
        "balance.wrong_service",
        "some connections reach another program",
        "A share of connections was answered by something else than the service asked for.",
        Location.SERVER,
        (
            "an address in the balancer's list now belongs to another program",
            "two services share a label, selector or name, and are balanced together",
        ),
        (
            "compare the balancer's list of backends with those that should be in it",
            "--expect-service '*' if several services are meant",
        ),
        aliases=("balance.stranger",),
    ),
    Failure(
        "balance.uneven",
        "one backend gets far more than its share",
        "One instance surely gets far more connections than the others get on average "
        "(--max-uneven): chance alone does not explain it.",
        Location.INTERMEDIARY,
        (
            "the balancer's weights are not alike, by mistake or as for a canary",
            "it counts open connections, and long ones hold the others back",
            "it hashes something that hardly differs between connections",
        ),
        (
            "look at the balancer's weights and at its method",
            "if it is meant so: --max-uneven with how many times the others' it may get",
            "ask again while nothing else uses the service",
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "balance.missing",
        "fewer instances answer than expected",
        "Many fresh connections met fewer instances than --expect-instances says.",
        Location.UNKNOWN,
        (
            "an instance does not run, or the balancer's health check takes it for ill",
            "the balancer is sticky: it keeps each client at one instance",
        ),
        (
            "count the instances that run, and those in the balancer's list",
            "ask with --profile full: it makes more connections",
        ),
    ),
)
