"""What a client may request: patterns, holds, all kinds of close, inspection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import time
import tracemalloc
from typing import Any

import pytest

from netduet.server.tcp_connection import TcpConnection
from netduet.wire import payload_pattern
from netduet.wire.frames import ANSWER, HEADER_SIZE, Kind, serialize
from netduet.wire.sender import PIECE_BYTES
from netduet.wire.state_machine import State
from tests.integration.conftest import StartServer
from tests.integration.framed_client import (
    FramedClient,
    connect,
    opening,
    read_to_end,
    reset,
)
from tests.integration.servers import RunningServer, wait_until

MIB = 1024 * 1024
KIB = 1024
CLOCK = 0.05
"""Seconds by which a loop's clock, read once a turn, may lag when a timer is set."""


def question(kind: Kind, number: int = 7, **fields: object) -> bytes:
    """Return the frame of a control question."""
    return serialize(kind, json.dumps(fields).encode(), id=number)


def source(size: int, seed: int = 5, number: int = 7) -> bytes:
    """Return a question for a pattern."""
    return question(Kind.SOURCE, number, size=size, seed=seed)


def close(
    how: str, delay: float = 0.0, size: int = 0, seed: int = 5, number: int = 9
) -> bytes:
    """Return a question for an end of the connection."""
    return question(Kind.CLOSE, number, how=how, delay=delay, size=size, seed=seed)


def hold(seconds: float, *, speak: bool = False, number: int = 7) -> bytes:
    """Return a question for a silence."""
    return question(Kind.HOLD, number, seconds=seconds, speak=speak)


def ledger(running: RunningServer, conn_id: str) -> dict[str, Any]:
    """Return what the server remembers of a connection, asked over another one."""
    with FramedClient(running.port) as peer:
        entry: dict[str, Any] = peer.ask(Kind.LEDGER, conn_id=conn_id)["entry"]
        return entry


def only(running: RunningServer) -> TcpConnection:
    """Return the server's only connection."""
    [connection] = running.server._connections
    return connection


# SINK and SOURCE


@pytest.mark.parametrize("size", [0, 1, 8, 9, 70_000, MIB])
async def test_unaltered_sink_is_confirmed(
    start_server: StartServer, size: int
) -> None:
    """A pattern of any size is confirmed with its number of bytes."""
    running = await start_server()

    def talk() -> dict[str, Any]:
        sink = serialize(Kind.SINK, payload_pattern.make(size, 5), id=7)
        with FramedClient(running.port) as peer, peer.sending(sink):
            return peer.message(Kind.SINK)

    confirmed = await asyncio.to_thread(talk)
    assert confirmed == {"received": size, "changed_at": None}


@pytest.mark.parametrize("at", [8, 9, 4095, 99_999])
async def test_altered_sink_names_the_first_altered_byte(
    start_server: StartServer, at: int
) -> None:
    """A middlebox altered the pattern."""
    running = await start_server()
    data = bytearray(payload_pattern.make(100_000, 5))
    data[at] ^= 1
    data[-1] ^= 2

    def talk() -> dict[str, Any]:
        sink = serialize(Kind.SINK, bytes(data), id=7)
        with FramedClient(running.port) as peer, peer.sending(sink):
            return peer.message(Kind.SINK)

    assert (await asyncio.to_thread(talk))["changed_at"] == at


@pytest.mark.parametrize("size", [0, 1, 8, 9, MIB])
async def test_source_is_answered_with_its_pattern(
    start_server: StartServer, size: int
) -> None:
    """A pattern of any size up to the largest frame comes with the question's id."""
    running = await start_server()

    def talk() -> None:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(source(size, 2**64 - 1, 77))
            frame = peer.receive()
            assert (frame.kind, frame.flags, frame.id) == (Kind.SOURCE, ANSWER, 77)
            assert frame.payload == payload_pattern.make(size, 2**64 - 1)
            peer.end()

    await asyncio.to_thread(talk)
    line = await running.closed_line()
    assert line["netduet.ended"] == "end"
    assert line["netduet.frames_sent"] == 3


