"""The failures that the check ``flows`` finds.

Sources: RFC 2992 (ECMP by a hash of the five-tuple), IEEE 802.1AX (link aggregation), RFC
5227 (IPv4 address conflicts).
"""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.needs import Need

_PATH_CAUSES: Final = (
    (
        "one of several equal paths (ECMP, a bundle of links) is dead: a hash of "
        "addresses and ports sends each flow over the same path for good"
    ),
    "one member of a cluster of firewalls, NATs or load balancers is broken",
    "a stale entry for these flows in a NAT, firewall or connection table",
)

_PATH_STEPS: Final = (
    (
        "trace the path of a flow that fails and of one that passes, with their ports: "
        "traceroute -T -p PORT --sport=SOURCE ADDRESS (for UDP: -U)"
    ),
    (
        "on routers and switches that spread flows over several links, compare the "
        "members' counters and errors; take the members out one by one"
    ),
    "check connection tables for the failing source ports: conntrack -L -p tcp --sport PORT",
)

_UDP: Final = (
    "some queries, calls or streams over UDP (DNS, QUIC, VoIP, syslog) fail for as long as "
    "they keep their source port, and others never"
)

_RANGE_CAUSES: Final = (
    "a packet filter or an access list drops these source ports",
    (
        "a NAT or carrier with shared addresses (CGNAT, MAP-E) leaves this host other "
        "source ports"
    ),
    "a stale entry for these flows in a NAT, firewall or connection table",
)

_RANGE_STEPS: Final = (
    "look for rules with this range of source ports on both hosts and in between",
    (
        "until then, keep this host from using them: sysctl "
        "net.ipv4.ip_local_reserved_ports=FIRST-LAST"
    ),
    "capture at both ends: tcpdump 'src portrange FIRST-LAST'",
)

_HOLE_CAUSES: Final = (
    (
        "one of several equal paths has a smaller MTU (a tunnel, a member with another "
        "MTU), and the ICMP error that says so does not arrive"
    ),
    "one of several servers, or the link to it, has another MTU than the others",
)

_HOLE_STEPS: Final = (
    "compare the MTU of all members and of all servers: ip link; tracepath ADDRESS",
    "let ICMP pass (fragmentation needed, packet too big), or clamp the MSS",
    "capture at both ends: do full-size packets of the failing flows arrive?",
)

