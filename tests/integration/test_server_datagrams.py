"""The UDP side: at most one answer per datagram."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from typing import Any

import pytest

from netduet.wire.frames import ANSWER, HEADER, HEADER_SIZE, MAGIC, Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.servers import TIMEOUT_SECONDS

OVERHEAD = len(MAGIC) + HEADER_SIZE


def opening(size: int = 1200) -> bytes:
    """Return an opening, padded."""
    message = json.dumps({"version": 1, "nonce": secrets.token_hex(16)}).encode()
    return (MAGIC + serialize(Kind.OPEN, message, id=3)).ljust(size, b"\0")


def echo(payload: bytes, number: int = 0, size: int = 0) -> bytes:
    """Return an echo request."""
    return (MAGIC + serialize(Kind.ECHO, payload, id=number)).ljust(size, b"\0")


def ask(port: int, *questions: bytes, host: str = "127.0.0.1") -> bytes:
    """Send datagrams from one connected socket; return the first answer.

    The kernel hands over only what comes from the very address that was asked.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_SECONDS)
        sock.connect((host, port))
        for question in questions:
            sock.send(question)
        return sock.recv(65536)


def parts(answer: bytes) -> tuple[int, int, int, bytes]:
    """Return kind, flags, id and payload of an answer."""
    assert answer.startswith(MAGIC)
    length, kind, flags, _, number = HEADER.unpack_from(answer, len(MAGIC))
    return kind, flags, number, answer[OVERHEAD : OVERHEAD + length]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1"])
async def test_opening_is_answered_from_the_address_asked(
    start_server: StartServer, host: str
) -> None:
    """The answer comes from the address that the question was sent to."""
    running = await start_server(host="", service="shop")
    answer = await asyncio.to_thread(ask, running.port, opening(), host=host)
    kind, flags, number, payload = parts(answer)
    assert (kind, flags, number) == (Kind.OPEN, ANSWER, 3)
    welcome: dict[str, Any] = json.loads(payload)
    assert welcome["service"] == "shop"
    assert welcome["local"] == {"address": host, "port": running.port}
    assert len(answer) <= 1200


@pytest.mark.parametrize("size", [0, 1, 1000, 60_000])
async def test_echo_is_answered_without_padding(
    start_server: StartServer, size: int
) -> None:
    """The payload of a datagram comes back without its padding."""
    running = await start_server()
    question = echo(b"x" * size, 77, size + 100)
    answer = await asyncio.to_thread(ask, running.port, question)
    assert parts(answer) == (Kind.ECHO, ANSWER, 77, b"x" * size)
    assert len(answer) == OVERHEAD + size


JUNK = {
    "empty": b"",
    "text": b"Hello, server!",
    "short": MAGIC,
    "magic-of-another": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "answer": MAGIC + serialize(Kind.ECHO, b"x", flags=ANSWER),
    "error": MAGIC + serialize(Kind.ERROR, b"{}", flags=ANSWER),
    "opening-unpadded": opening(0),
    "breach-without-room": MAGIC + serialize(99),
}


@pytest.mark.parametrize("name", JUNK)
async def test_non_questions_get_no_answer(
    start_server: StartServer, name: str
) -> None:
    """Foreign data, answers, and questions too short for an answer are ignored."""
    running = await start_server()
    # On loopback datagrams keep their order: an answer to junk would come first.
    answer = await asyncio.to_thread(ask, running.port, JUNK[name], echo(b"ok", 1))
    assert parts(answer)[3] == b"ok"
    assert running.server._counters.datagrams_ignored == 1
    assert running.server._counters.datagrams_answered == 1


BREACHES = {
    "kind": (MAGIC + serialize(99), "unknown_kind"),
    "flags": (MAGIC + serialize(Kind.ECHO, flags=4), "unknown_flags"),
    "reserved": (MAGIC + b"\0\0\0\0\x10\0\0\1" + bytes(8), "reserved_bits"),
    "stream-kind": (MAGIC + serialize(Kind.LEDGER, b"{}"), "out_of_order"),
    "truncated": (MAGIC + HEADER.pack(5000, Kind.ECHO, 0, 0, 9), "truncated"),
    "version": (
        MAGIC + serialize(Kind.OPEN, b'{"version":2,"nonce":"%s"}' % (b"0" * 32)),
        "unknown_version",
    ),
    "json": (MAGIC + serialize(Kind.OPEN, b"[]"), "bad_message"),
}


@pytest.mark.parametrize("name", BREACHES)
async def test_breach_is_answered_with_an_error(
    start_server: StartServer, name: str
) -> None:
    """A question that breaks a rule gets an ERROR, if it fits."""
    running = await start_server()
    sent, code = BREACHES[name]
    question = sent.ljust(600, b"\0")
    answer = await asyncio.to_thread(ask, running.port, question)
    kind, _, _, payload = parts(answer)
    assert kind == Kind.ERROR
    assert json.loads(payload)["code"] == code
    assert len(answer) <= len(question)


async def test_nonzero_padding_is_a_breach(start_server: StartServer) -> None:
    """Bytes after the frame of a datagram must be zeros."""
    running = await start_server()
    question = echo(b"x") + b"\1" * 500
    answer = await asyncio.to_thread(ask, running.port, question)
    assert json.loads(parts(answer)[3])["code"] == "bad_message"


async def test_answer_is_never_larger_than_its_question(
    start_server: StartServer,
) -> None:
    """An opening of any size gets an answer no larger, or none."""
    running = await start_server()

    def talk() -> list[tuple[int, int]]:
        sizes = []
        for size in range(80, 1200, 40):
            answer = ask(running.port, opening(size), echo(b"end"))
            sizes.append((len(answer), max(size, len(opening(0)))))
        return sizes

    for answered, asked in await asyncio.to_thread(talk):
        assert answered <= asked


async def test_burst_is_answered_in_order(start_server: StartServer) -> None:
    """A burst is answered completely."""
    running = await start_server()

    def talk() -> list[int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT_SECONDS)
            sock.connect(("127.0.0.1", running.port))
            for number in range(100):
                sock.send(echo(b"x", number))
            return [parts(sock.recv(2048))[2] for _ in range(100)]

    assert await asyncio.to_thread(talk) == list(range(100))


async def test_queued_questions_are_answered_before_the_exit(
    start_server: StartServer,
) -> None:
    """Datagrams queued at the stop are still answered."""
    running = await start_server()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_SECONDS)
        sock.connect(("127.0.0.1", running.port))
        for number in range(150):  # the loop does not run: all of them wait
            sock.send(echo(b"x", number))
        await running.stop()
        assert [parts(sock.recv(2048))[2] for _ in range(150)] == list(range(150))


async def test_udp_can_be_switched_off(start_server: StartServer) -> None:
    """Without UDP the port refuses datagrams, and TCP works."""
    running = await start_server(udp=False)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(ask, running.port, echo(b"x"))
    transports = {
        line["network.transport"] for line in running.lines.of("server.listening")
    }
    assert transports == {"tcp"}
