"""The failures that the check ``name`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "name.not_found",
        "the name does not exist",
        "The resolver of this host responded that it knows no address for the name.",
        Location.CLIENT,
        (
            "the name is misspelt, or belongs to a service that is not running",
            "client and server do not share a network",
            "the name needs its domain or namespace (service.namespace in Kubernetes)",
        ),
        (
            Advice(
                "check whether the server is running, and what its name is",
                container=(
                    "check whether the server is running, and what its name is: docker "
                    "ps; in a swarm, docker service ls"
                ),
                pod=(
                    "check the Service's name, and whether a pod behind it is ready: "
                    "kubectl get services,endpointslices -n NAMESPACE"
                ),
            ),
            Advice(
                "check which DNS servers this host asks: /etc/resolv.conf",
                container=(
                    "check that both are on the same network: docker network inspect "
                    "NETWORK"
                ),
                pod="from another namespace, use SERVICE.NAMESPACE",
            ),
            "try the server's address instead of its name",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "name.timeout",
        "the resolver does not respond",
        "No response for the name arrived in time: neither an address nor an error.",
        Location.UNKNOWN,
        (
            "the DNS server in /etc/resolv.conf is down or cannot be reached",
            "a firewall drops DNS (UDP and TCP port 53)",
        ),
        (
            (
                "look at /etc/resolv.conf, and query its server directly: nslookup "
                "NAME SERVER"
            ),
            "try the server's address instead of its name",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "name.family",
        "the name has no address in the requested family",
        "The name exists and has addresses, but none in the requested family.",
        Location.CLIENT,
        (
            (
                "the setting allows only IPv4 or only IPv6, and the server has only "
                "the other"
            ),
            "the network between the two has no IPv6 (or no IPv4)",
        ),
        ("omit --family, or give the server an address of that family",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "name.failed",
        "the name could not be resolved",
        "The resolver reported an error other than an unknown name.",
        Location.UNKNOWN,
        (
            "the DNS server returns SERVFAIL or REFUSED: its own upstream is broken",
            "no DNS server is configured on this host",
        ),
        (
            "look at /etc/resolv.conf, and query its server directly: nslookup NAME SERVER",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "name.inconsistent",
        "DNS does not always give the same answer",
        (
            "DNS servers, or the servers behind one of them, contradict each other "
            "about the name: lookups fail, or lead elsewhere, now and then."
        ),
        Location.INTERMEDIARY,
        (
            (
                "the DNS servers differ: one of those behind an address, or in "
                "/etc/resolv.conf, has other data, or none, for the name"
            ),
            "the name was added, changed or removed moments ago, and caches differ",
            "a DNS server is overloaded, or loses its own upstream now and then",
        ),
        (
            "query each server several times: dig @SERVER NAME; compare status and data",
            (
                "list in /etc/resolv.conf only servers that know the same names: the C "
                "library takes the first answer, even if that is NXDOMAIN"
            ),
        ),
    ),
    Failure(
        "name.record_timeout",
        "queries for one record type (AAAA or A) get no response",
        (
            "A DNS server answers one record type and is silent about the other. A "
            "lookup asks for both, and waits for both."
        ),
        Location.INTERMEDIARY,
        (
            "a DNS server, or a firewall that inspects DNS, drops AAAA queries",
            (
                "a NAT or firewall drops the second of two queries from the same port: "
                "Linux before 5.1 with several DNS servers behind one address"
            ),
        ),
        (
            "query both types: dig @SERVER NAME A; dig @SERVER NAME AAAA",
            (
                "until it is repaired: options single-request-reopen, or no-aaaa (glibc "
                "2.36), in /etc/resolv.conf"
            ),
        ),
    ),
    Failure(
        "name.server_timeout",
        "a DNS server does not respond",
        (
            "The first DNS server of /etc/resolv.conf is silent. Each lookup waits for "
            "it before the next one is asked."
        ),
        Location.UNKNOWN,
        (
            "that DNS server is down, or its address has changed",
            "a firewall drops DNS (UDP port 53) to that server",
        ),
        (
            "query it directly: dig @SERVER NAME",
            "remove it from /etc/resolv.conf, or move it to the end",
        ),
    ),
    Failure(
        "name.truncated",
        "long DNS answers do not arrive",
        (
            "An answer does not fit a datagram, and the DNS server cannot be asked over "
            "TCP, as RFC 7766 demands."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall lets DNS pass over UDP (port 53) alone",
            "the DNS server or forwarder does not serve TCP",
        ),
        (
            "query over TCP: dig +tcp @SERVER NAME",
            "allow TCP port 53 to the DNS server",
        ),
    ),
    Failure(
        "name.queries_lost",
        "DNS queries are lost",
        (
            "A DNS server answers part of the queries only. A lookup waits 5 s for each "
            "lost one before it asks again."
        ),
        Location.UNKNOWN,
        (
            "the DNS server is overloaded, or limits the rate of queries",
            "the path to the DNS server loses packets",
        ),
        (
            "look at the DNS server's log and load",
            "check the path to it: netduet check SERVER:53/dns",
        ),
    ),
    Failure(
        "name.search_domain",
        "a search domain made another name of it",
        (
            "The name was completed by a search domain of /etc/resolv.conf, and what has "
            "the completed name is not what was asked for."
        ),
        Location.CLIENT,
        (
            (
                "the search domain has a wildcard record, which gives an address to "
                "every name"
            ),
            "two hosts have the name, one of them below the search domain",
        ),
        (
            "write the name with a dot at its end, so that no search domain is tried",
            "lower ndots, or remove the search domain, in /etc/resolv.conf",
        ),
        severity=Severity.UNREACHABLE,
    ),
)
