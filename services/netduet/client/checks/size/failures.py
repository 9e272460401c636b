"""The failures that the check ``size`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "size.black_hole",
        "large packets are lost without an ICMP error",
        "Packets above a certain length are dropped without notifying the sender (an "
        "MTU black hole): connections open, small exchanges work, large transfers "
        "hang.",
        Location.TO_SERVER,
        (
            (
                "a link on the path has a smaller MTU than the ends (overlay, VPN, "
                "tunnel, PPPoE), and a firewall drops the ICMP message that would "
                "report it"
            ),
            "the two ends of one link have different MTUs",
            "a firewall or a broken device drops packets because of their length",
        ),
        (
            Advice(
                "on the interfaces at both ends, set the MTU to the value that the check reports: "
                "ip link set DEVICE mtu N",
                container=(
                    "set the MTU to the value that the check reports: ip link set DEVICE "
                    "mtu N, or the option com.docker.network.driver.mtu of the network"
                ),
                pod=(
                    "lower the MTU of the network plugin to the value that the check "
                    "reports, and create the pods again"
                ),
            ),
            "let ICMP 'fragmentation needed' and ICMPv6 'packet too big' pass",
            (
                "have a router on the path clamp the MSS: iptables -t mangle -A "
                "FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
            ),
            "find the router that drops the packets: tracepath -n ADDRESS",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "size.stalled",
        "a transfer stalls",
        "Connections open and carry some data; at some size the transfer stops, in a "
        "way that does not match an MTU black hole.",
        Location.UNKNOWN,
        (
            (
                "a proxy, tunnel or firewall on the path accepts data and stops "
                "forwarding it"
            ),
            "so many packets are lost that TCP makes no progress",
            "a firewall passes the first packets or bytes of a connection and drops the rest",
            "the program at the receiving end hangs, or is starved of CPU",
        ),
        (
            "connect directly to the server's address, bypassing any proxy or load balancer",
            "run the check again: does it stop at the same size?",
            (
                "capture traffic at both ends (tcpdump tcp port PORT) to see which "
                "side stops responding"
            ),
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "size.content_dropped",
        "packets are dropped for what they contain",
        (
            "A transfer stops at the same byte each time it carries the same data, and "
            "passes or stops elsewhere with other data. So certain bytes do not pass, "
            "however often they are sent again."
        ),
        Location.UNKNOWN,
        (
            "an inspecting firewall, virus scanner or proxy drops what it recognises",
            (
                "a broken network card, cable or driver drops or corrupts packets with "
                "certain bit patterns, so that their checksums are wrong"
            ),
        ),
        (
            (
                "look into the log of firewalls and intrusion prevention on the path for "
                "this address and port"
            ),
            (
                "look at the error counters of the cards on the path: ethtool -S DEVICE; "
                "disable their offloads: ethtool -K DEVICE rx off tx off tso off gro off"
            ),
            "capture traffic at both ends (tcpdump tcp port PORT): which packet is missing?",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "size.cut",
        "connections are cut off mid-transfer",
        "A connection ended before all of its data had arrived, more than once in a "
        "row.",
        Location.INTERMEDIARY,
        (
            (
                "a proxy or firewall ends connections that carry more than it allows, "
                "or data that it does not recognize"
            ),
            "the server is being stopped, or crashes",
        ),
        (
            "check the server's log: which side ended the connection there, and how?",
            "connect directly to the server's address, bypassing any proxy or load balancer",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "size.changed",
        "data is altered in transit",
        "The received data differs from the data sent although TCP's checksum is "
        "correct: it was changed on purpose, or by a device that recomputes the "
        "checksum.",
        Location.INTERMEDIARY,
        (
            (
                "a proxy, tunnel or firewall on the path rewrites what it carries "
                "(text conversion, content filters, address translation of old "
                "protocols)"
            ),
            "a network card or a virtual switch with broken memory or offloading",
        ),
        (
            (
                "compare checksums at both ends of each hop, or remove the hops one "
                "at a time"
            ),
            (
                "disable offloading at both ends and try again: ethtool -K DEVICE tx "
                "off rx off gso off gro off"
            ),
        ),
        severity=Severity.DATA,
    ),
)
