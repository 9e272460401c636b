"""Unusual conditions and proxies, for faults that no check targets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from tests.lab.conditions import DOWN, UP, Condition, Rule, Way
from tests.lab.middleboxes import (
    Behaviour,
    Dial,
    end_sending,
    pump,
    relay,
    reset,
    resets_forwarded,
    wait_for_all,
)

_CHUNK: Final = 65536


# Conditions


def both_families(table: str, text: str) -> Condition:
    """Have one rule for both families."""
    rule = Rule(table, text)
    return Condition(ipv4=(rule,), ipv6=(rule,))


def options_stripped(options: str) -> Condition:
    """Take options (names, by commas) off each opening of TCP, both ways."""
    strip = f"-A FORWARD -p tcp --syn -j TCPOPTSTRIP --strip-options {options}"
    answer = strip.replace("--syn", "--tcp-flags SYN,ACK SYN,ACK")
    both_ways = (Rule("mangle", strip), Rule("mangle", answer))
    return Condition(ipv4=both_ways, ipv6=both_ways)


def first_packets_only(packets: int, way: Way) -> Condition:
    """Pass the first packets of each connection this way, and drop all others."""
    direction = "original" if way == UP else "reply"
    match = f"--connbytes {packets + 1}: --connbytes-dir {direction}"
    return both_families(
        "filter",
        f"-A FORWARD -o {way} -p tcp -m connbytes {match} --connbytes-mode packets "
        "-j DROP",
    )


def reset_after(kilobytes: int) -> Condition:
    """Reset each connection after this amount, towards both ends."""
    match = (
        f"--connbytes {kilobytes * 1024}: --connbytes-dir both --connbytes-mode bytes"
    )
    reject = "-j REJECT --reject-with tcp-reset"
    return both_families("filter", f"-A FORWARD -p tcp -m connbytes {match} {reject}")


def pushed_dropped(way: Way) -> Condition:
    """Drop segments with the flag PSH."""
    return both_families(
        "filter", f"-A FORWARD -o {way} -p tcp --tcp-flags PSH PSH -j DROP"
    )


def bare_acks_lost(share: float, way: Way) -> Condition:
    """Lose acknowledgements without data at random."""
    rest = (
        "-p tcp --tcp-flags SYN,FIN,RST,PSH,ACK ACK -m statistic --mode random "
        f"--probability {share} -j DROP"
    )
    return Condition(
        ipv4=(Rule("filter", f"-A FORWARD -o {way} -m length --length 0:60 {rest}"),),
        ipv6=(Rule("filter", f"-A FORWARD -o {way} -m length --length 0:80 {rest}"),),
    )


def short_lived(way: Way) -> Condition:
    """Let packets this way arrive at the router with a TTL of 1."""
    device = DOWN if way == UP else UP
    four, six = ("TTL --ttl-set 1", "HL --hl-set 1")
    rule = f"-A PREROUTING -i {device} -p tcp -j"
    return Condition(
        ipv4=(Rule("mangle", f"{rule} {four}"),),
        ipv6=(Rule("mangle", f"{rule} {six}"),),
    )


def odd_ports_lost(protocol: str, way: Way) -> Condition:
    """Lose flows from odd client ports, as one dead link of two chosen by hash does."""
    # The port at the client's end: the source of what goes up, else the destination.
    four = "0>>22&0x3C@0>>16&2=2" if way == UP else "0>>22&0x3C@0&2=2"
    six = "40>>16&2=2" if way == UP else "40&2=2"
    rule = f"-A FORWARD -o {way} -p {protocol} -m u32 --u32"
    return Condition(
        ipv4=(Rule("filter", f'{rule} "{four}" -j DROP'),),
        ipv6=(Rule("filter", f'{rule} "{six}" -j DROP'),),
    )


def answered_from_elsewhere() -> Condition:
    """Have datagrams answered from another port than they were sent to."""
    zone = "-A PREROUTING -i to_server -p udp -j CT --zone 2"
    nat = "-A POSTROUTING -o to_client -p udp -j {} --to-source {}:4000-4999"
    return Condition(
        ipv4=(
            Rule("raw", zone),
            Rule("nat", nat.format("SNAT", "198.18.2.2")),
        ),
        ipv6=(
            Rule("raw", zone),
            Rule("nat", nat.format("SNAT", "[2001:db8:2::2]")),
        ),
    )


def syns_limited(each_second: int, burst: int) -> Condition:
    """Drop openings of TCP above a rate."""
    limit = f"--hashlimit-above {each_second}/sec --hashlimit-burst {burst}"
    return both_families(
        "filter",
        f"-A FORWARD -o {UP} -p tcp --syn -m hashlimit {limit} --hashlimit-name syn "
        "-j DROP",
    )


def connections_limited(count: int, action: str) -> Condition:
    """Limit the number of a client's connections."""
    rule = f"-A FORWARD -o {UP} -p tcp --syn -m connlimit --connlimit-above {count}"
    return both_families("filter", f"{rule} -j {action}")


