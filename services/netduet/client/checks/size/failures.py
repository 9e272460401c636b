"""The failures that the check ``size`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "size.black_hole",
        "large packets are lost without an ICMP error",
        "Packets above a certain length are dropped and their sender is not told (an "
        "MTU black hole): connections open, small exchanges work, large transfers "
        "hang.",
        Location.TO_SERVER,
        (
            (
                "a link on the way has a smaller MTU than the ends (overlay, VPN, tunnel, "
                "PPPoE), and a firewall drops the ICMP message that would say so"
            ),
            "the two ends of one link have different MTUs",
            "a firewall or a broken device drops packets by their length",
        ),
        (
            (
                "set the MTU that the check names where both ends are attached: ip link set DEVICE "
                "mtu N, or the option com.docker.network.driver.mtu of the network"
            ),
            "let ICMP 'fragmentation needed' and ICMPv6 'packet too big' pass",
            (
                "have a router on the way clamp TCP's segments: iptables -t mangle "
                "-A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
            ),
            "find the router at which it happens: tracepath -n ADDRESS",
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
                "a proxy, tunnel or firewall on the way takes the bytes and stops handing "
                "them on"
            ),
            "so many packets are lost that TCP does not get through",
            "a firewall passes the first packets of a connection, and drops what follows",
            "the program at the receiving end hangs, or is starved of CPU",
        ),
        (
            "ask the server's own address, past any proxy or balancer",
            "run the check again: does it stop at the same size?",
            "capture at both ends (tcpdump tcp port PORT): who is the last to answer?",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "size.cut",
        "connections end while they carry data",
        "A connection ended before all of its data had arrived, more than once in a "
        "row.",
        Location.INTERMEDIARY,
        (
            (
                "a proxy or firewall cuts connections that carry more than it allows, or what "
                "it does not know"
            ),
            "the server is being stopped, or crashes",
        ),
        (
            "look at the server's log: who ended the connection there, and how?",
            "ask the server's own address, past any proxy or balancer",
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
                "a proxy, tunnel or firewall on the way rewrites what it carries (text "
                "conversion, content filters, address translation of old protocols)"
            ),
            "a network card or a virtual switch with broken memory or offloading",
        ),
        (
            "compare checksums at both ends of each hop, or take the hops away by turns",
            (
                "switch offloading off at both ends and try again: ethtool -K DEVICE "
                "tx off rx off gso off gro off"
            ),
        ),
        severity=Severity.DATA,
    ),
)
