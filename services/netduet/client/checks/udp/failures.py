"""The failures that the check ``udp`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.needs import Need

# Facts: docs.docker.com "Publishing ports" (without /udp, a port is published for TCP),
# nginx.org ngx_stream_core_module (listen … udp), kubernetes.io "Service" (protocol:
# TCP unless UDP is named), AWS "Listeners for your NLB" (TCP, UDP, TCP_UDP).
_NO_UDP: Final = (
    "programs that use UDP (DNS, QUIC, NTP, syslog) do not work here: a port is carried "
    "for TCP alone unless UDP is named, as in docker run -p PORT:PORT/udp, nginx listen "
    "PORT udp, a Service port with protocol: UDP"
)

_NO_UDP_PORT: Final = (
    "the Service, or a load balancer in front, has the port for TCP alone: TCP is the "
    "default protocol of a Service's port"
)
_HAS_UDP_PORT: Final = (
    "check whether the Service has the port for UDP, too: kubectl describe service "
    "SERVICE (protocol: UDP)"
)

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "udp.silent",
        "datagrams get no response",
        (
            "Connections work; datagrams to the same address were sent several times, "
            "and neither a response nor an ICMP error came back."
        ),
        Location.UNKNOWN,
        (
            "a firewall, security group or network policy lets TCP through and drops UDP",
            (
                "the responses are dropped on the way back (a firewall that does not "
                "track UDP flows)"
            ),
            Advice(
                "a load balancer, proxy or published port in front carries only TCP: "
                "docker run -p without /udp, HAProxy, nginx stream without listen udp, "
                "socat TCP-LISTEN",
                pod=_NO_UDP_PORT,
            ),
        ),
        (
            "check the rules for UDP on the port, in both directions",
            Advice(
                "check whether the port is published for UDP too: docker port, "
                "PORT:PORT/udp",
                pod=_HAS_UDP_PORT,
            ),
            "capture on the server (tcpdump udp port PORT): do the datagrams arrive?",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence=_NO_UDP,
        by_proxy=True,
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
            Advice(
                "the port is published or proxied only for TCP: docker run -p without "
                "/udp, HAProxy, nginx stream without listen udp, socat TCP-LISTEN",
                pod=_NO_UDP_PORT,
            ),
        ),
        (
            "check what listens on the server: ss -uln; NETDUET_SERVER_UDP",
            "check the rules for UDP on the host that sent the ICMP error",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence=_NO_UDP,
        by_proxy=True,
    ),
    Failure(
        "udp.tcp_alone",
        "this host publishes the port for TCP alone",
        (
            "The address is this host's own, and connections to it lead to a server "
            "elsewhere: the port is published or forwarded here, but not for UDP."
        ),
        Location.CLIENT,
        (
            Advice(
                "the port is published without /udp: docker run -p PORT:PORT means TCP",
                pod=_NO_UDP_PORT,
            ),
            "the proxy or rule of this host that leads on is for TCP alone",
        ),
        (
            Advice(
                "publish it for UDP too: docker run -p PORT:PORT/tcp -p PORT:PORT/udp",
                pod=_HAS_UDP_PORT,
            ),
            "if no application uses UDP, say so: --for http, or --need tcp",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence=_NO_UDP,
    ),
    Failure(
        "udp.not_netduet",
        "another program responds to datagrams",
        "Connections reach the right server; datagrams to the same address reach "
        "another program.",
        Location.SERVER,
        (
            "another program uses the UDP port (TCP and UDP ports are separate)",
            "a load balancer forwards TCP and UDP to different servers",
        ),
        ("check what listens on the server for UDP: ss -ulnp",),
        severity=Severity.DATAGRAMS,
        aliases=("udp.stranger",),
        need=Need.UDP,
        consequence="clients that use UDP reach another program than those that use TCP",
    ),
    Failure(
        "udp.misaddressed",
        "datagrams are answered from another address or port",
        (
            "A response came, but not from the address that the request was sent to: "
            "programs with a connected socket, and most firewalls, discard it."
        ),
        Location.INTERMEDIARY,
        (
            "a NAT or load balancer translates the requests but not the responses",
            (
                "the responses take another path, bypassing the device that "
                "translated the requests"
            ),
        ),
        (
            "route the responses through the same NAT or load balancer as the requests",
            "check the NAT's table: conntrack -L -p udp",
            (
                "capture on this host (tcpdump udp): from which address and port do "
                "the responses come?"
            ),
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="programs that use UDP discard the responses",
    ),
    Failure(
        "udp.unsent",
        "this host sends too few datagrams",
        "Too few datagrams left this host in time to say anything about the network.",
        Location.CLIENT,
        (
            "this host is short of CPU, or a CPU limit throttles this process",
            "this host's own send queue is full, or its firewall drops datagrams",
        ),
        ("run the check again on a host that is less busy",),
        severity=Severity.PROBE,
        need=Need.UDP,
        consequence="how UDP works on this path is not known",
    ),
    Failure(
        "udp.loss",
        "datagrams are lost",
        (
            "More datagrams were lost in one direction than --max-loss allows, as counted at both ends, and more than chance would explain."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a link on the path is overloaded or rate-limited: this check sends "
                "500 datagrams of 200 bytes per second, about 1 Mbit/s"
            ),
            "a bad cable, radio link or network card",
        ),
        (
            "run the check again with --profile full, at quiet and at busy times",
            "look for drops on each interface along the path: ip -s link, tc -s qdisc",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="programs that use UDP lose data, or wait for retries (DNS resolvers: seconds)",
    ),
    Failure(
        "udp.overflow",
        "a receiver cannot keep up with the datagrams",
        (
            "Datagrams arrived, but the receive buffer at that end overflowed: this "
            "says nothing about the network."
        ),
        Location.UNKNOWN,
        (
            "that end is short of CPU, or a CPU limit throttles it",
            "others send it more than it can handle",
        ),
        (
            "give that end more CPU, and run the check again",
            "check its sockets' drops: ss -uanm (d), nstat -az UdpRcvbufErrors",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="a program that reads too slowly loses datagrams",
    ),
    Failure(
        "udp.duplicated",
        "datagrams are duplicated",
        "A large share of the datagrams arrived more than once.",
        Location.INTERMEDIARY,
        (
            "the network has a loop, or a bond that sends on all its links",
            "a switch or a virtual network mirrors traffic to the receiver itself",
        ),
        (
            "capture traffic at the receiver: do the copies come from different MAC addresses?",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="programs that use UDP and do not recognise duplicates act twice",
    ),
    Failure(
        "udp.reordered",
        "datagrams are reordered",
        "A large share of the datagrams arrived out of order.",
        Location.INTERMEDIARY,
        (
            "packets are spread over several links per packet, not per flow",
            "a device on the path handles one flow on several processors",
        ),
        ("select links by addresses and ports (layer3+4), not round-robin",),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="programs that use UDP and expect an order (RTP, syslog) mix data up",
    ),
    Failure(
        "udp.black_hole",
        "large datagrams are lost without an ICMP error",
        (
            "Datagrams above a certain length are dropped silently, while small ones get through (an MTU black hole)."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a link on the path has a smaller MTU than the ends (overlay, VPN, "
                "tunnel), and the ICMP message that would report it is dropped"
            ),
            "the two ends of one link have different MTUs",
            "a firewall or a broken device drops datagrams by their length",
        ),
        (
            "on the interfaces at both ends, set the MTU to the value that the check reports",
            "let ICMP 'fragmentation needed' and ICMPv6 'packet too big' pass",
            "find the router that drops the packets: tracepath -n ADDRESS",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="large datagrams never arrive: DNS responses with DNSSEC, tunnels, QUIC with a large packet size",
    ),
    Failure(
        "udp.fragments",
        "fragments are dropped",
        "Datagrams that fit into one packet get through; larger ones, sent in "
        "fragments, never arrive.",
        Location.INTERMEDIARY,
        (
            "a firewall, load balancer or cloud network drops fragments on purpose",
            (
                "a load balancer sends the fragments of one datagram to different servers, "
                "because only the first one has ports"
            ),
        ),
        (
            "let fragments pass, or reassemble them on the path (conntrack does)",
            "keep datagrams small: DNS over UDP at 1232 bytes, tunnels with a lower MTU",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.UDP,
        consequence="datagrams above the MTU never arrive: large DNS responses, Kerberos, SIP over UDP",
    ),
)
