"""The failures that the check ``stream`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "stream.outage",
        "the network was down for a while",
        "Everything sent in one or both directions was lost for longer than allowed "
        "(--max-outage); until then, data had been arriving.",
        Location.INTERMEDIARY,
        (
            "a router, switch or link failed over, or a route changed",
            "a firewall, NAT or virtual network loaded new rules, or restarted",
            "a link went down and came back up: a loose cable, Wi-Fi roaming",
            (
                "if only one direction failed: a link or route used only in this direction is down, or a queue overflows"
            ),
            "if one end is at fault: its own link or route was gone, or its own firewall blocked outgoing packets",
        ),
        (
            "look for what changed at that time in the logs of the devices in between",
            "if only one direction failed: follow that direction's path; the two may differ",
            "if one end is at fault: check `ip link`, `ip route` and the firewall rules (`nft list ruleset`) there",
            "run again with a longer --stream-time, to see whether and when it happens again",
            "raise --max-outage if the application can tolerate it",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.flapping",
        "the path is out again and again",
        (
            "Everything sent in one or both directions was lost for a moment, at least "
            "three times. Each outage alone may be short enough (--max-outage), but an "
            "application stalls in each of them."
        ),
        Location.INTERMEDIARY,
        (
            "a link flaps: a loose cable, a failing transceiver, a bad radio link",
            (
                "with a rhythm: something periodic takes the path down, such as a scan for "
                "Wi-Fi networks, a route or spanning-tree recalculation, a health check"
            ),
            "a rate limit that is counted per interval drops everything until it ends",
        ),
        (
            "look for 'link down' in the logs of hosts and switches: dmesg, journalctl -k",
            "compare the rhythm with timers of devices on the path (health checks, scans)",
            "run again with a longer --stream-time, to see whether the rhythm holds",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.new_connections",
        "no new connection could be made for a while",
        (
            "Existing connections kept working, but for longer than allowed "
            "(--max-outage) no new connection succeeded in time."
        ),
        Location.UNKNOWN,
        (
            "a firewall, NAT or host has no room for more connections (its table is full)",
            "something limits the rate or the number of new connections",
            "the server's accept queue was full, or it was busy",
            "a load balancer removed its last healthy server, and kept existing connections",
        ),
        (
            "look for 'table full, dropping packet' in the kernel's log of each router",
            "look at the server's listen queue: ss -ltn, nstat -az TcpExtListenOverflows",
            "run --checks churn --profile full: it distinguishes a limit by rate from one by count",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.old_connections",
        "an existing connection stalled or broke",
        "A connection in use stalled for longer than allowed (--max-outage), or broke, while "
        "new ones worked.",
        Location.INTERMEDIARY,
        (
            (
                "a NAT, firewall or load balancer lost its connection table: a restart, a failover, "
                "a flush"
            ),
            "a route changed to a firewall that had not seen the connection start",
            "a proxy or its upstream restarted or stalled",
        ),
        (
            "look for a restart or a failover of devices that track connections",
            "have redundant firewalls share their connection tables (conntrackd)",
            "make the application give up early and reconnect: TCP_USER_TIMEOUT",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.restarted",
        "the server restarted and did not respond for a while",
        (
            "The server process that had responded was replaced by another one, and "
            "for longer than allowed (--max-outage) neither of them responded."
        ),
        Location.SERVER,
        (
            "the server was restarted, or crashed and was restarted",
            "a rolling update, or a load balancer moved the flow to another instance",
        ),
        (
            "look at the server's log for server.draining, server.stopped, server.ready",
            "start the new instance before the old one stops, and let it take over",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "stream.unsent",
        "this client did not send what it should have",
        "This client sent so few datagrams that the result proves nothing about the network.",
        Location.CLIENT,
        (
            "this host is overloaded, or a CPU limit throttles the client",
            "this host's own firewall or routing blocks outgoing datagrams",
            "this process has too few file descriptors, or this host has no free port",
        ),
        (
            "give the client more CPU, or try again when the host is idle",
            "look at the error, if one is named: nft list ruleset, ip route",
            "see the churn check: it names missing ports and file descriptors",
        ),
        severity=Severity.PROBE,
    ),
)