@pytest.mark.parametrize("split", [False, True])
async def test_too_large_source_is_a_breach(
    start_server: StartServer, *, split: bool
) -> None:
    """Earlier questions are answered before the error, later ones dropped."""
    running = await start_server()
    echo = serialize(Kind.ECHO, b"x", id=1)

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            if split:
                for piece in (echo, source(8), source(MIB + 1)):
                    peer.sock.sendall(piece)
                    if piece != source(MIB + 1):
                        answers.append(peer.receive().kind)
                with contextlib.suppress(ConnectionError):
                    peer.sock.sendall(echo)
            else:
                peer.sock.sendall(echo + source(8) + source(MIB + 1) + echo)
                answers.extend(peer.receive().kind for _ in range(2))
            return peer.error()

    answers: list[int] = []
    failure = await asyncio.to_thread(talk)
    assert answers == [Kind.ECHO, Kind.SOURCE]
    assert failure["code"] == "too_large"
    assert failure["facts"] == {"length": MIB + 1, "limit": MIB}


async def test_frame_limit_bounds_sources_and_sinks(
    start_server: StartServer,
) -> None:
    """The server's limit holds for patterns both ways."""
    running = await start_server(max_frame_size=2000)

    def talk() -> list[str]:
        codes = []
        for sent in (
            source(2001),
            serialize(Kind.SINK, bytes(2001)),
            close("finish", size=2001),
        ):
            with FramedClient(running.port) as peer:
                peer.sock.sendall(source(2000))
                assert len(peer.receive().payload) == 2000
                peer.sock.sendall(sent)
                codes.append(peer.error()["code"])
        return codes

    assert await asyncio.to_thread(talk) == ["too_large"] * 3


async def test_pipelined_sources_come_in_order(start_server: StartServer) -> None:
    """Patterns come in the order of their questions, among other answers."""
    running = await start_server(write_buffer=64 * KIB, linger=0.2, frame_timeout=0.3)
    echo = serialize(Kind.ECHO, b"x", id=1)
    asked = b"".join(source(MIB, seed, seed) + echo for seed in range(40))

    def talk() -> None:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(asked + serialize(Kind.END, id=3))
            for seed in range(40):
                frame = peer.receive()
                assert (frame.kind, frame.id) == (Kind.SOURCE, seed)
                assert frame.payload == payload_pattern.make(MIB, seed)
                assert peer.receive().payload == b"x"
            assert peer.receive().kind == Kind.END
            assert read_to_end(peer.sock) == b""

    await asyncio.to_thread(talk)
    line = await running.closed_line()
    assert line["netduet.ended"] == "end"
    assert line["netduet.frames_sent"] == line["netduet.frames_received"] == 82


async def test_thousand_sources_for_a_stuck_peer_use_bounded_memory(
    start_server: StartServer,
) -> None:
    """Answers are made when they can be sent: the buffer and one wait."""
    running = await start_server(write_buffer=64 * KIB)

    def ask() -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * KIB)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", running.port))
        sock.sendall(opening() + source(MIB) * 999)
        return sock

    tracemalloc.start()
    try:
        sock = await asyncio.to_thread(ask)
        await wait_until(lambda: bool(running.server._connections))
        connection = only(running)
        await wait_until(lambda: connection._writer._buffer_full)
        for _ in range(20):  # turns of the loop, in which nothing more is made
            await asyncio.sleep(0)
        waiting = connection._writer._transport.get_write_buffer_size()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert connection.wire.questions == 1000
    assert connection.wire.owed > 900
    assert 0 < waiting <= 64 * KIB + PIECE_BYTES + KIB
    assert peak < 8 * MIB
    reset(sock)
    assert (await running.closed_line())["netduet.ended"] == "reset"


