"""The failures that the check ``churn`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "churn.ports_exhausted",
        "this host has no free local port for a new connection",
        "This host's kernel refused to open a connection (EADDRNOTAVAIL): all local "
        "ports to that address are in use, by open connections or by closed ones in "
        "TIME_WAIT. Nothing was sent.",
        Location.CLIENT,
        (
            "the range of local ports is small (net.ipv4.ip_local_port_range)",
            (
                "a program on this host opens connections faster than ended ones are "
                "forgotten (60 s), instead of using them again"
            ),
            "a program on this host leaks connections",
        ),
        (
            (
                "look what takes the ports: ss -tan state all, ss -s; many in "
                "time-wait, or many established?"
            ),
            "widen the range: sysctl net.ipv4.ip_local_port_range='1024 65535'",
            (
                "let new connections take ports in TIME_WAIT: "
                "sysctl net.ipv4.tcp_tw_reuse=1; use connections more than once"
            ),
        ),
        severity=Severity.PROBE,
    ),
    Failure(
        "churn.accept_queue",
        "the server's listening socket drops connections",
        "SYNs arrived at the server, and its listening socket dropped them because "
        "its accept queue was full. The network delivered them.",
        Location.SERVER,
        (
            "the server's program accepts too slowly: it is short of CPU, or blocked",
            "its backlog is too short (listen(2)), or the kernel's bound on it is",
            "more connections come than the server was made for",
        ),
        (
            (
                "raise the backlog (NETDUET_SERVER_BACKLOG) and "
                "net.core.somaxconn in the server's network namespace"
            ),
            (
                "look at the server's queue (ss -ltn: Recv-Q of Send-Q) and counters "
                "(nstat -az TcpExtListenOverflows TcpExtListenDrops)"
            ),
            "look for a CPU limit of the server's container: cpu.stat, nr_throttled",
        ),
    ),
    Failure(
        "churn.rate_limited",
        "new connections are rate-limited",
        "A burst of connections passes; after that, connections pass at a constant "
        "rate and the rest are dropped or refused. This is not random loss.",
        Location.INTERMEDIARY,
        (
            "a firewall limits new connections a second (hashlimit, limit, recent)",
            "a balancer or a protection against floods limits each client address",
            "the server's own host has such a rule",
        ),
        (
            (
                "look for the rule by its numbers: iptables -S, nft list ruleset, on both "
                "hosts and between them"
            ),
            "is a NAT on the way? all clients behind it share its address and the limit",
            "use connections more than once (keep-alive, pools)",
        ),
    ),
    Failure(
        "churn.count_limited",
        "the number of open connections is limited",
        "Up to a certain number of connections can be open at once, and no more; when "
        "they are closed, new ones pass again.",
        Location.INTERMEDIARY,
        (
            "a firewall limits connections of one address (connlimit, ct count)",
            "a proxy or balancer serves so many connections at once, in all or of a client",
            "the server's own host has such a rule",
        ),
        (
            (
                "look for the rule by its number: iptables -S, nft list ruleset; "
                "maxconn or worker_connections of a proxy"
            ),
            "is a NAT on the way? all clients behind it share its address and the limit",
            (
                "where the server itself says that it serves no more: "
                "NETDUET_SERVER_MAX_CONNECTIONS, NETDUET_SERVER_MAX_CONNECTIONS_PER_CLIENT"
            ),
        ),
    ),
    Failure(
        "churn.syn_lost",
        "connection attempts are lost",
        "More SYNs, or the server's answers to them, were lost than allowed "
        "(--max-loss), and chance does not explain it. Each lost SYN delays a "
        "connection by a second or more.",
        Location.INTERMEDIARY,
        (
            "a link on the way is overloaded, or loses packets of all kinds",
            (
                "a stateful device on the way has no room for new connections "
                "(nf_conntrack: table full)"
            ),
            "one of several links or balancers on the way is broken",
        ),
        (
            (
                "are other packets lost too? compare the check udp; if not, look at what "
                "treats new connections apart: firewalls, protection against floods"
            ),
            (
                "run the check again with --profile full: more connections tell chance "
                "from a limit on new ones"
            ),
            "look at each device on the way: dmesg | grep conntrack; ip -s link",
            "capture at both ends: tcpdump 'tcp[tcpflags] & tcp-syn != 0'",
        ),
    ),
    Failure(
        "churn.refused",
        "some connections are refused",
        "The same address accepts some connections and refuses others with a reset or "
        "an ICMP error: more than allowed (--max-loss).",
        Location.UNKNOWN,
        (
            "behind the address are several servers, and one of them is down",
            "a firewall rejects a part of the connections (a limit)",
            "the server was restarted meanwhile",
        ),
        (
            "look at the health of each server behind the balancer",
            "run the check again: is the share of refused ones the same?",
        ),
    ),
    Failure(
        "churn.not_served",
        "some connections are accepted but not served",
        "Connections were accepted, and then ended or stayed silent before a netduet "
        "answered, while others to the same address were served: more than allowed "
        "(--max-loss).",
        Location.UNKNOWN,
        (
            "a proxy or balancer accepts for several servers, and one of them is down",
            "the server is overloaded, or was restarted meanwhile",
            "several addresses or programs share the port, and one is a stranger",
        ),
        (
            "look at the health of each server behind the balancer",
            "look at the server's log: does it know of these connections?",
        ),
        aliases=("churn.unserved",),
    ),
    Failure(
        "churn.client_too_slow",
        "this host cannot make enough connections",
        "Too few connections could be started in time to say anything about the "
        "network.",
        Location.CLIENT,
        (
            "this host is short of CPU, or a CPU limit holds this process back",
            "this process may open too few descriptors",
        ),
        (
            "run the check again on a host that is less busy",
            "let it open more files: ulimit -n; docker run --ulimit nofile=65536",
        ),
        severity=Severity.PROBE,
        aliases=("churn.unstarted",),
    ),
)