def icmp_dropped() -> Condition:
    """Drop all ICMP that is forwarded or said by the router, but neighbours."""
    return Condition(
        ipv4=(
            Rule("filter", "-A FORWARD -p icmp -j DROP"),
            Rule("filter", "-A OUTPUT -p icmp -j DROP"),
        ),
        ipv6=(
            Rule("filter", "-A FORWARD -p icmpv6 -j DROP"),
            Rule("filter", "-A OUTPUT -p icmpv6 --icmpv6-type packet-too-big -j DROP"),
        ),
    )


def only_ipv6(condition: Condition) -> Condition:
    """Have it for IPv6 alone."""
    return Condition(ipv6=condition.ipv6)


def server_setting(line: str) -> Condition:
    """Set a kernel setting at the server's end."""
    return Condition(settings=(("server", line),))


# Proxies


def delay_pieces(seconds: float) -> Behaviour:
    """Hand on each piece late, one after the other."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()

        async def carry(source: socket.socket, sink: socket.socket) -> None:
            loop = asyncio.get_running_loop()
            while data := await loop.sock_recv(source, _CHUNK):
                await asyncio.sleep(seconds)
                await loop.sock_sendall(sink, data)
            end_sending(sink)

        with resets_forwarded(client, server):
            await wait_for_all(carry(client, server), carry(server, client))

    return behave


async def buffer_request(client: socket.socket, connect: Dial) -> None:
    """Hand the request on when it has ended, and not before."""
    loop = asyncio.get_running_loop()
    whole = b""
    while data := await loop.sock_recv(client, _CHUNK):
        whole += data
    server = await connect()
    await loop.sock_sendall(server, whole)
    end_sending(server)
    await pump(server, client)


async def split_pieces(client: socket.socket, connect: Dial) -> None:
    """Hand on the first bytes one by one, and odd pieces after them: all is well."""
    server = await connect()

    async def carry(source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        left = 300
        while data := await loop.sock_recv(source, 1 if left > 0 else 4093):
            left -= len(data)
            await loop.sock_sendall(sink, data)
        end_sending(sink)

    with resets_forwarded(client, server):
        await wait_for_all(carry(client, server), carry(server, client))


def insert_prefix(up: bytes = b"", down: bytes = b"") -> Behaviour:
    """Say something of its own first, to the server or to the client."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        loop = asyncio.get_running_loop()
        if up:
            await loop.sock_sendall(server, up)
        if down:
            await loop.sock_sendall(client, down)
        await relay(client, server)

    return behave


def drop_first_byte(*, up: bool) -> Behaviour:
    """Lose the first byte of one way."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        swallowed = False

        def rest(data: bytes) -> bytes:
            nonlocal swallowed
            data, swallowed = data if swallowed else data[1:], True
            return data

        await relay(
            client, server, up=rest if up else bytes, down=bytes if up else rest
        )

    return behave


def repeat_piece(after: int, *, up: bool) -> Behaviour:
    """Forward a piece twice, after this number of bytes in one direction."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        passed = 0

        def twice(data: bytes) -> bytes:
            nonlocal passed
            before, passed = passed, passed + len(data)
            return data + data[:100] if before < after <= passed else data

        await relay(
            client, server, up=twice if up else bytes, down=bytes if up else twice
        )

    return behave


def stop_after(after: int, how: str, *, up: bool) -> Behaviour:
    """Forward this number of bytes one way; then ``reset``, ``fin`` or ``silence``."""

    async def behave(client: socket.socket, connect: Dial) -> None:
        server = await connect()
        passed = 0
        loop = asyncio.get_running_loop()

        async def carry(source: socket.socket, sink: socket.socket) -> None:
            nonlocal passed
            while data := await loop.sock_recv(source, _CHUNK):
                data = data[: after - passed]
                passed += len(data)
                await loop.sock_sendall(sink, data)
                if passed >= after:
                    if how == "silence":
                        await loop.create_future()
                    if how == "reset":
                        reset(client)
                        reset(server)
                    raise EOFError
            end_sending(sink)

        ways = ((client, server), (server, client))
        stopped, other = ways if up else ways[::-1]
        with contextlib.suppress(EOFError), resets_forwarded(client, server):
            await wait_for_all(carry(*stopped), pump(*other))

    return behave