async def test_ended_holds_wait_behind_pending_answers(
    start_server: StartServer,
) -> None:
    """A message of the server does not push out an answer before there is room."""
    running = await start_server(write_buffer=64 * KIB)
    asked = b"".join(hold(0.1, speak=True, number=1) for _ in range(50))

    def read(peer: FramedClient) -> list[bool]:
        kinds = [peer.receive().kind for _ in range(50 + 60)]
        assert kinds == [Kind.HOLD] * 50 + [Kind.SOURCE] * 60
        return [peer.message(Kind.HOLD)["spoke"] for _ in range(50)]

    peer = FramedClient(running.port)
    await asyncio.to_thread(peer.open)
    connection = only(running)
    peer.sock.sendall(asked + source(MIB) * 60)
    await wait_until(
        lambda: connection._writer._buffer_full and connection._delayed is not None
    )
    assert connection._delayed is not None
    await wait_until(lambda: not connection._delayed.holds)  # type: ignore[union-attr]
    assert connection.wire.owed > 30
    assert (
        connection._writer._transport.get_write_buffer_size()
        <= 64 * KIB + PIECE_BYTES + 4 * KIB
    )
    assert await asyncio.to_thread(read, peer) == [True] * 50
    peer.sock.close()


async def test_stuck_peer_with_pending_sources_is_reset(
    start_server: StartServer,
) -> None:
    """The write timeout holds for pending answers too."""
    running = await start_server(write_timeout=0.3, write_buffer=64 * KIB)
    with await asyncio.to_thread(connect, running.port) as sock:
        sock.sendall(opening() + source(MIB) * 900)
        line = await running.closed_line()
        assert line["netduet.ended"] == "limit.write"
        assert line["netduet.bytes_sent"] < 100 * MIB


async def test_other_peers_are_served_beside_a_large_request(
    start_server: StartServer,
) -> None:
    """A peer that asks for a hundred sources does not delay others until the end."""
    running = await start_server()

    def talk() -> int:
        with FramedClient(running.port) as busy, FramedClient(running.port) as other:
            busy.sock.sendall(source(MIB) * 100)
            busy.receive()
            assert other.echo(b"now") == b"now"
            owed = max(
                connection.wire.owed for connection in running.server._connections
            )
            for _ in range(99):
                busy.receive()
            return owed

    assert await asyncio.to_thread(talk) > 50


# HOLD


async def test_hold_is_ended_by_the_client(start_server: StartServer) -> None:
    """A held connection survives the idle time, and then answers."""
    running = await start_server(idle_timeout=0.3)

    def talk() -> float:
        with FramedClient(running.port) as peer:
            start = time.monotonic()
            peer.sock.sendall(hold(1.0))
            assert peer.message(Kind.HOLD) == {"spoke": False}
            # Silence is the subject; nothing may come in it.
            assert select.select([peer.sock], [], [], 0.9)[0] == []
            assert peer.echo(b"there?") == b"there?"
            silent = time.monotonic() - start
            assert peer.error()["code"] == "idle"  # that ended the time held
            return silent

    assert await asyncio.to_thread(talk) >= 0.9
    assert (await running.closed_line())["netduet.ended"] == "limit.idle"


async def test_hold_is_ended_by_the_server(start_server: StartServer) -> None:
    """At the end of the hold the server answers with the question's id."""
    running = await start_server(idle_timeout=0.3)

    def talk() -> tuple[float, float]:
        with FramedClient(running.port) as peer:
            start = time.monotonic()
            peer.sock.sendall(hold(0.8, speak=True, number=5))
            first, second = peer.receive(), peer.receive()
            spoke = time.monotonic() - start
            assert (first.id, second.id) == (5, 5)
            assert json.loads(first.payload) == {"spoke": False}
            assert json.loads(second.payload) == {"spoke": True}
            assert peer.echo(b"x") == b"x"
            assert peer.error()["code"] == "idle"
            return spoke, time.monotonic() - start

    spoke, ended = await asyncio.to_thread(talk)
    assert spoke >= 0.8 - CLOCK
    assert ended >= 0.8 + 0.3


