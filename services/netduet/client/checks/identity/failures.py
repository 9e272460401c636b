"""The failures that the check ``identity`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "identity.silent",
        "the connection is accepted and nobody answers",
        "The connection was accepted, by a kernel or a proxy, and no answer to the request "
        "came.",
        Location.UNKNOWN,
        (
            "the server is frozen: paused, stopped, deadlocked, out of CPU or memory",
            "a proxy, sidecar or balancer in front accepts for a server that is dead",
            "a firewall lets connections open, and drops what they then carry",
            "a proxy waits for the request to end, or everything takes very long",
        ),
        (
            "look whether the server runs: docker ps (paused?), its logs, its CPU",
            "ask the server's own address, past any proxy or balancer",
            "wait longer: --answer-timeout 15s",
            "capture at both ends (tcpdump tcp port PORT): who is the last to answer?",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.closed",
        "the connection is accepted and closed at once",
        "The connection was ended without a single byte of an answer.",
        Location.INTERMEDIARY,
        (
            "a proxy or balancer (docker-proxy, sidecar) accepts for a server that is dead",
            "the server closes what it does not understand: it is no netduet",
            "the server is at its limit of connections",
        ),
        (
            "ask the server's own address, past any proxy or published port",
            "look at the server's logs",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.reset",
        "the connection is accepted and reset",
        "The connection was cut by a reset without a single byte of an answer.",
        Location.INTERMEDIARY,
        (
            "a proxy or balancer (docker-proxy, sidecar) accepts for a server that is dead",
            "the server crashed or was killed while it answered",
            "a firewall cuts connections that carry data it does not know",
        ),
        (
            "ask the server's own address, past any proxy or published port",
            "look at the server's logs",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.not_netduet",
        "something else answers",
        "Whoever listens there speaks, but is no netduet.",
        Location.SERVER,
        (
            "another service has this name or port",
            "a stale address now belongs to somebody else",
        ),
        (
            "check which service the name and port belong to",
            "netduet hello HOST:PORT holds the plain conversation with any server",
        ),
        severity=Severity.UNREACHABLE,
        aliases=("identity.stranger",),
    ),
    Failure(
        "identity.plain",
        "a plain server answers",
        "The answer is the plain greeting: the server knows no framed protocol, or is a "
        "netduet that did not get the first byte of our request first.",
        Location.UNKNOWN,
        (
            "the server is the plain ancestor of netduet, or a script like it",
            "a balancer says something of its own first (a PROXY protocol header)",
            "a proxy or tunnel changes or swallows the first bytes",
        ),
        (
            "look which program runs there, and its log: docker ps, docker logs",
            "switch the PROXY protocol off in the balancer: netduet does not speak it",
            "ask the server's own address, past any proxy or balancer",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.mangled",
        "bytes are changed on the way",
        "The protocol's signature did not arrive as it was sent: text conversion changed it, "
        "or other bytes came before it.",
        Location.INTERMEDIARY,
        (
            "a proxy or tunnel treats the stream as text and converts line ends",
            "a proxy says something of its own first: a banner, an error page",
        ),
        (
            "switch the proxy or tunnel to pass bytes as they are (TCP mode, binary)",
            "ask the server's own address, past any proxy or balancer",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "identity.other_service",
        "a netduet of another service answers",
        "The server names a service that is not the one expected.",
        Location.SERVER,
        (
            "the name or address leads to another deployment",
            "the expectation is wrong (--expect-service)",
        ),
        (
            "compare NETDUET_SERVER_SERVICE there with NETDUET_CLIENT_EXPECT_SERVICE here",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.self",
        "the client talks to itself",
        "Both ends of the connection are the same socket (a TCP simultaneous open).",
        Location.CLIENT,
        (
            "the port lies in this host's ephemeral range and nothing listens on it",
            "the target is an address of this very host by mistake",
        ),
        ("check the target, and take a port outside net.ipv4.ip_local_port_range",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.busy",
        "the server refuses for lack of room",
        "The server answered that its limit of connections is reached.",
        Location.SERVER,
        (
            "clients hold more connections than NETDUET_SERVER_MAX_CONNECTIONS allows",
            "the limit is lower than what one check holds at a time (some dozen)",
            "many clients share one address (NAT), and the limit per client is low",
        ),
        ("raise the limit, or find out on the server who holds them: ss -tn",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.draining",
        "the server is shutting down",
        "The server answered that it takes no new work.",
        Location.SERVER,
        ("it is being stopped or replaced: a balancer still sends clients to it",),
        ("try again; if it lasts, compare the balancer's targets with what runs",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.protocol",
        "the two ends do not understand each other",
        "One end broke a rule of the protocol, and says which.",
        Location.UNKNOWN,
        (
            "the two are of versions that do not fit",
            "something on the way changes, cuts or injects bytes",
        ),
        ("compare the versions: netduet --version at both ends",),
        severity=Severity.UNREACHABLE,
    ),
)
