"""Classes of failure that only ``netduet watch`` tells of."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure
from netduet.client.results.location import Location

WATCH: Final[tuple[Failure, ...]] = (
    Failure(
        "watch.left",
        "a server was gone before its name dropped it",
        "A server stopped answering, and only then its address left the name: who had "
        "the address meanwhile reached nobody.",
        Location.SERVER,
        (
            "a rolling update or a scaling down that stops a server before its name forgets it",
            "the server crashed, or its node went away",
            "the name's records are kept for longer than the server goes on (TTL, caches)",
        ),
        (
            (
                "give the server a shutdown delay that is longer than the name needs to forget it: "
                "NETDUET_SERVER_SHUTDOWN_DELAY, or a preStop hook"
            ),
            "look at the server's log for server.draining and server.stopped",
        ),
    ),
    Failure(
        "watch.unmet",
        "no netduet has answered there yet",
        "Since the watch began no netduet has answered at this address: whether the network "
        "is out, or nobody is there, was never seen to be otherwise.",
        Location.UNKNOWN,
        (
            "the server has not started yet, or listens on another port",
            "something else listens there",
            "the path has been out since before the watch began, or a firewall blocks it",
        ),
        (
            "run `netduet check` against the same address: it tells these apart",
            "look whether the target is the right one, and its server runs",
        ),
    ),
    Failure(
        "watch.refused",
        "nothing listens where the server was",
        "A server that had answered answers no more, and its host refuses connections.",
        Location.SERVER,
        (
            "the server stopped or crashed, and its host goes on",
            "it is being replaced, and the new one does not listen yet",
            "a firewall on the way rejects, in the server's name",
        ),
        (
            "look whether the server runs, and at its log: did it drain, or break off?",
            "have the new server listen before the old one leaves (start-first, maxUnavailable: 0)",
            (
                "if it runs: look for who rejects, from further away (tcpdump 'tcp[tcpflags] "
                "& tcp-rst != 0')"
            ),
        ),
    ),
    Failure(
        "watch.datagrams",
        "datagrams stay away, and connections work",
        "For a while no datagram passed, one way or both, and connections, old and new, "
        "worked all the while.",
        Location.INTERMEDIARY,
        (
            "a firewall, security group or network policy lets TCP through and drops UDP",
            "a limit of UDP by rate, or a quality of service that drops it first",
            "a table of UDP flows (NAT, conntrack) that is full",
        ),
        (
            "allow UDP on the server's port, both ways, and look who changed a rule then",
            "run `netduet check --checks udp` against the same address: it tells sizes and rates",
        ),
    ),
    Failure(
        "watch.paused",
        "a server was silent for a while",
        "For a while nothing came from a server, and afterwards nothing was lacking: what "
        "was sent had waited, and was not lost, or was not sent at all.",
        Location.SERVER,
        (
            (
                "the server's process or its whole host was frozen: no CPU, a CPU limit, a "
                "snapshot or a move of its virtual machine"
            ),
            "a firewall on the server's own host let nothing out for so long",
            "something in between held packets up for so long, and delivered all of them",
        ),
        (
            (
                "look at the server's own stalls and throttling: netduet_stalled_seconds_total, "
                "netduet_throttled_seconds_total"
            ),
            "leave CPU limits away from what has to answer in time",
            "look at the firewall of the server's host: did its rules change at that time?",
        ),
    ),
    Failure(
        "watch.stuck_flow",
        "a flow of datagrams led nowhere, and a fresh one works",
        "Datagrams that always leave from the same port did not pass any more, one way or "
        "both, while new connections worked; from another port they pass.",
        Location.INTERMEDIARY,
        (
            (
                "a NAT or a balancer remembers the flow, and goes on sending it to a server "
                "that is gone (conntrack: for as long as the flow goes on)"
            ),
            "one of several paths or links that flows are spread over is dead",
        ),
        (
            "look for the flow: `conntrack -L -p udp`, and delete it: `conntrack -D`",
            "have what changes the balancer's servers delete the flows to those that leave",
            "let the application open a new socket when answers stay away",
        ),
    ),
    Failure(
        "watch.load",
        "a connection does not carry a little load",
        "A fresh connection was made and greeted, and a few large questions on it did not "
        "all come back in time.",
        Location.INTERMEDIARY,
        (
            "large packets are lost: a path with a smaller MTU whose ICMP messages are filtered",
            "so many packets are lost that TCP makes no headway",
            "something in between stands still once a connection carries more than a greeting",
        ),
        (
            (
                "run `netduet check` against the same address: its checks size, load and udp "
                "tell these apart"
            ),
        ),
    ),
)
