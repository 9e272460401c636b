"""Failure classes that only ``netduet watch`` reports."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure
from netduet.client.results.location import Location
from netduet.client.results.needs import Need

WATCH: Final[tuple[Failure, ...]] = (
    Failure(
        "watch.stale_dns",
        "DNS still listed a server that had stopped",
        (
            "A server stopped responding, and only later was its address removed from "
            "DNS: clients that used the address in the meantime got no response."
        ),
        Location.SERVER,
        (
            "a rolling update or a scale-down stops a server before DNS drops its address",
            "the server crashed, or its node went down",
            "DNS records are cached for longer than the server keeps running (TTL, caches)",
        ),
        (
            (
                "give the server a shutdown delay that is longer than DNS takes to drop it: "
                "NETDUET_SERVER_SHUTDOWN_DELAY, or a preStop hook"
            ),
            "look at the server's log for server.draining and server.stopped",
        ),
        aliases=("watch.left",),
    ),
    Failure(
        "watch.never_reached",
        "the expected server has not responded there yet",
        "Since the watch began, the expected server has not responded at this address: "
        "either the network is down, or no server runs there.",
        Location.UNKNOWN,
        (
            "the server has not started yet, or listens on another port",
            "something else listens there",
            "the path has been down since before the watch began, or a firewall blocks it",
        ),
        (
            "run `netduet check` against the same address: it distinguishes these",
            "check that the target is correct, and that its server is running",
        ),
        aliases=("watch.unmet",),
    ),
    Failure(
        "watch.partial",
        "part of the new connections fail",
        "For a while some new connections failed, and others, made between them, worked: "
        "there was no outage, but each client was hit by chance. It is no availability lost.",
        Location.UNKNOWN,
        (
            "one of several servers behind a virtual address or load balancer cannot be reached",
            "one of several paths or links that flows are balanced over is down",
            "a connection table, a limit or an accept queue is full, and some SYNs are dropped",
        ),
        (
            (
                "run `netduet check --checks balance,flows,churn` against the same address: "
                "these distinguish the causes"
            ),
            (
                "compare the endpoints that the load balancer has with the servers that "
                "respond at their own addresses"
            ),
        ),
    ),
    Failure(
        "watch.refused",
        "nothing listens where the server was",
        "A server that had responded no longer does, and its host refuses connections.",
        Location.SERVER,
        (
            "the server stopped or crashed, and its host is up",
            "it is being replaced, and the new server has not started listening yet",
            "a firewall in between rejects connections, using the server's address",
        ),
        (
            "check whether the server is running, and its log: did it drain or crash?",
            "make the new server listen before the old one stops (start-first, maxUnavailable: 0)",
            (
                "if it is running: find out where the rejections come from (tcpdump "
                "'tcp[tcpflags] & tcp-rst != 0')"
            ),
        ),
    ),
    Failure(
        "watch.datagrams",
        "UDP does not get through, but TCP does",
        "For a while no datagram got through, in one direction or both, while connections, "
        "existing and new, kept working.",
        Location.INTERMEDIARY,
        (
            "a firewall, security group or network policy lets TCP through and drops UDP",
            "a rate limit on UDP, or a QoS policy that drops it first",
            "a full table of UDP flows (NAT, conntrack)",
        ),
        (
            (
                "allow UDP on the server's port in both directions, and find out who "
                "changed a rule at that time"
            ),
            "run `netduet check --checks udp` against the same address: it reports sizes and rates",
        ),
        need=Need.UDP,
        consequence="programs that use UDP stop for that time; those that use TCP do not notice",
    ),
    Failure(
        "watch.paused",
        "the server sent nothing for a while",
        "For a while nothing came from a server, and afterwards nothing was missing: packets "
        "were delayed, not lost, or were not sent at all.",
        Location.SERVER,
        (
            (
                "the server's process or its whole host was frozen: no CPU, a CPU limit, a "
                "snapshot or a migration of its virtual machine"
            ),
            "a firewall on the server's own host blocked outgoing packets for that time",
            "something in between delayed packets for that time, and delivered all of them",
        ),
        (
            (
                "look at the server's own stalls and throttling: netduet_stalled_seconds_total, "
                "netduet_throttled_seconds_total"
            ),
            "remove CPU limits from services that must respond in time",
            "check the firewall of the server's host: did its rules change at that time?",
        ),
    ),
    Failure(
        "watch.stuck_flow",
        "a UDP flow was stuck, but a new one works",
        "Datagrams from one source port no longer got through, in one direction or both, while new "
        "connections worked; from another port they get through.",
        Location.INTERMEDIARY,
        (
            (
                "a NAT or a load balancer remembers the flow, and keeps sending it to a server that "
                "is gone (conntrack: for as long as the flow lasts)"
            ),
            "one of several paths or links that flows are balanced over is down",
        ),
        (
            "find the flow: `conntrack -L -p udp`, and delete it: `conntrack -D`",
            (
                "whatever updates the load balancer's servers should also delete the flows "
                "to removed servers"
            ),
            "have the application open a new socket when responses stop",
        ),
        need=Need.UDP,
        consequence="a program that keeps its UDP socket gets no more answers",
    ),
    Failure(
        "watch.load",
        "a connection cannot carry even a light load",
        "A new connection was established, but not all of a few large requests on it were "
        "answered in time.",
        Location.INTERMEDIARY,
        (
            "large packets are lost: a path with a smaller MTU whose ICMP messages are filtered",
            "so many packets are lost that TCP makes no progress",
            (
                "something in between stalls once a connection carries more than a "
                "few bytes"
            ),
        ),
        (
            (
                "run `netduet check` against the same address: its size, load and udp checks distinguish these"
            ),
        ),
    ),
)