async def test_hold_is_not_endless(start_server: StartServer) -> None:
    """After the hold and the idle time the connection is idle."""
    running = await start_server(idle_timeout=0.3)

    def talk() -> float:
        with FramedClient(running.port) as peer:
            start = time.monotonic()
            peer.sock.sendall(hold(0.5))
            peer.message(Kind.HOLD)
            assert peer.error()["code"] == "idle"
            return time.monotonic() - start

    assert await asyncio.to_thread(talk) >= 0.5 + 0.3


async def test_each_hold_gets_its_second_answer(start_server: StartServer) -> None:
    """Concurrent holds end each at their own time."""
    running = await start_server()

    def talk() -> list[tuple[int, bool]]:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(
                hold(0.4, speak=True, number=1)
                + hold(0.2, speak=True, number=2)
                + hold(9.0, speak=True, number=3)
            )
            received = []
            for _ in range(5):
                frame = peer.receive()
                received.append((frame.id, json.loads(frame.payload)["spoke"]))
            peer.end()  # the third one is cancelled
            return received

    received = await asyncio.to_thread(talk)
    assert received == [(1, False), (2, False), (3, False), (2, True), (1, True)]
    line = await running.closed_line()
    assert line["netduet.ended"] == "end"


@pytest.mark.parametrize("behind", [b"", serialize(Kind.ECHO, b"x") * 3])
async def test_hold_beyond_the_limit_is_rejected(
    start_server: StartServer, behind: bytes
) -> None:
    """The welcome announces the limit."""
    running = await start_server(hold_timeout=5.0)

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            assert peer.welcome["limits"]["hold"] == 5.0
            peer.sock.sendall(hold(5.0))
            assert peer.message(Kind.HOLD) == {"spoke": False}
            peer.sock.sendall(hold(5.01) + behind)
            return peer.error()

    failure = await asyncio.to_thread(talk)
    assert (failure["code"], failure["facts"]) == ("bad_message", {"field": "seconds"})
    assert (await running.closed_line())["error.type"] == "bad_message"


async def test_started_frame_is_late_despite_a_hold(
    start_server: StartServer,
) -> None:
    """A byte after a HOLD ends it, in the same segment too: its frame has started."""
    running = await start_server(frame_timeout=0.3)

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(hold(60.0) + b"\0")
            peer.message(Kind.HOLD)
            return peer.error()

    assert (await asyncio.to_thread(talk))["code"] == "too_slow"


# CLOSE

BEHIND = serialize(Kind.ECHO, b"x" * 100) * 50 + source(100) + serialize(Kind.END)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("behind", [b"", BEHIND, BEHIND[:-3]])
async def test_finish_is_answered_then_the_server_ends(
    start_server: StartServer, behind: bytes, *, split: bool
) -> None:
    """The server ends first, and drops what follows the question (P-9, P-58)."""
    running = await start_server()

    def talk() -> str:
        with FramedClient(running.port) as peer:
            before = serialize(Kind.ECHO, b"first", id=1)
            if split:
                peer.sock.sendall(before)
                assert peer.receive().payload == b"first"
                peer.sock.sendall(close("finish", size=1000))
                assert peer.receive().payload == payload_pattern.make(1000, 5)
                peer.sock.sendall(behind)
            else:
                peer.sock.sendall(before + close("finish", size=1000) + behind)
                assert peer.receive().payload == b"first"
                frame = peer.receive()
                assert (frame.kind, frame.flags, frame.id) == (Kind.CLOSE, ANSWER, 9)
                assert frame.payload == payload_pattern.make(1000, 5)
            assert read_to_end(peer.sock) == b""
            peer.sock.sendall(b"still open this way")
            return str(peer.welcome["conn_id"])

    conn_id = await asyncio.to_thread(talk)
    line = await running.closed_line()
    entry = await asyncio.to_thread(ledger, running, conn_id)
    assert (entry["ended"], entry["ended_by"]) == ("asked.finish", "server")
    assert (line["netduet.ended"], line["netduet.ended_by"]) == (
        "asked.finish",
        "server",
    )
    assert entry["frames_received"] == 3
    sent = len(close("finish", size=1000) + behind) + len(b"still open this way")
    assert entry["bytes_received"] == len(opening()) + HEADER_SIZE + 5 + sent