_LOSS_CAUSES: Final = (
    (
        "one of several equal paths (ECMP, a bundle of links) loses packets: a bad cable "
        "or optic, a full queue, a broken line card"
    ),
    "one of several servers, or the link to it, loses packets",
)

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "flows.duplicate_address",
        "two hosts have the same address",
        "This kernel's entry for the address changed between two MAC addresses, and back.",
        Location.INTERMEDIARY,
        (
            "two hosts or containers were given the same IP address by mistake",
            "a failover (VRRP, keepalived) in which both hosts believe to be the active one",
        ),
        (
            "find the hosts with these MAC addresses: ip neigh; the switch's table",
            "arping -D -I INTERFACE ADDRESS answers if a host other than this one has it",
            "give one of the two another address, then: ip neigh flush to ADDRESS",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "flows.moved",
        "connections move to another server",
        (
            "Established connections were reset, and a new connection from the same "
            "source port reached another instance, while the first one still answers: two "
            "instances receive the packets of one address by turns."
        ),
        Location.INTERMEDIARY,
        (
            (
                "equal paths (ECMP, anycast) lead to several servers with one address, and "
                "flows are hashed anew whenever a path comes or goes"
            ),
            (
                "a load balancer, or a cluster of them, does not remember which server a "
                "connection belongs to"
            ),
            "two hosts have the same address",
        ),
        (
            "check whether routes to the address come and go: ip monitor route; BGP sessions",
            "use consistent hashing, or share the connection table between balancers",
            "connect to each server's own address: are connections stable there?",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "flows.interrupted",
        "connections in use are interrupted",
        (
            "Of several connections with an exchange every 150 ms, some ended without a "
            "reason, while the same server answered new ones."
        ),
        Location.INTERMEDIARY,
        (
            "a proxy or firewall ends connections after a time, or resets them at random",
            (
                "a firewall or NAT forgets connections that are in use: its table is full, "
                "or its rules were loaded anew"
            ),
            "a device for intrusion prevention resets connections",
        ),
        (
            (
                "check whether they end after the same time or number of bytes: netduet "
                "check --profile full --checks idle,stream"
            ),
            "look at the logs and limits of proxies and firewalls in between",
            "check the connection table: conntrack -S, dmesg | grep conntrack",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "flows.table_full",
        "new flows stop passing after a number of them",
        (
            "At first every new flow passed; from some moment on none did, from whichever "
            "source port, while those that had passed before still do. A rate limit would "
            "let new ones pass now and then."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a table of connections on the path is full (nf_conntrack: table full, "
                "dropping packet; a firewall's or NAT's session table)"
            ),
            "a NAT has no free source port left for this destination",
        ),
        (
            (
                "check the table on each device on the path: sysctl "
                "net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; dmesg"
            ),
            "enlarge the table, or shorten its timeouts",
            "find what holds so many flows open; reuse connections",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "flows.dead",
        "some flows never pass: it depends on the source port",
        (
            "Connections from some source ports got no response, however often they were "
            "tried again from the same port, while those from other ports passed at the "
            "same time. Chance does not explain it."
        ),
        Location.INTERMEDIARY,
        _PATH_CAUSES,
        _PATH_STEPS,
        severity=Severity.STALL,
    ),
    Failure(
        "flows.port_range",
        "connections from a range of source ports never pass",
        (
            "Connections from all source ports of a range got no response, and those from "
            "all others passed."
        ),
        Location.INTERMEDIARY,
        _RANGE_CAUSES,
        _RANGE_STEPS,
        severity=Severity.STALL,
    ),
    Failure(
        "flows.black_hole",
        "full-size packets of some flows vanish",
        (
            "Over some connections no full-size packet passed, however often it was sent "
            "again, while small ones did. Over the others, full-size packets passed."
        ),
        Location.INTERMEDIARY,
        _HOLE_CAUSES,
        _HOLE_STEPS,
        severity=Severity.STALL,
    ),
    Failure(
        "flows.loss",
        "some flows lose packets, and others do not",
        (
            "Connections from some source ports, or to one of several instances, lose more "
            "than --max-loss allows, and more than the others; chance does not explain the "
            "difference."
        ),
        Location.INTERMEDIARY,
        _LOSS_CAUSES,
        _PATH_STEPS,
        severity=Severity.STALL,
    ),
    Failure(
        "flows.udp_dead",
        "datagrams of some flows never pass, by source port",
        (
            "Datagrams from some source ports got no response, however often they were "
            "sent again from the same port, while those from other ports did."
        ),
        Location.INTERMEDIARY,
        (
            "a stale entry for these flows in a NAT, firewall or connection table",
            *_PATH_CAUSES[:2],
        ),
        (
            (
                "delete the entries of the failing source ports: conntrack -D -p udp "
                "--sport PORT"
            ),
            *_PATH_STEPS[:2],
        ),
        severity=Severity.STALL,
        need=Need.UDP,
        consequence=_UDP,
    ),
    Failure(
        "flows.udp_first_lost",
        "the first datagram of each new flow is lost",
        (
            "The first datagram from nearly every new source port was lost and the second "
            "one passed, while those from known source ports passed at the same time: "
            "this is neither random loss nor an outage."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a virtual switch, tunnel, router or NAT sets up each new flow, and loses "
                "the first packet instead of keeping it"
            ),
            "a flood protection drops the first datagram of each flow on purpose",
        ),
        (
            (
                "capture at both ends: the first datagram of a source port leaves; does "
                "it arrive? tcpdump udp port PORT"
            ),
            (
                "on virtual switches, look at the packets lost between kernel and "
                "userspace: ovs-dpctl show"
            ),
            "let clients keep their source port, or send twice at the beginning",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence=(
            "each DNS query from a new port waits for its timeout, 5 s with glibc; QUIC "
            "and calls begin late"
        ),
    ),
    Failure(
        "flows.udp_port_range",
        "datagrams from a range of source ports never pass",
        (
            "Datagrams from all source ports of a range got no response, and those from "
            "all others did."
        ),
        Location.INTERMEDIARY,
        _RANGE_CAUSES,
        _RANGE_STEPS,
        severity=Severity.STALL,
        need=Need.UDP,
        consequence=_UDP,
    ),
    Failure(
        "flows.udp_black_hole",
        "full-size datagrams of some flows vanish",
        (
            "From some source ports no full-size datagram passed, while small ones did. "
            "From the others, full-size datagrams passed."
        ),
        Location.INTERMEDIARY,
        _HOLE_CAUSES,
        _HOLE_STEPS,
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="large datagrams of some flows vanish: DNS, QUIC and VPNs stall",
    ),
    Failure(
        "flows.udp_loss",
        "datagrams of some flows are lost, and those of others are not",
        (
            "Datagrams from some source ports, or to one of several instances, are lost "
            "more often than --max-loss allows, and than those of the others; chance does "
            "not explain the difference."
        ),
        Location.INTERMEDIARY,
        _LOSS_CAUSES,
        _PATH_STEPS,
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="some calls or streams over UDP are bad for as long as they last",
    ),
)
