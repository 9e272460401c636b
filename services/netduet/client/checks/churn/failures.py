"""The failures that the check ``churn`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
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
                "a program on this host opens connections faster than closed ones "
                "expire (60 s), instead of reusing them"
            ),
            "a program on this host leaks connections",
        ),
        (
            (
                "find out what uses the ports: ss -tan state all, ss -s; are most in "
                "time-wait, or established?"
            ),
            "widen the range: sysctl net.ipv4.ip_local_port_range='1024 65535'",
            (
                "have new connections reuse ports in TIME_WAIT: sysctl "
                "net.ipv4.tcp_tw_reuse=1; reuse connections"
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
            "its backlog (listen(2)) or the kernel's limit on it is too small",
            "more connections arrive than the server is designed for",
        ),
        (
            (
                "raise the backlog (NETDUET_SERVER_BACKLOG) and "
                "net.core.somaxconn in the server's network namespace"
            ),
            (
                "check the server's queue (ss -ltn: Recv-Q of Send-Q) and counters "
                "(nstat -az TcpExtListenOverflows TcpExtListenDrops)"
            ),
            "check for a CPU limit on the server's container: cpu.stat, nr_throttled",
        ),
    ),
    Failure(
        "churn.rate_limited",
        "new connections are rate-limited",
        "An initial burst of connections succeeds; after that, connections succeed only "
        "at a constant rate, and the rest are dropped or refused. This is not random "
        "loss.",
        Location.INTERMEDIARY,
        (
            "a firewall limits new connections per second (hashlimit, limit, recent)",
            "a load balancer or flood protection limits connections per client address",
            "the server's own host has such a rule",
        ),
        (
            (
                "look for a rule with the measured rate and burst on both hosts and on "
                "devices in between: iptables -S, nft list ruleset"
            ),
            (
                "if there is a NAT in between, all clients behind it share its "
                "address and the limit"
            ),
            "reuse connections (keep-alive, pools)",
        ),
    ),
    Failure(
        "churn.table_full",
        "no room for new connections: a table is full",
        (
            "After a number of connections no new one passes, and a pause does not help; "
            "existing ones keep working. So it is a budget that does not refill, and no "
            "limit by rate: entries of a table expire minutes after their connection."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall's or host's table of connections is full (nf_conntrack: table full)",
            "a NAT has used up its ports to this address and port",
            "a quota of new connections per client is used up",
        ),
        (
            (
                "compare the count with the limit on each device on the path: sysctl "
                "net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; dmesg | "
                "grep 'table full'"
            ),
            (
                "raise nf_conntrack_max, or shorten its timers "
                "(nf_conntrack_tcp_timeout_time_wait), or give the NAT more addresses"
            ),
            "reuse connections (keep-alive, pools)",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "churn.count_limited",
        "the number of open connections is limited",
        (
            "Only a certain number of connections can be open at once; when they are "
            "closed, new ones succeed again."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall limits the connections per address (connlimit, ct count)",
            "a proxy or load balancer limits concurrent connections, in total or per client",
            "the server's own host has such a rule",
        ),
        (
            (
                "look for a rule with the measured limit: iptables -S, nft list "
                "ruleset; maxconn or worker_connections of a proxy"
            ),
            (
                "if there is a NAT in between, all clients behind it share its "
                "address and the limit"
            ),
            (
                "if the server itself says that it is full: "
                "NETDUET_SERVER_MAX_CONNECTIONS, "
                "NETDUET_SERVER_MAX_CONNECTIONS_PER_CLIENT"
            ),
        ),
    ),
    Failure(
        "churn.syn_lost",
        "connection attempts are lost",
        "More SYNs or SYN-ACKs were lost than --max-loss allows, and more than chance would explain. Each lost SYN delays a connection by a second or more.",
        Location.INTERMEDIARY,
        (
            "a link on the path is overloaded, or loses packets of all kinds",
            (
                "a stateful device on the path has no room for new connections "
                "(nf_conntrack: table full)"
            ),
            "one of several links or load balancers on the path is broken",
        ),
        (
            (
                "compare with the udp check: if other packets are not lost, look at "
                "what treats new connections specially: firewalls, flood protection"
            ),
            (
                "run the check again with --profile full: more connections "
                "distinguish chance from a limit on new ones"
            ),
            "check each device on the path: dmesg | grep conntrack; ip -s link",
            "capture traffic at both ends: tcpdump 'tcp[tcpflags] & tcp-syn != 0'",
        ),
    ),
    Failure(
        "churn.repeated_syn",
        "each new connection needs more than one SYN",
        (
            "The first SYN of nearly every connection is lost and a later one passes, "
            "so each new connection takes a second or more. Packets of existing "
            "connections pass: this is neither random loss nor an outage."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a virtual switch, tunnel or NAT sets up each new flow, and loses the "
                "first packet instead of keeping it"
            ),
            (
                "the first SYN arrives with a wrong checksum: offloading on a tunnel or "
                "card (tx-checksum) is broken"
            ),
            "a firewall or flood protection drops the first SYN of each flow on purpose",
        ),
        (
            (
                "capture at both ends: does the first SYN leave, and arrive? tcpdump -v "
                "'tcp[tcpflags] & tcp-syn != 0' also shows wrong checksums"
            ),
            (
                "disable checksum offload at the sender and on tunnels: ethtool -K DEV "
                "tx off; compare nstat -az TcpInCsumErrors at the server"
            ),
            "until it is fixed, reuse connections (keep-alive, pools)",
        ),
    ),
    Failure(
        "churn.ecn_dropped",
        "SYNs that ask for ECN are dropped",
        (
            "This host asks for Explicit Congestion Notification in its SYNs "
            "(net.ipv4.tcp_ecn), and a device drops these. The kernel then tries "
            "without ECN (RFC 3168 §6.1.1.1), so each new connection takes a second more."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall drops SYNs with the flags ECE and CWR, which it takes for an attack",
            "an old router or load balancer does not know ECN",
        ),
        (
            (
                "look for rules on these flags: iptables -S | grep -i ecn, or 'TCP flags' "
                "and 'normalisation' of a firewall"
            ),
            "until it is fixed, do not ask for ECN: sysctl net.ipv4.tcp_ecn=2",
        ),
    ),
    Failure(
        "churn.fast_open_dropped",
        "SYNs that ask for TCP Fast Open are dropped",
        (
            "This host is set up for TCP Fast Open (net.ipv4.tcp_fastopen beyond its "
            "default), and a device drops SYNs that ask for a cookie (RFC 7413). The kernel "
            "then tries without, so each new connection of an application that uses Fast "
            "Open takes a second more."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall drops SYNs with a TCP option that it does not know (kind 34)",
            "an old load balancer or NAT does not know the option",
        ),
        (
            (
                "look for rules on TCP options: iptables -S | grep tcp-option, or 'TCP "
                "normalisation' of a firewall"
            ),
            "until it is fixed, do not use Fast Open: sysctl net.ipv4.tcp_fastopen=0",
        ),
    ),
    Failure(
        "churn.slow_first_answer",
        "each new connection waits for its first answer",
        (
            "Connections are made at once, and the first answer on each takes many "
            "times the RTT; later answers on the same connection are fast. Each new "
            "connection pays for something that happens once."
        ),
        Location.UNKNOWN,
        (
            (
                "a proxy or the server looks up each client first (reverse DNS, ident, "
                "a blocklist), and the lookup times out"
            ),
            (
                "a proxy tries a dead backend first, and waits before it takes the next "
                "one"
            ),
            "the server accepts connections too slowly, or starts a process for each",
        ),
        (
            (
                "look up this client's address at the server and at proxies: dig -x "
                "ADDRESS; is the resolver reachable from there?"
            ),
            "connect directly to the server's address, bypassing any proxy or load balancer",
            "look at the accept queue: ss -ltn (Recv-Q)",
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "churn.refused",
        "some connections are refused",
        "The same address accepts some connections, but refuses more than --max-loss allows, with a reset or an ICMP error.",
        Location.UNKNOWN,
        (
            "there are several servers behind the address, and one of them is down",
            "a firewall rejects some of the connections (a limit)",
            "the server was restarted during the check",
        ),
        (
            "check the health of each server behind the load balancer",
            "run the check again: is the share of refused connections the same?",
        ),
    ),
    Failure(
        "churn.not_served",
        "some connections are accepted but not served",
        (
            "More connections than --max-loss allows were accepted, then closed or left without a response, while others to the same address were served."
        ),
        Location.UNKNOWN,
        (
            (
                "a proxy or load balancer accepts connections on behalf of several "
                "servers, and one of them is down"
            ),
            "the server is overloaded, or was restarted during the check",
            (
                "several hosts or programs share the address, and one of them is not "
                "netduet"
            ),
        ),
        (
            "check the health of each server behind the load balancer",
            "check the server's log: does it contain these connections?",
        ),
        aliases=("churn.unserved",),
    ),
    Failure(
        "churn.client_too_slow",
        "this host cannot open connections fast enough",
        "Too few connections could be started in time to say anything about the "
        "network.",
        Location.CLIENT,
        (
            "this host is short of CPU, or a CPU limit throttles this process",
            "this process has too few file descriptors",
        ),
        (
            "run the check again on a host that is less busy",
            Advice(
                "allow it to open more files: ulimit -n",
                container=(
                    "allow it to open more files: docker run --ulimit nofile=65536"
                ),
                pod=(
                    "allow it to open more files: the limit is that of the node's "
                    "container runtime (LimitNOFILE)"
                ),
            ),
        ),
        severity=Severity.PROBE,
        aliases=("churn.unstarted",),
    ),
)