async def test_client_that_stays_after_a_finish_is_aborted(
    start_server: StartServer,
) -> None:
    """The timeout is that of any other end by the server."""
    running = await start_server(linger=0.3)
    peer = FramedClient(running.port)

    def talk() -> None:
        peer.open()
        peer.sock.sendall(close("finish"))
        assert peer.receive().payload == b""
        assert read_to_end(peer.sock) == b""

    with peer.sock:
        await asyncio.to_thread(talk)
        assert (await running.closed_line())["netduet.ended"] == "asked.finish"
    assert running.server._counters.limits == {"linger": 1}


@pytest.mark.parametrize("bound", [0, 4000])
async def test_data_after_a_finish_is_dropped(
    start_server: StartServer, bound: int
) -> None:
    """A large amount in the question's own segment is treated like later bytes."""
    running = await start_server(linger_bytes=bound)

    def talk() -> None:
        with FramedClient(running.port) as peer, contextlib.suppress(ConnectionError):
            peer.sock.sendall(close("finish", size=10) + bytes(bound + 1))
            assert peer.receive().payload == payload_pattern.make(10, 5)
            read_to_end(peer.sock)

    await asyncio.to_thread(talk)
    assert (await running.closed_line())["netduet.ended"] == "asked.finish"
    assert running.server._counters.limits == {"linger_bytes": 1}


@pytest.mark.parametrize("before", [b"", serialize(Kind.ECHO, b"x" * 1000) * 3])
@pytest.mark.parametrize("behind", [b"", BEHIND])
async def test_reset_request_resets_without_an_answer(
    start_server: StartServer, before: bytes, behind: bytes
) -> None:
    """Earlier questions were answered."""
    running = await start_server()

    def talk() -> str:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(before + close("reset", size=5) + behind)
            for _ in range(3 if before else 0):
                assert peer.receive().payload == b"x" * 1000
            with pytest.raises(ConnectionResetError):
                read_to_end(peer.sock)
            return str(peer.welcome["conn_id"])

    conn_id = await asyncio.to_thread(talk)
    await running.closed_line()
    entry = await asyncio.to_thread(ledger, running, conn_id)
    assert (entry["ended"], entry["ended_by"]) == ("asked.reset", "server")


async def test_reset_comes_after_earlier_sources(
    start_server: StartServer,
) -> None:
    """Large pending answers are sent before the reset."""
    running = await start_server()

    def talk() -> None:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(source(MIB, 1) + source(MIB, 2) + close("reset"))
            with pytest.raises(ConnectionResetError):  # it destroys what is on its way
                read_to_end(peer.sock)

    await asyncio.to_thread(talk)
    line = await running.closed_line()
    assert line["netduet.ended"] == "asked.reset"
    assert line["netduet.frames_sent"] == 3


@pytest.mark.parametrize(
    ("delay", "size"), [(0.0, 0), (0.0, 9), (0.4, 50_000), (0.2, MIB)]
)
async def test_half_close_is_answered_after_the_clients_fin(
    start_server: StartServer, delay: float, size: int
) -> None:
    """The answer comes after the FIN and the delay, never before."""
    running = await start_server()

    def talk() -> tuple[str, int, float]:
        with FramedClient(running.port) as peer:
            asked = close("after_eof", delay, size)
            peer.sock.sendall(asked)
            assert select.select([peer.sock], [], [], 0.2)[0] == []
            start = time.monotonic()
            peer.sock.shutdown(socket.SHUT_WR)
            frame = peer.receive()
            waited = time.monotonic() - start
            assert (frame.kind, frame.flags, frame.id) == (Kind.CLOSE, ANSWER, 9)
            assert frame.payload == payload_pattern.make(size, 5)
            assert read_to_end(peer.sock) == b""
            return peer.welcome["conn_id"], len(asked), waited

    conn_id, asked, waited = await asyncio.to_thread(talk)
    assert waited >= delay - CLOCK
    line = await running.closed_line()
    entry = await asyncio.to_thread(ledger, running, conn_id)
    assert (entry["ended"], entry["ended_by"]) == ("asked.after_eof", "client")
    assert entry["bytes_received"] == len(opening()) + asked
    assert entry["bytes_sent"] == line["netduet.bytes_sent"]
    assert entry["frames_sent"] == 2


