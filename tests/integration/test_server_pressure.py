"""Peers that do not read, and peers that read slowly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from netduet.server.tcp_connection import TcpConnection
from netduet.wire import payload_pattern
from netduet.wire.frames import ANSWER, Kind, serialize
from netduet.wire.sender import PIECE_BYTES
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.framed_client import FramedClient, opening, reset
from tests.integration.servers import TIMEOUT_SECONDS, ServerProcess, wait_until

KIB = 1024
READ = 256 * KIB
"""Bytes that either loop reads at once, and that may come on top of the buffer."""

ECHOES = serialize(Kind.ECHO, bytes(8000)) * 32


def fill(sock: socket.socket) -> int:
    """Send echoes and read nothing until no more is taken; return the bytes sent."""
    sock.setblocking(False)
    sent = 0
    with contextlib.suppress(ConnectionError):
        # Three looks without room: the far end has ceased to read.
        while select.select([], [sock], [], 0.15)[1]:
            sent += sock.send(ECHOES[sent % len(ECHOES) :])
    return sent


def stuck(port: int) -> socket.socket:
    """Return a connection whose peer has a small window and reads nothing.

    Small segments, as on a real path: on loopback's the kernel buffers megabytes.
    """
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * KIB)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    sock.sendall(opening())
    return sock


def memory(command: ServerProcess) -> int:
    """Return the resident memory of a server process, in bytes."""
    pages = Path(f"/proc/{command.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def was_reset(sock: socket.socket) -> bool:
    """Wait for the end of a connection without reading; return if it was a reset."""
    return is_reset(sock, 10_000)


def is_reset(sock: socket.socket, milliseconds: int = 10) -> bool:
    """Return whether a connection is reset within a time, without reading."""
    poller = select.poll()
    poller.register(sock, 0)  # POLLHUP and POLLERR alone: a FIN gives neither
    return bool(poller.poll(milliseconds))


def send_more(sent: dict[socket.socket, int]) -> None:
    """Send echoes on each connection while its kernel takes them; count the bytes."""
    for sock in sent:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sent[sock] += sock.send(ECHOES[sent[sock] % len(ECHOES) :])


async def overfill(sock: socket.socket, connection: TcpConnection) -> tuple[int, int]:
    """Send echoes and read nothing until the connection is full and no more is taken.

    Returns:
        the bytes sent, and the most that ever waited in the connection's buffer.

    """
    sock.setblocking(False)
    sent = most = 0
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            try:
                sent += sock.send(ECHOES[sent % len(ECHOES) :])
            except BlockingIOError:
                if connection._writer._buffer_full:
                    return sent, most
            await asyncio.sleep(0)
            most = max(most, connection._writer._transport.get_write_buffer_size())


async def test_write_buffer_is_bounded(start_server: StartServer) -> None:
    """For a peer that does not read, at most the buffer and one read wait."""
    running = await start_server(write_buffer=64 * KIB)
    connections = running.server._connections
    with stuck(running.port) as sock:
        await wait_until(lambda: bool(connections))
        [connection] = connections
        sent, most = await overfill(sock, connection)
        assert 0 < most <= 64 * KIB + READ
        received = connection.wire.bytes_received
        assert received < sent
        for _ in range(100):  # turns of the loop, though the peer has sent more
            await asyncio.sleep(0)
            if not connection._writer._buffer_full:  # the kernel took enough to go on
                break
            assert connection.wire.bytes_received == received
        reset(sock)


def test_hundred_stuck_peers_are_harmless(serve_command: ServeCommand) -> None:
    """A hundred peers that do not read use bounded memory, and are reset in time."""
    server = serve_command(write_timeout="1s", write_buffer="64KiB", log_level="debug")
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(FramedClient(server.port))
        other.echo(b"warm")
        before = memory(server)
        socks = [stack.enter_context(stuck(server.port)) for _ in range(100)]
        for sock in socks:
            sock.setblocking(False)
        sent = dict.fromkeys(socks, 0)
        most, slowest = before, 0.0
        start = time.monotonic()
        while time.monotonic() < start + 1:
            send_more(sent)
            asked = time.monotonic()
            assert other.echo(b"x" * 64) == b"x" * 64
            slowest = max(slowest, time.monotonic() - asked)
            most = max(most, memory(server))
        # Each peer's buffer and the read that overran it, twice while both are joined.
        # Without a bound it would be all that was sent: hundreds of MiB.
        assert most - before < 2 * 100 * (64 * KIB + READ)
        assert slowest < 0.5
        # On a busy machine, not every peer has sent enough to be stuck yet.
        while sent and time.monotonic() < start + TIMEOUT_SECONDS:
            send_more(sent)
            sent = {sock: count for sock, count in sent.items() if not is_reset(sock)}
        assert not sent
        assert other.echo(b"unharmed") == b"unharmed"
        server.closed_line(100)
        lines = server.of("connection.closed")
        assert {line["netduet.ended"] for line in lines} == {"limit.write"}


async def test_stuck_peer_is_reset_in_time(start_server: StartServer) -> None:
    """A peer that reads nothing is reset soon after the write timeout."""
    running = await start_server(write_timeout=0.5)
    with stuck(running.port) as sock:
        await asyncio.to_thread(fill, sock)
        line = await running.closed_line()
        assert (line["netduet.ended"], line["netduet.ended_by"]) == (
            "limit.write",
            "server",
        )
        assert 0.5 <= line["netduet.duration_s"] < 3
        assert await asyncio.to_thread(was_reset, sock)


def read_slowly(sock: socket.socket) -> int:
    """Read to the end of stream, a window now and then; return the bytes read."""
    sock.settimeout(10)
    received = 0
    while piece := sock.recv(64 * KIB):
        received += len(piece)
        time.sleep(0.002)  # what this client does, not what the test waits for
    return received


async def test_peer_that_reads_a_little_is_reset_too(
    start_server: StartServer,
) -> None:
    """What window probes carry is no reading."""
    running = await start_server(write_timeout=1.0)
    with stuck(running.port) as sock:
        await asyncio.to_thread(fill, sock)
        while not running.lines.of("connection.closed"):
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sock.recv(100)
            await asyncio.sleep(0.1)  # what this client does
        assert running.server._counters.limits == {"write": 1}


async def test_large_answers_are_read_whole(start_server: StartServer) -> None:
    """Of an answer one piece waits at a time, and the pieces make up the answer."""
    running = await start_server()
    size = 1024 * KIB
    asked = json.dumps({"size": size, "seed": 5}).encode()
    ways = ("finish", "after_eof")
    ends = [
        json.dumps({"how": how, "delay": 0, "size": size, "seed": 6}).encode()
        for how in ways
    ]
    most = 0

    def read(sock: socket.socket) -> bytes:
        return b"".join(iter(partial(sock.recv, 16 * KIB), b""))

    for end in ends:
        with stuck(running.port) as sock:
            sock.sendall(serialize(Kind.SOURCE, asked) * 2 + serialize(Kind.CLOSE, end))
            sock.shutdown(socket.SHUT_WR)
            await wait_until(lambda: bool(running.server._connections))
            [connection] = running.server._connections
            reading = asyncio.create_task(asyncio.to_thread(read, sock))
            while not reading.done():
                transport = connection._writer._transport
                most = max(most, transport.get_write_buffer_size())
                await asyncio.sleep(0)
            answers = await reading
        pattern, last = (payload_pattern.make(size, seed) for seed in (5, 6))
        source = serialize(Kind.SOURCE, pattern, flags=ANSWER)
        assert answers.endswith(source * 2 + serialize(Kind.CLOSE, last, flags=ANSWER))
        await wait_until(lambda: not running.server._connections)
    assert 0 < most <= 64 * KIB + PIECE_BYTES + KIB


WAYS = {
    "end, paused": (serialize(Kind.END), 64 * KIB),
    "end, all read": (serialize(Kind.END), 64 * KIB * KIB),
    "fin, paused": (b"", 64 * KIB),
    "fin, all read": (b"", 64 * KIB * KIB),
}
"""How a client ends, and what the server holds for it: it reads on until that is full."""


def say(sock: socket.socket, count: int, last: bytes) -> None:
    """Send many echo requests, then the end of the stream."""
    with contextlib.suppress(ConnectionError):
        sock.sendall(ECHOES * count + last)
        if not last:
            sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("last", "room"), WAYS.values(), ids=WAYS)
async def test_slow_reader_gets_everything(
    start_server: StartServer, last: bytes, room: int
) -> None:
    """No limit ends a peer that reads slowly, before and after its END or FIN."""
    running = await start_server(
        write_timeout=0.4, frame_timeout=0.3, linger=0.1, write_buffer=room
    )

    def talk() -> tuple[int, float]:
        start = time.monotonic()
        with stuck(running.port) as sock:
            sender = threading.Thread(target=say, args=(sock, 16, last))
            sender.start()
            received = read_slowly(sock)
            sender.join()
            return received, time.monotonic() - start

    received, seconds = await asyncio.to_thread(talk)
    assert received > 16 * len(ECHOES)
    assert seconds > 2 * 0.4
    line = await running.closed_line()
    assert line["netduet.ended"] == ("end" if last else "eof")
    assert received == line["netduet.bytes_sent"]


async def test_frame_is_not_late_while_reading_is_paused(
    start_server: StartServer,
) -> None:
    """Time in which the server did not read does not count for a started frame."""
    running = await start_server(frame_timeout=0.5, write_timeout=5.0)
    frame = serialize(Kind.ECHO, bytes(8000))
    piece = frame[100:] + frame[:100]  # each ends inside a frame

    with stuck(running.port) as sock:
        sent = sock.send(frame[:100])
        await wait_until(lambda: bool(running.server._connections))
        [connection] = running.server._connections
        opened = len(opening())
        while connection._writer._paused_at is None:
            sent += await asyncio.to_thread(sock.send, piece)
            await wait_until(lambda: connection.wire.bytes_received == opened + sent)  # noqa: B023
        await asyncio.sleep(0.6)  # longer than a frame may take

        def rest_of_it() -> bytes:
            answers = b""
            while not answers.endswith(frame[16:]) or len(answers) < sent - 100:
                answers += sock.recv(64 * KIB)
            select.select([sock], [], [], 0.25)  # after this pause it is not late yet
            sock.sendall(frame[100:])
            return sock.recv(64 * KIB)

        answer = await asyncio.to_thread(rest_of_it)
        assert answer[4] == Kind.ECHO


@pytest.mark.parametrize(("last", "room"), WAYS.values(), ids=WAYS)
async def test_stuck_peer_is_reset_after_its_fin(
    start_server: StartServer, last: bytes, room: int
) -> None:
    """A peer that ends its sending and reads nothing is reset too."""
    running = await start_server(write_timeout=0.3, linger=0.1, write_buffer=room)
    with stuck(running.port) as sock:
        await asyncio.to_thread(say, sock, 8, last)
        line = await running.closed_line()
        assert 0.3 <= line["netduet.duration_s"] < 3
        assert running.server._counters.limits == {"write": 1}
        assert await asyncio.to_thread(was_reset, sock)
