"""Faults of options, bulk data, first packets and budgets: conditions and proxies."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from tests.lab.conditions import UP, Condition, Rule, Way
from tests.lab.middleboxes import (
    Behaviour,
    Dial,
    end_sending,
    relay,
    resets_forwarded,
    wait_for_all,
)
from tests.lab.unusual_faults import both_families

_CHUNK: Final = 65536
_FLOW: Final = "srcip,srcport,dstip,dstport"


# Options


def scaling_stripped(way: Way) -> Condition:
    """Take the window scale off SYNs (up), or off the answers to them (down)."""
    flags = "SYN,ACK SYN" if way == UP else "SYN,ACK SYN,ACK"
    return both_families(
        "mangle",
        f"-A FORWARD -o {way} -p tcp --tcp-flags {flags} -j TCPOPTSTRIP "
        "--strip-options wscale",
    )


def ecn_requested() -> Condition:
    """Have the client ask for ECN."""
    return Condition(settings=(("client", "net.ipv4.tcp_ecn=1"),))


def ecn_syns_dropped() -> Condition:
    """Drop SYNs that ask for ECN."""
    return both_families(
        "filter",
        f"-A FORWARD -o {UP} -p tcp --tcp-flags SYN,ACK SYN -m ecn --ecn-tcp-ece "
        "-j DROP",
    )


def fast_open_set(value: int) -> Condition:
    """Set what the client does about TCP Fast Open."""
    return Condition(settings=(("client", f"net.ipv4.tcp_fastopen={value}"),))


def fast_open_syns_dropped() -> Condition:
    """Drop SYNs with the option of TCP Fast Open (kind 34, RFC 7413)."""
    return both_families(
        "filter",
        f"-A FORWARD -o {UP} -p tcp --tcp-flags SYN,ACK SYN --tcp-option 34 -j DROP",
    )


def ecn_marked_dropped(way: Way) -> Condition:
    """Drop packets that are marked as ECN-capable (ECT(0), 2)."""
    return both_families(
        "filter", f"-A FORWARD -o {way} -p tcp -m ecn --ecn-ip-ect 2 -j DROP"
    )


# Bulk data


def policed(packets: int, burst: int, way: Way) -> Condition:
    """Drop what exceeds a rate (packets per second) and a bucket, without a queue."""
    limit = f"--hashlimit-above {packets}/sec --hashlimit-burst {burst}"
    return both_families(
        "filter",
        f"-A FORWARD -o {way} -p tcp -m hashlimit {limit} --hashlimit-name {way} "
        "-j DROP",
    )


def merged_dropped(way: Way) -> Condition:
    """Drop what a sender's offload makes of several segments, as a broken card does."""
    return both_families(
        "filter",
        f"-A FORWARD -o {way} -p tcp -m length --length 1501:65535 -j DROP",
    )


def slow_kilobits(kilobits: int, way: Way, queue_ms: int) -> Condition:
    """Limit the link this way to a rate, with a queue of this many milliseconds."""
    bucket = f"rate {kilobits}kbit burst 3kb latency {queue_ms}ms"
    return Condition(queues=(f"qdisc add dev {way} root tbf {bucket}",))


# Contents

_PAYLOAD: Final = "0>>22&0x3C@12>>26&0x3C@"
"""xt_u32: behind the IP header and the TCP header."""


def opening_dropped(way: Way, *, reset: bool) -> Condition:
    """Drop, or reset, what begins with netduet's magic, as an inspecting firewall does."""
    match = f'-o {way} -p tcp -m u32 --u32 "{_PAYLOAD}0=0x9e4e4454"'
    action = "REJECT --reject-with tcp-reset" if reset else "DROP"
    return Condition(ipv4=(Rule("filter", f"-A FORWARD {match} -j {action}"),))


def byte_dropped(way: Way) -> Condition:
    """Drop full packets with two certain bytes anywhere in their data."""
    match = '-m length --length 1400:1500 -m string --algo bm --from 80 --hex-string "|5ac3|"'
    return Condition(
        ipv4=(Rule("filter", f"-A FORWARD -o {way} -p tcp {match} -j DROP"),)
    )


# First packets


def first_packet_lost(protocol: str = "tcp") -> Condition:
    """Lose the first packet of each flow on the way up, and pass all that follow."""
    known = (
        "-m hashlimit --hashlimit-above 1/day --hashlimit-burst 1 --hashlimit-mode "
        f"{_FLOW} --hashlimit-htable-expire 120000 --hashlimit-name first_{protocol}"
    )
    rules = tuple(
        Rule("filter", f"-A FORWARD -o {UP} -p {protocol} {text}")
        for text in (f"{known} -j ACCEPT", "-j DROP")
    )
    return Condition(ipv4=rules, ipv6=rules)


def wait_first(seconds: float) -> Behaviour:
    """Look the client up before anything else, in vain, for so many seconds."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        await asyncio.sleep(seconds)
        await relay(client, await connect())

    return behave


async def delay_small_segments(client: socket.socket, connect: Dial) -> None:
    """Forward with Nagle's algorithm (RFC 9293 §3.7.4), to servers that delay ACKs."""
    server = await connect()
    for sock in (client, server):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    await relay(client, server)


def hold_small_writes(size: int, seconds: float) -> Behaviour:
    """Forward pieces of at least ``size`` bytes, or what there is after a time."""

    async def carry(source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        held, ended = b"", False
        while not (ended and not held):
            try:
                timeout = seconds if held else None
                async with asyncio.timeout(timeout):
                    data = await loop.sock_recv(source, _CHUNK)
            except TimeoutError:
                due = True
            else:
                held += data
                ended = not data
                due = ended or len(held) >= size
            if held and due:
                await loop.sock_sendall(sink, held)
                held = b""
        end_sending(sink)

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        with resets_forwarded(client, server):
            await wait_for_all(carry(client, server), carry(server, client))

    return behave


# Budgets


def flows_remembered(count: int) -> Condition:
    """Remember so many flows for two minutes, and drop SYNs of further ones.

    A hash that is full drops what it cannot remember (xt_hashlimit.c, hotdrop).
    """
    table = (
        "-m hashlimit --hashlimit-upto 10000/sec --hashlimit-burst 10000 "
        f"--hashlimit-mode {_FLOW} --hashlimit-htable-size {count} "
        f"--hashlimit-htable-max {count} "
        "--hashlimit-htable-expire 120000 --hashlimit-name table"
    )
    rules = (Rule("filter", f"-A FORWARD -o {UP} -p tcp --syn {table} -j ACCEPT"),)
    return Condition(ipv4=rules, ipv6=rules)


def quota_of_all(kilobytes: int, protocol: str = "tcp") -> Condition:
    """Pass this amount of all connections together, and drop the rest for good."""
    rules = tuple(
        Rule("filter", f"-A FORWARD -p {protocol} {text}")
        for text in (f"-m quota --quota {kilobytes * 1024} -j ACCEPT", "-j DROP")
    )
    return Condition(ipv4=rules, ipv6=rules)


def dropped_after(kilobytes: int) -> Condition:
    """Drop all packets of a connection that has carried this amount."""
    match = (
        f"--connbytes {kilobytes * 1024}: --connbytes-dir both --connbytes-mode bytes"
    )
    drop = both_families("filter", f"-A FORWARD -p tcp -m connbytes {match} -j DROP")
    counting = (("router", "net.netfilter.nf_conntrack_acct=1"),)
    return Condition(drop.ipv4, drop.ipv6, settings=counting)
