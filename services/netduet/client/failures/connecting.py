"""Classes of failure of getting through at all: name, reach, identity, path."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import (
    CLIENT,
    INTERMEDIARY,
    SERVER,
    UNKNOWN,
    Failure,
)

CONNECTING: Final = (
    Failure(
        "name.not_found",
        "the name does not exist",
        "The resolver of this host answered, and knows no address of the name.",
        CLIENT,
        (
            "the name is misspelt, or belongs to a service that is not running",
            "client and server are not on a network that they share",
            "the name needs its domain or namespace (service.namespace in Kubernetes)",
        ),
        (
            "check that the server runs, and under which name: docker ps, kubectl get svc",
            "check that both are on one network: docker network inspect NETWORK",
            "try the server's address instead of its name",
        ),
    ),
    Failure(
        "name.timeout",
        "the resolver does not answer",
        "No answer about the name came in time: neither an address nor a refusal.",
        UNKNOWN,
        (
            "the DNS server in /etc/resolv.conf is down or cannot be reached",
            "a firewall drops DNS (UDP and TCP port 53)",
        ),
        (
            "look at /etc/resolv.conf, and ask its server: nslookup NAME SERVER",
            "try the server's address instead of its name",
        ),
    ),
    Failure(
        "name.family",
        "the name has no address of that family",
        "The name exists and has addresses, but none of the family that was asked for.",
        CLIENT,
        (
            "the setting asks for IPv4 or IPv6 alone, and the server has only the other",
            "the network between the two has no IPv6 (or no IPv4)",
        ),
        ("leave --family out, or give the server an address of that family",),
    ),
    Failure(
        "name.failed",
        "the name could not be resolved",
        "The resolver reported a failure of its own.",
        UNKNOWN,
        (
            "the DNS server answers SERVFAIL or REFUSED: its own upstream is broken",
            "no DNS server is configured on this host",
        ),
        ("look at /etc/resolv.conf, and ask its server: nslookup NAME SERVER",),
    ),
    Failure(
        "reach.refused",
        "the connection is refused",
        "The host answered each connection attempt with a reset: nothing listens there.",
        SERVER,
        (
            "the server is not running, or has not started to listen yet",
            "it listens on another port, or on 127.0.0.1 alone",
            "a firewall rejects with a reset (REJECT --reject-with tcp-reset)",
        ),
        (
            "look whether the server runs and what it listens on: docker logs, ss -tln",
            "compare the port asked with the port listened on",
        ),
    ),
    Failure(
        "reach.timeout",
        "connection attempts vanish",
        "Connection attempts were sent again and again, and nothing came back at all.",
        UNKNOWN,
        (
            "a firewall, security group or network policy drops them",
            "the address is stale: a container or host that is gone",
            "the answers are lost on the way back (asymmetric routing)",
        ),
        (
            "check the firewalls and network policies between the two",
            "check that the address is the server's present one",
            "capture on the server (tcpdump tcp port PORT): do SYNs arrive?",
        ),
    ),
    Failure(
        "reach.unreachable",
        "the host cannot be reached",
        "A router, or this host itself, reports that the address leads nowhere.",
        INTERMEDIARY,
        (
            "nothing has the address (no answer to ARP): the container or host is gone",
            "no route leads there, or a firewall rejects with an ICMP error",
            "routers send packets round in a loop",
            (
                "the address is a Swarm service's virtual one, and this kernel has no IPVS, "
                "which is what answers there"
            ),
        ),
        (
            "check that the address is the server's present one",
            (
                "in a Swarm: ask tasks.SERVICE, the tasks' own addresses; if these answer, "
                "deploy the service with endpoint_mode: dnsrr"
            ),
            (
                "check the routes: ip route get ADDRESS, here and on the routers; tracepath -n "
                "ADDRESS"
            ),
        ),
    ),
    Failure(
        "reach.other",
        "no connection can be made",
        "The kernel of this host reported an error that has no class of its own.",
        CLIENT,
        ("see the error's name in the evidence",),
        ("look the error's name up: errno(3), connect(2)",),
    ),
    Failure(
        "reach.partial",
        "some addresses of the name are dead",
        "The name has several addresses; some accept connections and some do not.",
        UNKNOWN,
        (
            "the name still lists a server that is gone",
            "one replica is down, or does not listen on this family of addresses",
            "AAAA records exist, but the server listens on IPv4 alone (or the reverse)",
            "one of several links on the way is dead: then it is not always the same one",
        ),
        (
            "compare the addresses of the name with the servers that run",
            "restart or remove the dead one; a client that picks it waits or fails",
        ),
    ),
    Failure(
        "identity.silent",
        "the connection is accepted and nobody answers",
        "The connection was accepted, by a kernel or a proxy, and no answer to the request "
        "came.",
        UNKNOWN,
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
    ),
    Failure(
        "identity.closed",
        "the connection is accepted and closed at once",
        "The connection was ended without a single byte of an answer.",
        INTERMEDIARY,
        (
            "a proxy or balancer (docker-proxy, sidecar) accepts for a server that is dead",
            "the server closes what it does not understand: it is no netduet",
            "the server is at its limit of connections",
        ),
        (
            "ask the server's own address, past any proxy or published port",
            "look at the server's logs",
        ),
    ),
    Failure(
        "identity.reset",
        "the connection is accepted and reset",
        "The connection was cut by a reset without a single byte of an answer.",
        INTERMEDIARY,
        (
            "a proxy or balancer (docker-proxy, sidecar) accepts for a server that is dead",
            "the server crashed or was killed while it answered",
            "a firewall cuts connections that carry data it does not know",
        ),
        (
            "ask the server's own address, past any proxy or published port",
            "look at the server's logs",
        ),
    ),
    Failure(
        "identity.stranger",
        "something else answers",
        "Whoever listens there speaks, but is no netduet.",
        SERVER,
        (
            "another service has this name or port",
            "a stale address now belongs to somebody else",
        ),
        (
            "check which service the name and port belong to",
            "netduet hello HOST:PORT holds the plain conversation with any server",
        ),
    ),
    Failure(
        "identity.plain",
        "a plain server answers",
        "The answer is the plain greeting: the server knows no framed protocol, or is a "
        "netduet that did not get the first byte of our request first.",
        UNKNOWN,
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
    ),
    Failure(
        "identity.mangled",
        "bytes are changed on the way",
        "The protocol's signature did not arrive as it was sent: text conversion changed it, "
        "or other bytes came before it.",
        INTERMEDIARY,
        (
            "a proxy or tunnel treats the stream as text and converts line ends",
            "a proxy says something of its own first: a banner, an error page",
        ),
        (
            "switch the proxy or tunnel to pass bytes as they are (TCP mode, binary)",
            "ask the server's own address, past any proxy or balancer",
        ),
    ),
    Failure(
        "identity.other_service",
        "a netduet of another service answers",
        "The server names a service that is not the one expected.",
        SERVER,
        (
            "the name or address leads to another deployment",
            "the expectation is wrong (--expect-service)",
        ),
        (
            "compare NETDUET_SERVER_SERVICE there with NETDUET_CLIENT_EXPECT_SERVICE here",
        ),
    ),
    Failure(
        "identity.self",
        "the client talks to itself",
        "Both ends of the connection are the same socket (a TCP simultaneous open).",
        CLIENT,
        (
            "the port lies in this host's ephemeral range and nothing listens on it",
            "the target is an address of this very host by mistake",
        ),
        ("check the target, and take a port outside net.ipv4.ip_local_port_range",),
    ),
    Failure(
        "identity.busy",
        "the server refuses for lack of room",
        "The server answered that its limit of connections is reached.",
        SERVER,
        (
            "clients hold more connections than NETDUET_SERVER_MAX_CONNECTIONS allows",
            "the limit is lower than what one check holds at a time (some dozen)",
            "many clients share one address (NAT), and the limit per client is low",
        ),
        ("raise the limit, or find out on the server who holds them: ss -tn",),
    ),
    Failure(
        "identity.draining",
        "the server is shutting down",
        "The server answered that it takes no new work.",
        SERVER,
        ("it is being stopped or replaced: a balancer still sends clients to it",),
        ("try again; if it lasts, compare the balancer's targets with what runs",),
    ),
    Failure(
        "identity.protocol",
        "the two ends do not understand each other",
        "One end broke a rule of the protocol, and says which.",
        UNKNOWN,
        (
            "the two are of versions that do not fit",
            "something on the way changes, cuts or injects bytes",
        ),
        ("compare the versions: netduet --version at both ends",),
    ),
    Failure(
        "path.broken",
        "a further connection fails",
        "One connection worked, and the next one to the same address did not.",
        UNKNOWN,
        (
            "several servers stand behind the address, and one of them is broken",
            (
                "a firewall or balancer limits the connections of a client, or how fast it may "
                "open them"
            ),
            "the network loses many packets, or one of several links is dead",
            "the server was stopped or restarted meanwhile",
        ),
        (
            "run the check again, several times: is it every second or third time?",
            "check each server behind the address by its own address",
            (
                "look for limits on the way: iptables -vnL (connlimit, hashlimit), nf_conntrack: "
                "table full"
            ),
        ),
    ),
    Failure(
        "check.defect",
        "the check itself failed",
        "The check raised an error that is no finding about the network.",
        CLIENT,
        ("a defect of netduet",),
        ("report it, with the log that this command writes to stderr",),
    ),
)
