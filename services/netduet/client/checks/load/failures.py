"""The failures that the check ``load`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.needs import Need

_ALONE: Final = "run --checks load --profile full while nothing else uses the path"

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "load.stalled",
        "transfers stop under load",
        (
            "During bulk transfers, no connection made progress for several seconds, "
            "although small packets had passed before."
        ),
        Location.UNKNOWN,
        (
            "a shaper, policer or firewall drops everything above a certain rate",
            "a link on the path failed, or its queue is full of other traffic",
            "the path drops packets of a certain size: the size check finds it",
        ),
        (
            "look at the size check first: its findings explain this",
            "check the drop counters of the interfaces and shapers on the path",
            _ALONE,
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "load.slow",
        "throughput is below the required rate",
        "The rate measured at the receiver is below the required one (--min-rate).",
        Location.INTERMEDIARY,
        (
            "a shaper or policer on the path caps the rate",
            "a link on the path is slow, or shared with others",
            "packets are lost, and TCP slows down",
        ),
        (
            (
                "see in which direction the rate is low, and whether a note says that "
                "it is steady (a cap)"
            ),
            (
                "look for rate limits on the path: tc, the cloud instance type, the "
                "subscription plan"
            ),
            _ALONE,
        ),
        severity=Severity.PERFORMANCE,
        need=Need.RATE,
        consequence="transfers take longer than required",
    ),
    Failure(
        "load.loss",
        "bulk transfers lose many packets",
        (
            "So many packets of a bulk transfer were lost and sent again that TCP "
            "waits more than it sends. Single packets are lost as well, so no burst "
            "is to blame."
        ),
        Location.INTERMEDIARY,
        (
            "a bad cable, radio link or interface loses packets at random",
            "a link on the path is overloaded by other traffic",
            "packets arrive with a wrong checksum, and the receiver drops them",
        ),
        (
            "compare with the udp check: does it lose as many datagrams?",
            (
                "look at error and drop counters on the path and at both ends: ip -s "
                "link, nstat -az TcpInCsumErrors"
            ),
            _ALONE,
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "load.policed",
        "bursts are dropped: a policer, or a very short queue",
        (
            "Packets that are sent in a row are dropped, the same packets one at a time "
            "pass, and no queue delays them. TCP sends in bursts, so it gets a "
            "fraction of the permitted rate."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a policer drops bursts that exceed its rate and bucket (tc police, a "
                "cloud's or carrier's limit)"
            ),
            "a device on the path has a queue of a few packets only",
            "a fast link leads into a slow one without a buffer",
        ),
        (
            (
                "replace the policer by a shaper, or give it a larger burst: one RTT at "
                "its rate, and at least 64 KiB"
            ),
            "pace the sender: tc qdisc replace dev eth0 root fq maxrate RATE",
            "look at the drop counters of policers and queues: tc -s qdisc, tc -s filter",
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "load.offload",
        "packets that are sent together are lost, single ones pass",
        (
            "Two or more segments in one send are lost each time, and pass when they "
            "are sent again one at a time. Segmentation offload handles the first, not "
            "the second."
        ),
        Location.INTERMEDIARY,
        (
            (
                "segmentation or checksum offload (TSO, GSO, tx-checksum) of a card, "
                "driver or tunnel is broken"
            ),
            "a policer on the path has a bucket smaller than two packets",
        ),
        (
            "disable offloads at the sender and try again: ethtool -K DEV tso off gso off tx off",
            "if nothing changes, look for a policer: tc -s filter show dev DEV ingress",
            "capture at the receiver: tcpdump -v shows 'incorrect' checksums",
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "load.small_window",
        "the receive window that the sender sees is too small",
        (
            "The receiver's window, as the sender knows it, is smaller than the first "
            "flight of a connection (RFC 6928), or lacks the scale that a long path "
            "needs (RFC 7323), although the receiver reads at once. Each round trip "
            "carries no more than that."
        ),
        Location.INTERMEDIARY,
        (
            "a device on the path changes or removes the window scale option, or changes the window",
            "the receiver's host has very small buffers (net.ipv4.tcp_rmem)",
        ),
        (
            "look at the path check first: it compares the window scales of both ends",
            "compare the windows at both ends: ss -ti shows wscale, snd_wnd and rcv_wnd",
            "look at the buffers of the receiving host: sysctl net.ipv4.tcp_rmem",
        ),
        severity=Severity.PERFORMANCE,
    ),
    Failure(
        "load.quota",
        "each connection stops after the same number of bytes",
        (
            "Several connections, and one more that was made afterwards, stopped after "
            "the same number of bytes. New connections work, so the limit counts the bytes of "
            "a connection, not its rate."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall rule drops connections that exceed a number of bytes (connbytes, quota)",
            "an inspecting firewall or proxy stops when its buffer for a connection is full",
        ),
        (
            (
                "look for that number in rules on the path: iptables -S | grep connbytes, "
                "nft list ruleset | grep -e quota -e 'ct bytes'"
            ),
            "exempt the server's address from deep inspection, and try again",
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "load.shared_quota",
        "after a number of bytes, nothing of TCP passes any more",
        (
            "A transfer stopped on all connections at once, and afterwards no new one "
            "could be made, while datagrams passed: a budget of bytes that all connections "
            "share is used up, or TCP as a whole is blocked since then."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a quota of bytes for this client, link or rule is used up (iptables -m "
                "quota, nft quota, a hotspot's or a provider's volume)"
            ),
            "a firewall or flood protection has blocked this client because of the load",
            "a device on the path fails under load, for TCP alone",
        ),
        (
            (
                "try again in a minute and look at when it stops: a quota stays used up, a "
                "block ends by itself, and a device that fails does so after other amounts"
            ),
            (
                "look for quotas and automatic blocks on the path: iptables -L -v -n | "
                "grep quota, nft list quotas, fail2ban-client status"
            ),
        ),
        severity=Severity.STALL,
    ),
    Failure(
        "load.cut",
        "connections break under load",
        (
            "A connection that carried bulk data ended, although the server had not "
            "announced it."
        ),
        Location.INTERMEDIARY,
        (
            "a proxy, load balancer or firewall ends connections that carry a lot of data",
            "the server was stopped or killed during the check",
        ),
        (
            "check the logs of proxies and firewalls on the path",
            "connect directly to the server's address, bypassing any proxy or load balancer",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "load.changed",
        "bulk data is altered in transit",
        "Bytes of a transfer differ from those that were sent.",
        Location.INTERMEDIARY,
        (
            "broken hardware or checksum offload changes bytes",
            "a proxy or tunnel alters what it carries",
        ),
        (
            "disable checksum offload at one end, then at the other (ethtool -K)",
            "run the size check, which shows where and how much",
        ),
        severity=Severity.DATA,
    ),
)
