"""The failures that the check ``stream`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "stream.outage",
        "the network was out for a while",
        "For longer than it may be out (--max-outage), everything that was sent was lost, "
        "in one direction or in both; before that it arrived.",
        Location.INTERMEDIARY,
        (
            "a router, switch or link went over to its spare, or a route changed",
            "a firewall, NAT or virtual network was loaded with new rules, or restarted",
            "a link went down and up again: a loose cable, Wi-Fi that changes its station",
            "one way only: a link or route that only this direction takes, or a queue that overflows",
            "at one end: its own link or route was gone, or its own firewall let nothing out",
        ),
        (
            "look for what changed at that time in the logs of what lies between the two",
            "one way only: follow that direction's path, for the two may differ",
            "at one end: `ip link`, `ip route` and its firewall's rules (`nft list ruleset`) there",
            "run again with a longer --stream-time, to see whether it comes back, and when",
            "raise --max-outage if the application can wait for so long",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.new_connections",
        "for a while no new connection could be made",
        "Connections that existed went on, and for longer than may be (--max-outage) no "
        "new one worked at once.",
        Location.UNKNOWN,
        (
            "a firewall, NAT or host has no room for more connections (a table that is full)",
            "something limits the rate or the number of new connections",
            "the server's queue of connections to accept was full, or it was busy",
            "a balancer took its last healthy server out, and left the old connections alone",
        ),
        (
            "look for 'table full, dropping packet' in the kernel's log of each router",
            "look at the server's listen queue: ss -ltn, nstat -az TcpExtListenOverflows",
            "run --checks churn --profile full: it tells a limit by rate from one by number",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.old_connections",
        "an old connection stood still or broke",
        "A connection in use stood still for longer than may be (--max-outage), or broke, "
        "while new ones worked.",
        Location.INTERMEDIARY,
        (
            (
                "a NAT, firewall or balancer lost its memory of connections: a restart, a "
                "failover, a flush of its table"
            ),
            "a route changed to a firewall that had not seen the connection begin",
            "a proxy or its upstream was restarted or stood still",
        ),
        (
            "look for a restart or a failover of what keeps track of connections",
            "let firewalls that stand in for each other share their connections (conntrackd)",
            "have the application give up early and connect anew: TCP_USER_TIMEOUT",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.restarted",
        "the server went away, and another start of it answers",
        "The server that answered was replaced by another start or instance, and for "
        "longer than may be (--max-outage) neither of them did.",
        Location.SERVER,
        (
            "the server was restarted, or crashed and was started again",
            "a rolling update, or a balancer that moved the flow to another instance",
        ),
        (
            "look at the server's log for server.draining, server.stopped, server.ready",
            "start the new instance before the old one ends, and let it take over",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.unsent",
        "this end itself did not send what it should have",
        "So few datagrams left this end that nothing is proven about the network.",
        Location.CLIENT,
        (
            "this host is overloaded, or a CPU limit holds the client back",
            "this host's own firewall or routing lets no datagrams out",
            "this process may open too few files, or this host has no port left",
        ),
        (
            "give the client more CPU, or try again when the host is idle",
            "look at the error that is named, if one is: nft list ruleset, ip route",
            "see what the check churn says: it names ports and descriptors that lack",
        ),
        severity=Severity.PROBE,
    ),
)
