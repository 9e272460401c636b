"""The plain dialect, as its clients use it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import select
import shutil
import socket
import subprocess
import time

import pytest

from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.framed_client import (
    GREETING,
    HELLO,
    connect,
    exchange_greetings,
    read_to_end,
    reset,
)

MIB = 1024 * 1024


def converse(port: int, *pieces: bytes) -> bytes:
    """Send pieces, the second one only when the greeting is there; read to the end."""
    with connect(port) as sock:
        answer = b""
        for piece in pieces:
            sock.sendall(piece)
            answer = answer or sock.recv(1024)
        sock.shutdown(socket.SHUT_WR)
        return answer + read_to_end(sock)


async def test_minimal_client_is_answered_a_thousand_times(
    start_server: StartServer,
) -> None:
    """Connect, send without terminator or FIN, one recv, close."""
    running = await start_server()

    def talk() -> list[bytes]:
        return [exchange_greetings(running.port) for _ in range(1000)]

    assert await asyncio.to_thread(talk) == [GREETING] * 1000
    line = await running.closed_line(1000)
    assert line["netduet.text"] == "Hello, server!"
    assert (line["netduet.dialect"], line["netduet.ended"]) == ("plain", "greeted")


async def test_fin_without_data_is_greeted(start_server: StartServer) -> None:
    """A client that only sends a FIN gets its greeting."""
    running = await start_server()
    assert await asyncio.to_thread(converse, running.port) == GREETING
    line = await running.closed_line()
    assert (line["netduet.dialect"], line["netduet.text"]) == ("plain", "")


async def test_text_byte_by_byte_is_one_text(start_server: StartServer) -> None:
    """A client that sends single bytes is greeted once, and logged as one text."""
    running = await start_server()

    def dribble() -> bytes:
        with connect(running.port) as sock:
            for byte in HELLO:
                sock.sendall(bytes([byte]))
                time.sleep(0.01)  # what this client does, not what the test waits for
            sock.shutdown(socket.SHUT_WR)
            return read_to_end(sock)

    assert await asyncio.to_thread(dribble) == GREETING
    assert (await running.closed_line())["netduet.text"] == "Hello, server!"


async def test_dribble_is_cut_after_the_linger_time(start_server: StartServer) -> None:
    """A greeted client that keeps sending is closed when its linger time is over."""
    running = await start_server(plain_linger=0.3)

    def dribble() -> tuple[bytes, float]:
        with connect(running.port) as sock:
            start = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < start + 5:
                    sock.sendall(b"x")
                    time.sleep(0.02)
            return sock.recv(1024), time.monotonic() - start

    answer, seconds = await asyncio.to_thread(dribble)
    assert answer == GREETING
    assert 0.3 <= seconds < 2
    assert (await running.closed_line())["netduet.ended"] == "greeted"


async def test_one_mebibyte_is_read_and_greeted(start_server: StartServer) -> None:
    """A client that sends 1 MiB before it reads gets its greeting and a FIN."""
    running = await start_server()
    text = b"x" * MIB
    assert await asyncio.to_thread(converse, running.port, text) == GREETING
    line = await running.closed_line()
    assert line["netduet.bytes_received"] == MIB
    assert line["netduet.text"] == "x" * 1024 + "…"


async def test_leaving_client_is_recorded(start_server: StartServer) -> None:
    """A client that connects and leaves, by FIN or RST, is recorded as such."""
    running = await start_server()
    with await asyncio.to_thread(connect, running.port) as sock:
        reset(sock)
    line = await running.closed_line()
    assert (line["netduet.dialect"], line["netduet.ended"]) == ("none", "reset")
    assert (line["netduet.ended_by"], line["error.type"]) == ("client", "ECONNRESET")
    with await asyncio.to_thread(connect, running.port):
        pass
    line = await running.closed_line(
        2
    )  # an end of stream like any other: it is greeted
    assert (line["netduet.dialect"], line["netduet.ended"]) == ("plain", "greeted")


async def test_connections_reset_in_the_accept_queue_are_harmless(
    start_server: StartServer,
) -> None:
    """They leave nothing behind."""
    running = await start_server()
    for _ in range(100):  # the loop does not run: all of them wait in the queue
        reset(connect(running.port))
    assert await asyncio.to_thread(exchange_greetings, running.port) == GREETING
    lines = running.lines.of("connection.closed")
    gone = [line for line in lines if line["netduet.dialect"] == "none"]
    assert all(line["netduet.ended_by"] == "client" for line in gone)


async def test_split_character_is_logged_whole(start_server: StartServer) -> None:
    """Korean text that is split inside a character is logged decoded."""
    running = await start_server()
    text = "안녕하세요, 서버!"
    encoded = text.encode()
    halves = encoded[:4], encoded[4:]
    assert await asyncio.to_thread(converse, running.port, *halves) == GREETING
    assert (await running.closed_line())["netduet.text"] == text


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        (b"a\xff\xfeb", r"a\xff\xfeb"),
        (b"caf\xc3", r"caf\xc3"),
        (b"\x00\x01", r"\x00\x01"),
        (b"back\\slash", r"back\\slash"),
    ],
)
async def test_invalid_bytes_are_escaped(
    start_server: StartServer, sent: bytes, logged: str
) -> None:
    """Bytes that are no text are logged escaped."""
    running = await start_server()
    assert await asyncio.to_thread(exchange_greetings, running.port, sent) == GREETING
    assert (await running.closed_line())["netduet.text"] == logged


async def test_long_text_is_truncated_in_the_log(start_server: StartServer) -> None:
    """The log has at most the limit, and never half a character."""
    running = await start_server(max_plain_text=8)
    text = "서버서버".encode()
    assert await asyncio.to_thread(exchange_greetings, running.port, text) == GREETING
    assert (await running.closed_line())["netduet.text"] == "서버…"


def test_text_forges_no_line_and_moves_no_cursor(serve_command: ServeCommand) -> None:
    """Line breaks, escapes, separators and bidi controls are logged as text."""
    server = serve_command()
    forged = 'a\r\n{"event":"server.stopped"}\n\x1b[2J\x9b31m\u2028\u2029\u202e\u0085'
    assert exchange_greetings(server.port, forged.encode()) == GREETING
    line = server.closed_line()
    assert server.stop() == 0
    assert "server.stopped" in line["netduet.text"]
    assert len(server.of("server.stopped")) == 1
    [raw] = [raw for raw in server.raw if b"connection.closed" in raw]
    assert raw[:-1].decode().isprintable()
    shown = json.loads(raw)["netduet.text"]
    assert shown.isprintable()
    assert r"\r\n" in shown
    assert r"\u202e" in shown


@pytest.mark.parametrize(
    ("sent", "protocol"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "ssh"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "proxy"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", "proxy"),
        (b"Hello, server!", None),
    ],
)
async def test_foreign_protocol_is_named_only_in_the_log(
    start_server: StartServer, sent: bytes, protocol: str | None
) -> None:
    """It is greeted like anything else."""
    running = await start_server()
    assert await asyncio.to_thread(converse, running.port, sent) == GREETING
    line = await running.closed_line()
    assert line.get("netduet.looks_like") == protocol
    assert line["client.address"] == "127.0.0.1"


async def test_greeting_is_a_setting(start_server: StartServer) -> None:
    """The greeting is sent in UTF-8, and nothing else is sent."""
    running = await start_server(greeting="안녕, 클라이언트!")
    answer = await asyncio.to_thread(converse, running.port, HELLO)
    assert answer.decode() == "안녕, 클라이언트!"


async def test_answer_survives_a_flood(start_server: StartServer) -> None:
    """A client that sends 8 MiB before it reads still gets its answer."""
    running = await start_server()
    for _ in range(5):
        text = bytes(8 * MIB)
        assert await asyncio.to_thread(converse, running.port, text) == GREETING


async def test_endless_sender_is_closed_at_the_byte_limit(
    start_server: StartServer,
) -> None:
    """A client that sends without end is closed at the limit."""
    running = await start_server(plain_linger_bytes=MIB)

    def flood() -> None:
        with connect(running.port) as sock, contextlib.suppress(ConnectionError):
            for _ in range(1024):
                sock.sendall(bytes(MIB))
            pytest.fail("1 GiB was taken")

    await asyncio.to_thread(flood)
    line = await running.closed_line()
    assert line["netduet.ended"] == "greeted"
    assert MIB < line["netduet.bytes_received"] <= 2 * MIB


async def test_client_that_never_closes_is_closed(start_server: StartServer) -> None:
    """A greeted client that neither reads nor closes does not keep its place."""
    running = await start_server(plain_linger=0.2)
    with await asyncio.to_thread(connect, running.port) as sock:
        sock.sendall(HELLO)
        line = await running.closed_line()
        assert 0.2 <= line["netduet.duration_s"] < 2
        assert await asyncio.to_thread(read_to_end, sock) == GREETING


async def test_simultaneous_clients_are_all_greeted(start_server: StartServer) -> None:
    """Five hundred clients are connected at the same time."""
    running = await start_server()

    def talk() -> set[bytes]:
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(connect(running.port)) for _ in range(500)]
            for sock in socks:
                sock.sendall(HELLO)
            return {read_to_end(sock) for sock in socks}

    assert await asyncio.to_thread(talk) == {GREETING}


def test_command_line_clients_print_the_greeting(serve_command: ServeCommand) -> None:
    """The usual clients that are installed here print the greeting."""
    server = serve_command()
    url = f"telnet://127.0.0.1:{server.port}"
    port = str(server.port)
    commands = [
        ["curl", "--silent", "--no-buffer", "--max-time", "5", url],
        ["nc", "-w", "2", "127.0.0.1", port],
        ["ncat", "127.0.0.1", port],
        ["socat", "-", f"TCP:127.0.0.1:{port}"],
        ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; cat >&3; head -c 14 <&3"],
    ]
    here = [command for command in commands if shutil.which(command[0])]
    for command, line in zip(here, itertools.count(1), strict=False):
        done = subprocess.run(
            command, input=HELLO, capture_output=True, timeout=20, check=False
        )
        assert done.stdout == GREETING, (command, done)
        assert server.closed_line(line)["netduet.text"] == "Hello, server!"


async def test_half_closed_client_is_served(start_server: StartServer) -> None:
    """A client that has ended its sending reads its answer and a FIN."""
    running = await start_server()

    def talk() -> tuple[bytes, bool]:
        with connect(running.port) as sock:
            sock.sendall(HELLO)
            sock.shutdown(socket.SHUT_WR)
            poller = select.poll()
            poller.register(sock, 0)
            answer = read_to_end(sock)
            failed = any(what & select.POLLERR for _, what in poller.poll(0))
            return answer, failed

    assert await asyncio.to_thread(talk) == (GREETING, False)
