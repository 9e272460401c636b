"""The failures that the check ``reach`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

RESET_BY_FIREWALL: Final = (
    "a firewall rejects the connection with a reset (REJECT --reject-with tcp-reset)"
)

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "reach.refused",
        "the connection was refused",
        (
            "A reset answered each connection attempt. It carries the target's address, "
            "whether the target's host sent it or a firewall in its name."
        ),
        Location.SERVER,
        (
            "the server is not running, or has not started listening yet",
            "it listens on another port, or only on 127.0.0.1",
            RESET_BY_FIREWALL,
        ),
        (
            Advice(
                "check whether the server is running and what it listens on: docker "
                "logs, ss -tln",
                pod=(
                    "check whether the server is running and what it listens on: kubectl "
                    "get pods, kubectl logs POD; a Service needs ready endpoints: kubectl "
                    "get endpointslices"
                ),
            ),
            "compare the requested port with the listening port",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.rejected",
        "an ICMP error rejects the connection",
        (
            "An ICMP error, not a reset, answered each connection attempt. Hosts answer "
            "with a reset if nothing listens: an ICMP error comes from a firewall."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall or router on the path rejects it (iptables -j REJECT)",
            "a firewall on the server's host, or on this one, rejects it",
        ),
        (
            "look at the rules of the host that sent the ICMP error: iptables -L -v -n, nft list ruleset",
            "let connections to the port pass there",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.timeout",
        "connection attempts get no response",
        "Connection attempts were retransmitted, and nothing came back at all.",
        Location.UNKNOWN,
        (
            "a firewall, security group or network policy drops them",
            "the address is stale: a container or host that is gone",
            "the responses are lost on the way back (asymmetric routing)",
        ),
        (
            "check the firewalls and network policies between the two",
            "check that the address is the server's current one",
            "capture on the server (tcpdump tcp port PORT): do SYNs arrive?",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.port_unreachable",
        "nothing listens on the UDP port",
        "The host, or a firewall, responded to the datagram with ICMP port unreachable.",
        Location.SERVER,
        (
            "the service is not running, or listens on another port or address",
            "a firewall rejects the datagrams (REJECT)",
            Advice(
                "only the TCP port is published (docker: -p 53:53/udp publishes UDP)",
                pod="the Service has the port for TCP alone (protocol: UDP)",
            ),
        ),
        (
            "check what listens there: ss -uln",
            "compare the requested port with the listening port",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.no_response",
        "datagrams get no response",
        "Datagrams were sent several times, and nothing came back at all.",
        Location.UNKNOWN,
        (
            "a firewall, security group or network policy drops UDP",
            "the service is frozen, or does not respond to this client",
            "the address is stale: a container or host that is gone",
        ),
        (
            "check whether the service is running and what it listens on: ss -uln",
            "check the firewalls and network policies between the two, for UDP",
            "capture traffic at the server (tcpdump udp port PORT): do datagrams arrive?",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.unreachable",
        "the host cannot be reached",
        "A router, or this host itself, reports that the address is unreachable.",
        Location.INTERMEDIARY,
        (
            (
                "no host has the address (no response to ARP): the container or host "
                "is gone"
            ),
            "there is no route to it, or a firewall rejects the connection with an ICMP error",
            "packets loop between routers",
            (
                "the address is the virtual IP of a Swarm service, and this kernel "
                "lacks IPVS, which implements it"
            ),
        ),
        (
            "check that the address is the server's current one",
            (
                "in a Swarm: check tasks.SERVICE, the tasks' own addresses; if they "
                "respond, deploy the service with endpoint_mode: dnsrr"
            ),
            (
                "check the routes: ip route get ADDRESS, here and on the routers; tracepath -n "
                "ADDRESS"
            ),
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.other",
        "no connection can be made",
        "The kernel of this host reported an error that has no class of its own.",
        Location.CLIENT,
        ("see the error's name in the evidence",),
        ("look up the error's name: errno(3), connect(2)",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "reach.partial",
        "some of the name's addresses do not accept connections",
        "The name has several addresses; some accept connections and some do not.",
        Location.UNKNOWN,
        (
            "the name still lists a server that is gone",
            "one replica is down, or does not listen on this family of addresses",
            "AAAA records exist, but the server listens only on IPv4 (or the reverse)",
            "one of several links on the path is down: then the failing address varies",
        ),
        (
            "compare the addresses of the name with the running servers",
            "restart or remove the failing one; clients that pick it wait or fail",
        ),
    ),
)