@pytest.mark.parametrize("fin", [False, True])
async def test_frames_before_an_awaited_end_are_dropped(
    start_server: StartServer, *, fin: bool
) -> None:
    """Nothing after the question is answered, with the FIN in one segment or not."""
    running = await start_server()

    def talk() -> None:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(close("after_eof", 0.0, 9) + BEHIND[:-3])
            if not fin:
                assert select.select([peer.sock], [], [], 0.2)[0] == []
            peer.sock.shutdown(socket.SHUT_WR)
            assert peer.receive().payload == payload_pattern.make(9, 5)
            assert read_to_end(peer.sock) == b""

    await asyncio.to_thread(talk)
    line = await running.closed_line()
    assert line["netduet.ended"] == "asked.after_eof"
    assert line["netduet.frames_received"] == 2


async def test_missing_awaited_end_reaches_a_limit(
    start_server: StartServer,
) -> None:
    """A client that does not end as announced is aborted, and recorded so."""
    running = await start_server(frame_timeout=0.3)

    def talk() -> str:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(close("after_eof", 0.0, 9))
            with contextlib.suppress(ConnectionResetError):
                assert read_to_end(peer.sock) == b""
            return str(peer.welcome["conn_id"])

    conn_id = await asyncio.to_thread(talk)
    line = await running.closed_line()
    assert (line["netduet.ended"], line["netduet.ended_by"]) == (
        "limit.frame",
        "server",
    )
    entry = await asyncio.to_thread(ledger, running, conn_id)
    assert entry["ended"] == "limit.frame"


async def test_awaited_end_may_be_a_client_reset(
    start_server: StartServer,
) -> None:
    """A client that resets instead of ending is recorded so."""
    running = await start_server()

    def talk() -> None:
        peer = FramedClient(running.port)
        peer.open()
        peer.sock.sendall(close("after_eof", 0.0, 9))
        reset(peer.sock)

    await asyncio.to_thread(talk)
    line = await running.closed_line()
    assert (line["netduet.ended"], line["netduet.ended_by"]) == ("reset", "client")


async def test_delay_beyond_the_limit_is_rejected(start_server: StartServer) -> None:
    """The welcome announces the limit; the error arrives."""
    running = await start_server(hold_timeout=5.0)

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            peer.sock.sendall(close("after_eof", 5.5) + BEHIND)
            return peer.error()

    failure = await asyncio.to_thread(talk)
    assert (failure["code"], failure["facts"]) == ("bad_message", {"field": "delay"})


