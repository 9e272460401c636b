"""The framed dialect: openings, questions, and the ledger."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from netduet.wire.frames import ANSWER, HEADER_SIZE, MAGIC, Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.framed_client import (
    FramedClient,
    connect,
    opening,
    read_to_end,
    reset,
)
from tests.integration.servers import RunningServer

MIB = 1024 * 1024
_IP_MTU = 14  # ip(7); socket has no name for it


async def test_welcome_identifies_the_server(start_server: StartServer) -> None:
    """It has identity, nonce, limits, features and both addresses."""
    running = await start_server(service="shop", instance="shop-1", idle_timeout=33.0)

    def talk() -> tuple[dict[str, Any], dict[str, Any], tuple[str, int]]:
        nonce = "0123456789abcdef" * 2
        first = FramedClient(running.port)
        with first.sock, FramedClient(running.port) as second:
            return first.open(nonce=nonce), second.welcome, first.sock.getsockname()

    welcome, other, address = await asyncio.to_thread(talk)
    assert welcome["nonce"] == "0123456789abcdef" * 2
    assert (welcome["service"], welcome["instance"]) == ("shop", "shop-1")
    assert welcome["version"] == 1
    assert {"echo", "report", "ledger"} <= set(welcome["features"])
    assert welcome["limits"]["idle"] == 33.0
    assert welcome["peer"] == {"address": address[0], "port": address[1]}
    assert welcome["local"] == {"address": "127.0.0.1", "port": running.port}
    assert welcome["boot_id"] == other["boot_id"]
    assert welcome["conn_id"] != other["conn_id"]


async def test_conn_ids_are_random_and_never_repeat(start_server: StartServer) -> None:
    """Each connection has a new id of 128 bits."""
    running = await start_server()

    def talk() -> list[str]:
        ids = []
        for _ in range(200):
            with FramedClient(running.port) as peer:
                ids.append(peer.welcome["conn_id"])
        return ids

    ids = await asyncio.to_thread(talk)
    assert len(set(ids)) == 200
    assert all(re.fullmatch("[0-9a-f]{32}", conn_id) for conn_id in ids)


async def test_boot_id_is_new_at_each_start(start_server: StartServer) -> None:
    """Two servers, or two starts of one, have different ids."""
    first, second = await start_server(), await start_server()

    def talk(port: int) -> str:
        with FramedClient(port) as peer:
            return str(peer.welcome["boot_id"])

    assert await asyncio.to_thread(talk, first.port) != await asyncio.to_thread(
        talk, second.port
    )


@pytest.mark.parametrize("size", [0, 1, 64, 1000, 65536, MIB])
async def test_echo_mirrors_the_payload(start_server: StartServer, size: int) -> None:
    """An ECHO comes back with its payload, its id, and the ANSWER flag."""
    running = await start_server()
    payload = random.Random(size).randbytes(size)

    def talk() -> None:
        with FramedClient(running.port) as peer:
            with peer.sending(serialize(Kind.ECHO, payload, id=2**64 - 1)):
                frame = peer.receive()
            assert frame.payload == payload
            assert (frame.kind, frame.flags) == (Kind.ECHO, ANSWER)
            assert frame.id == 2**64 - 1
            peer.end()

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_pipelined_echoes_come_back_in_order(
    start_server: StartServer, seed: int
) -> None:
    """Thousands of frames, split anywhere, come back complete and in order."""
    running = await start_server()
    chance = random.Random(seed)
    payloads = [
        chance.randbytes(chance.choice([0, 1, 64, 64, 64, 700, 20000]))
        for _ in range(3000)
    ]
    stream = b"".join(
        serialize(Kind.ECHO, payload, id=number)
        for number, payload in enumerate(payloads)
    )

    def pieces(sock: socket.socket) -> None:
        offset = 0
        while offset < len(stream):
            size = chance.choice([1, 15, 16, 17, 100, 4000, 100_000])
            sock.sendall(stream[offset : offset + size])
            offset += size

    def receive(peer: FramedClient) -> None:
        for number, payload in enumerate(payloads):
            frame = peer.receive()
            assert (frame.id, frame.payload) == (number, payload)

    peer = FramedClient(running.port)
    await asyncio.to_thread(peer.open)
    await asyncio.gather(
        asyncio.to_thread(pieces, peer.sock), asyncio.to_thread(receive, peer)
    )
    peer.sock.close()


async def test_questions_in_one_segment_are_answered_in_order(
    start_server: StartServer,
) -> None:
    """Opening, echoes, a report and END in one segment are answered one by one."""
    running = await start_server()

    def talk() -> list[int]:
        with connect(running.port) as sock:
            sock.sendall(
                opening()
                + serialize(Kind.ECHO, b"1")
                + serialize(Kind.REPORT, b"{}")
                + serialize(Kind.ECHO, b"2")
                + serialize(Kind.END)
            )
            data = read_to_end(sock)
        kinds, offset = [], len(MAGIC)
        while offset < len(data):
            length, kind = struct.unpack_from("!IB", data, offset)
            kinds.append(kind)
            offset += HEADER_SIZE + length
        return kinds

    expected = [Kind.OPEN, Kind.ECHO, Kind.REPORT, Kind.ECHO, Kind.END]
    assert await asyncio.to_thread(talk) == expected


async def test_report_has_the_kernels_tcp_info(start_server: StartServer) -> None:
    """The report has the TCP_INFO of this connection at the server."""
    running = await start_server()

    def talk() -> tuple[dict[str, Any], int]:
        with FramedClient(running.port) as peer:
            peer.echo(bytes(100_000))
            report = peer.ask(Kind.REPORT)
            return report, peer.sock.getsockopt(socket.IPPROTO_IP, _IP_MTU)

    report, mtu = await asyncio.to_thread(talk)
    connection = report["connection"]
    assert connection["state"] == "ESTABLISHED"
    assert 100_000 < connection["bytes_received"] < 101_000
    assert 100_000 < connection["bytes_acked"] < 102_000
    assert 0 < connection["rtt"] < 1_000_000
    assert 500 < connection["snd_mss"] <= 65_535
    assert connection["pmtu"] == mtu
    assert connection["total_retrans"] == connection["lost"] == 0
    assert report["listener"] == {"drops": 0, "backlog": 0}
    assert report["instance"] == "here"
    assert report["host"]["stalled"] >= 0


async def test_report_counts_drops_of_this_listener(start_server: StartServer) -> None:
    """Connections dropped by a full accept queue are counted."""
    running, other = await start_server(backlog=1), await start_server()
    peer, other_client = FramedClient(running.port), FramedClient(other.port)
    await asyncio.to_thread(peer.open)
    await asyncio.to_thread(other_client.open)
    socks = [socket.socket() for _ in range(8)]
    for sock in socks:  # the loop does not run meanwhile: nothing is accepted
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", running.port))

    report = await asyncio.to_thread(peer.ask, Kind.REPORT)
    beside = await asyncio.to_thread(other_client.ask, Kind.REPORT)
    for sock in (*socks, peer.sock, other_client.sock):
        sock.close()
    assert report["listener"]["drops"] >= 8 - 2
    assert beside["listener"] == {"drops": 0, "backlog": 0}


def _end(peer: FramedClient) -> None:
    peer.end()


def _fin(peer: FramedClient) -> None:
    peer.sock.shutdown(socket.SHUT_WR)
    assert read_to_end(peer.sock) == b""
    peer.sock.close()


def _reset(peer: FramedClient) -> None:
    reset(peer.sock)


def _breach(peer: FramedClient) -> None:
    peer.send(99)
    assert peer.error()["code"] == "unknown_kind"
    peer.sock.close()


def _silence(peer: FramedClient) -> None:
    assert peer.error()["code"] == "idle"
    peer.sock.close()


@pytest.mark.parametrize(
    ("leave", "ended", "by"),
    [
        (_end, "end", "client"),
        (_fin, "eof", "client"),
        (_reset, "reset", "client"),
        (_breach, "error", "server"),
        (_silence, "limit.idle", "server"),
    ],
)
async def test_ledger_has_the_end_of_a_connection(
    start_server: StartServer,
    leave: Callable[[FramedClient], None],
    ended: str,
    by: str,
) -> None:
    """Another connection can ask how an earlier one ended, and by which end."""
    running = await start_server(idle_timeout=0.4)
    before = time.time()

    def first() -> tuple[dict[str, Any], tuple[str, int]]:
        peer = FramedClient(running.port)
        welcome = peer.open()
        peer.echo(b"x" * 1000)
        address = peer.sock.getsockname()
        leave(peer)
        return welcome, address

    def second(conn_id: str) -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            return dict(peer.ask(Kind.LEDGER, conn_id=conn_id)["entry"])

    welcome, address = await asyncio.to_thread(first)
    line = await running.closed_line()
    entry = await asyncio.to_thread(second, welcome["conn_id"])
    assert (entry["ended"], entry["ended_by"]) == (ended, by)
    assert (line["netduet.ended"], line["netduet.ended_by"]) == (ended, by)
    assert entry["peer"] == {"address": address[0], "port": address[1]}
    assert before <= entry["opened_at"] <= time.time()
    assert 0 < entry["duration"] < 5
    assert entry["bytes_received"] == line["netduet.bytes_received"]
    assert entry["bytes_sent"] == line["netduet.bytes_sent"]
    opened = len(opening())
    extra = 0 if ended in ("eof", "reset", "limit.idle") else HEADER_SIZE
    assert entry["bytes_received"] == opened + HEADER_SIZE + 1000 + extra


async def test_ledger_has_open_connections(start_server: StartServer) -> None:
    """A connection that is still open has an entry without an end."""
    running = await start_server()

    def talk() -> tuple[dict[str, Any], str]:
        with FramedClient(running.port) as peer:
            conn_id = peer.welcome["conn_id"]
            return peer.ask(Kind.LEDGER, conn_id=conn_id)["entry"], conn_id

    entry, conn_id = await asyncio.to_thread(talk)
    assert entry["conn_id"] == conn_id
    assert entry["ended"] is None
    assert entry["frames_received"] == 2
    assert 0 <= entry["duration"] < 5


async def test_ledger_is_bounded(start_server: StartServer) -> None:
    """The oldest entry is dropped when the ledger is full."""
    running = await start_server(ledger_size=2)

    def talk() -> list[bool]:
        peers = [FramedClient(running.port) for _ in range(3)]
        ids = [peer.open()["conn_id"] for peer in peers]
        asked = [*ids, "0" * 32]
        answers = [
            peers[2].ask(Kind.LEDGER, conn_id=identifier) for identifier in asked
        ]
        for peer in peers:
            peer.sock.close()
        return [answer["entry"] is not None for answer in answers]

    assert await asyncio.to_thread(talk) == [False, True, True, False]


async def test_end_is_answered_then_the_stream_ends(start_server: StartServer) -> None:
    """END is answered by END after all other answers, then comes the FIN."""
    running = await start_server()

    def talk() -> None:
        with FramedClient(running.port) as peer:
            echoes = serialize(Kind.ECHO, bytes(1000)) * 500
            with peer.sending(echoes + serialize(Kind.END, id=5)):
                for _ in range(500):
                    assert peer.receive().kind == Kind.ECHO
                last = peer.receive()
            assert (last.kind, last.flags, last.id) == (Kind.END, ANSWER, 5)
            assert read_to_end(peer.sock) == b""

    await asyncio.to_thread(talk)
    line = await running.closed_line()
    assert (line["netduet.frames_received"], line["netduet.frames_sent"]) == (502, 502)


def _json(kind: Kind, **fields: object) -> bytes:
    return serialize(kind, json.dumps(fields).encode())


_OPEN = "after the opening"

BREACHES = {
    "crlf": (MAGIC.replace(b"\r\n", b"\n") + b"x" * 30, "magic_broken"),
    "magic-typo": (MAGIC[:5] + b"?" * 20, "magic_broken"),
    "version": (opening(version=2), "unknown_version"),
    "opening-field": (opening(color="red"), "unknown_field"),
    "opening-json": (MAGIC + serialize(Kind.OPEN, b"{"), "bad_message"),
    "opening-nonce": (opening(nonce="short"), "bad_message"),
    "opening-large": (MAGIC + b"\xff\xff\xff\xff\x01\0\0\0" + bytes(8), "too_large"),
    "echo-first": (MAGIC + serialize(Kind.ECHO, b"x"), "out_of_order"),
    "kind": (_OPEN, serialize(99), "unknown_kind"),
    "flags": (_OPEN, serialize(Kind.ECHO, b"x", flags=2), "unknown_flags"),
    "reserved": (_OPEN, b"\0\0\0\0\x10\0\0\1" + bytes(8), "reserved_bits"),
    "second-opening": (_OPEN, _json(Kind.OPEN, version=1), "out_of_order"),
    "answer": (_OPEN, serialize(Kind.ECHO, b"x", flags=ANSWER), "out_of_order"),
    "echo-large": (_OPEN, struct.pack("!IBBHQ", MIB + 1, 16, 0, 0, 9), "too_large"),
    "question-large": (_OPEN, struct.pack("!IBBHQ", 2049, 17, 0, 0, 9), "too_large"),
    "field": (_OPEN, _json(Kind.REPORT, x=1), "unknown_field"),
    "json": (_OPEN, serialize(Kind.LEDGER, b"[]"), "bad_message"),
    "missing": (_OPEN, _json(Kind.LEDGER), "bad_message"),
    "end-payload": (_OPEN, serialize(Kind.END, b"x"), "bad_message"),
    "questions": (_OPEN, serialize(Kind.LEDGER, b"{}") * 2, "bad_message"),
}


@pytest.mark.parametrize("name", BREACHES)
async def test_breach_is_answered_by_an_error_that_arrives(
    start_server: StartServer, name: str
) -> None:
    """Each breach gets an ERROR frame, which no reset destroys."""
    running = await start_server()
    *opened, sent, code = BREACHES[name]
    more = bytes(2 * MIB)  # what a client has under way when it hears of its error

    def talk() -> dict[str, Any]:
        peer = FramedClient(running.port)
        if opened:
            peer.open()
        with peer.sending(sent.encode() if isinstance(sent, str) else sent + more):
            if not opened:
                assert peer._exactly(len(MAGIC)) == MAGIC
            failure = peer.error()
        peer.sock.close()
        return failure

    failure = await asyncio.to_thread(talk)
    assert failure["code"] == code
    line = await running.closed_line()
    assert (line["netduet.ended"], line["error.type"]) == ("error", code)


async def test_converted_magic_is_named(start_server: StartServer) -> None:
    """A middlebox that converts CR LF to LF is recognised."""
    running = await start_server()

    def talk() -> dict[str, Any]:
        with connect(running.port) as sock:
            sock.sendall(opening().replace(b"\r\n", b"\n"))
            return dict(json.loads(read_to_end(sock)[len(MAGIC) + HEADER_SIZE :]))

    failure = await asyncio.to_thread(talk)
    assert "CR LF" in failure["message"]


async def test_unknown_version_is_told_the_known_one(start_server: StartServer) -> None:
    """A client of another version learns which one the server speaks."""
    running = await start_server()

    def talk() -> dict[str, Any]:
        with connect(running.port) as sock:
            sock.sendall(opening(version=9))
            return dict(json.loads(read_to_end(sock)[len(MAGIC) + HEADER_SIZE :]))

    failure = await asyncio.to_thread(talk)
    assert failure["facts"] == {"version": 9, "supported": 1}


async def test_truncated_frame_is_an_error(start_server: StartServer) -> None:
    """A stream that ends inside a frame gets an ERROR."""
    running = await start_server()

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(serialize(Kind.ECHO, bytes(100))[:50])
            peer.sock.shutdown(socket.SHUT_WR)
            return peer.error()

    assert (await asyncio.to_thread(talk))["code"] == "truncated"


async def test_number_of_questions_is_limited(start_server: StartServer) -> None:
    """A client with over a thousand questions is ended with a reason."""
    running = await start_server()

    def talk() -> tuple[int, dict[str, Any]]:
        with FramedClient(running.port) as peer:
            with peer.sending(serialize(Kind.REPORT, b"{}") * 1100):
                count = 0
                while (frame := peer.receive()).kind == Kind.REPORT:
                    count += 1
            assert read_to_end(peer.sock) == b""
            return count, json.loads(frame.payload)

    count, failure = await asyncio.to_thread(talk)
    assert failure["code"] == "too_many_questions"
    assert count == 999  # the opening was the first


async def test_half_closed_client_reads_all_answers(start_server: StartServer) -> None:
    """A client that sends much, ends its sending and reads late gets every answer."""
    running: RunningServer = await start_server()
    stream = serialize(Kind.ECHO, bytes(1000)) * 4000

    def talk() -> int:
        with FramedClient(running.port) as peer, peer.sending(stream):
            # Whoever sends is stopped by back-pressure until this thread reads.
            for _ in range(4000):
                assert len(peer.receive().payload) == 1000
            peer.sock.shutdown(socket.SHUT_WR)
            return len(read_to_end(peer.sock))

    assert await asyncio.to_thread(talk) == 0
    assert (await running.closed_line())["netduet.ended"] == "eof"
