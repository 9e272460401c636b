"""The failures that the check ``udp`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "udp.silent",
        "datagrams get no answer",
        "Connections work; datagrams to the same address were sent several times, and "
        "neither an answer nor an ICMP error came back.",
        Location.UNKNOWN,
        (
            "a firewall, security group or network policy lets TCP through and drops UDP",
            "the answers are dropped on the way back (a firewall that knows no UDP flows)",
            "a balancer or published port in front carries TCP alone",
        ),
        (
            "check the rules for UDP on the port, in both directions",
            "look whether the port is published for UDP too: docker port, PORT:PORT/udp",
            "capture on the server (tcpdump udp port PORT): do the datagrams arrive?",
        ),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.rejected",
        "datagrams are refused",
        "An ICMP error, or this host's own kernel, refused the datagrams; connections to "
        "the same address work.",
        Location.INTERMEDIARY,
        (
            "nothing listens for datagrams there: the server was started with udp=false",
            "a firewall rejects UDP (REJECT)",
            "the port is published for TCP alone",
        ),
        (
            "look what listens on the server: ss -uln; NETDUET_SERVER_UDP",
            "check the rules for UDP on the host that sent the ICMP error",
        ),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.not_netduet",
        "another program answers datagrams",
        "Connections reach the right server; datagrams to the same address reach "
        "another program.",
        Location.SERVER,
        (
            "another program has the port for UDP (ports of TCP and UDP are not one)",
            "a balancer leads TCP and UDP to different places",
        ),
        ("look what listens on the server for UDP: ss -ulnp",),
        severity=Severity.DATAGRAMS,
        aliases=("udp.stranger",),
    ),
    Failure(
        "udp.misaddressed",
        "datagrams are answered from another address or port",
        "An answer came, but not from the address the question was sent to: a program "
        "with a connected socket, and most firewalls, never see it.",
        Location.INTERMEDIARY,
        (
            "a NAT or balancer translates the questions and not the answers",
            "the answers take another way back, past whatever translated the questions",
        ),
        (
            "have the answers take the way of the questions: same NAT, same balancer",
            "look what the NAT remembers: conntrack -L -p udp",
            "capture on this host (tcpdump udp): from which address and port do they come?",
        ),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.unsent",
        "this host sends too few datagrams",
        "Too few datagrams left this host in time to say anything about the network.",
        Location.CLIENT,
        (
            "this host is short of CPU, or a CPU limit holds this process back",
            "this host's own sending queue is full, or its firewall drops datagrams",
        ),
        ("run the check again on a host that is less busy",),
        severity=Severity.PROBE,
    ),
    Failure(
        "udp.loss",
        "datagrams are lost",
        "More datagrams were lost in one direction than allowed (--max-loss), as "
        "counted at both ends, and chance does not explain it.",
        Location.INTERMEDIARY,
        (
            (
                "a link on the way is overloaded, or limited to a rate: this check sends 500 "
                "datagrams of 200 bytes a second, about 1 Mbit/s"
            ),
            "a bad cable, radio link or network card",
        ),
        (
            "run the check again with --profile full, in quiet and in busy hours",
            "look for drops on each interface of the way: ip -s link, tc -s qdisc",
        ),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.overflow",
        "a receiver cannot keep up with the datagrams",
        "Datagrams arrived, and the receiving end let its buffer overflow: this says "
        "nothing about the network.",
        Location.UNKNOWN,
        (
            "that end is short of CPU, or a CPU limit holds it back",
            "others send it more than it can take",
        ),
        (
            "give that end more CPU, and run the check again",
            "look at its sockets' drops: ss -uanm (d), nstat -az UdpRcvbufErrors",
        ),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.duplicated",
        "datagrams are duplicated",
        "A large part of the datagrams arrived more than once.",
        Location.INTERMEDIARY,
        (
            "the network has a loop, or a bond that sends on all its links",
            "a switch or a virtual network mirrors traffic to the receiver itself",
        ),
        ("capture at the receiver: do the copies come from different MAC addresses?",),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.reordered",
        "datagrams are reordered",
        "A large part of the datagrams arrived out of order.",
        Location.INTERMEDIARY,
        (
            "packets are spread over several links one by one, not flow by flow",
            "a device on the way handles one flow on several processors",
        ),
        (
            "have links chosen by addresses and ports (layer3+4), not in turn (round-robin)",
        ),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.black_hole",
        "large datagrams are lost without an ICMP error",
        "Datagrams above a certain length are dropped and their sender is not told, while "
        "small ones pass (an MTU black hole).",
        Location.INTERMEDIARY,
        (
            (
                "a link on the way has a smaller MTU than the ends (overlay, VPN, tunnel), "
                "and the ICMP message that would say so is dropped"
            ),
            "the two ends of one link have different MTUs",
            "a firewall or a broken device drops datagrams by their length",
        ),
        (
            "set the MTU that the check names where both ends are attached",
            "let ICMP 'fragmentation needed' and ICMPv6 'packet too big' pass",
            "find the router at which it happens: tracepath -n ADDRESS",
        ),
        severity=Severity.DATAGRAMS,
    ),
    Failure(
        "udp.fragments",
        "fragments are dropped",
        "Datagrams that fit into one packet pass; larger ones, sent in fragments, "
        "never arrive.",
        Location.INTERMEDIARY,
        (
            "a firewall, balancer or cloud network drops fragments on purpose",
            (
                "a balancer sends the fragments of one datagram to different places: "
                "only the first one has ports"
            ),
        ),
        (
            "let fragments pass, or put them together on the way (conntrack does)",
            "keep datagrams small: DNS over UDP at 1232 bytes, tunnels with a lower MTU",
        ),
        severity=Severity.DATAGRAMS,
    ),
)