async def test_delayed_answer_uses_no_memory_while_it_waits(
    start_server: StartServer,
) -> None:
    """The pattern is made when it is sent."""
    running = await start_server()

    def ask() -> list[FramedClient]:
        peers = [FramedClient(running.port) for _ in range(20)]
        for peer in peers:
            peer.open()
            peer.sock.sendall(close("after_eof", 60.0, MIB))
            peer.sock.shutdown(socket.SHUT_WR)
        return peers

    tracemalloc.start()
    try:
        peers = await asyncio.to_thread(ask)
        sessions = running.server._connections
        await wait_until(
            lambda: (
                [connection.wire.state for connection in sessions]
                == [State.PARTED] * 20
            )
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    for peer in peers:
        peer.sock.close()


# INSPECT


async def test_inspect_shows_another_connection(start_server: StartServer) -> None:
    """The TCP_INFO of an open connection is available over another one."""
    running = await start_server()

    def talk() -> tuple[dict[str, Any], dict[str, Any]]:
        with FramedClient(running.port) as first, FramedClient(running.port) as second:
            first.echo(bytes(50_000))
            seen = second.ask(Kind.INSPECT, conn_id=first.welcome["conn_id"])
            return seen, second.ask(Kind.INSPECT, conn_id=second.welcome["conn_id"])

    seen, own = await asyncio.to_thread(talk)
    assert seen["instance"] == "here"
    assert seen["connection"]["state"] == "ESTABLISHED"
    assert 50_000 < seen["connection"]["bytes_received"] < 51_000
    assert own["connection"]["bytes_received"] < 1_000
    assert 0 <= seen["stalled"] <= seen["window"] <= 31


async def test_inspect_of_unknown_connection_is_none(start_server: StartServer) -> None:
    """A closed connection, or an unknown one, has no TCP_INFO."""
    running = await start_server()

    def leave() -> str:
        with FramedClient(running.port) as gone:
            gone.end()
            return str(gone.welcome["conn_id"])

    def look(conn_id: str) -> list[object]:
        with FramedClient(running.port) as peer:
            asked = (conn_id, "0" * 32)
            return [
                peer.ask(Kind.INSPECT, conn_id=connection_id)["connection"]
                for connection_id in asked
            ]

    gone = await asyncio.to_thread(leave)
    await running.closed_line()
    assert await asyncio.to_thread(look, gone) == [None, None]


async def test_inspect_shows_unread_bytes_of_a_stuck_connection(
    start_server: StartServer,
) -> None:
    """Bytes that a peer does not read are visible from another connection."""
    running = await start_server()

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as stuck, FramedClient(running.port) as other:
            stuck.sock.sendall(source(MIB) * 20)
            select.select([stuck.sock], [], [], 10)
            seen: dict[str, Any] = {}
            while not seen.get("notsent_bytes"):
                conn_id = stuck.welcome["conn_id"]
                seen = other.ask(Kind.INSPECT, conn_id=conn_id)["connection"]
            return seen

    assert (await asyncio.to_thread(talk))["notsent_bytes"] > 0


# Draining


async def test_held_connection_is_told_of_a_drain(start_server: StartServer) -> None:
    """A held connection gets the drain message at once."""
    running = await start_server(drain_timeout=5.0)
    peer = FramedClient(running.port)
    await asyncio.to_thread(peer.open)
    peer.sock.sendall(hold(3600.0, speak=True))
    assert await asyncio.to_thread(peer.message, Kind.HOLD) == {"spoke": False}
    stopping = asyncio.create_task(running.stop())
    failure = await asyncio.to_thread(peer.error)
    peer.sock.close()
    await stopping
    assert failure["code"] == "draining"


async def test_drain_waits_for_pending_answers(
    start_server: StartServer,
) -> None:
    """Questions asked before a drain are answered within its time."""
    running = await start_server(drain_timeout=8.0)
    peer = FramedClient(running.port)
    await asyncio.to_thread(peer.open)
    peer.sock.sendall(source(MIB) * 20)
    assert len((await asyncio.to_thread(peer.receive)).payload) == MIB
    stopping = asyncio.create_task(running.stop())

    def read() -> list[int]:
        sizes = [len(peer.receive().payload) for _ in range(19)]
        assert peer.error()["code"] == "draining"
        peer.sock.close()
        return sizes

    assert await asyncio.to_thread(read) == [MIB] * 19
    await stopping


async def test_connection_with_pending_answers_is_not_idle(
    start_server: StartServer,
) -> None:
    """Between two answers nothing is buffered, and a drain still waits."""
    running = await start_server()
    peer = FramedClient(running.port)
    await asyncio.to_thread(peer.open)
    connection = only(running)
    peer.sock.sendall(source(100) * 900 + serialize(Kind.END))
    async with asyncio.timeout(10):
        while not connection.wire.owed:  # noqa: ASYNC110 - seen between two turns
            await asyncio.sleep(0)
    connection._last_received -= 5  # as if these were many more
    assert connection._writer._transport.get_write_buffer_size() == 0
    assert not connection.quiet
    await asyncio.to_thread(read_to_end, peer.sock)
    peer.sock.close()
    assert (await running.closed_line())["netduet.ended"] == "end"
