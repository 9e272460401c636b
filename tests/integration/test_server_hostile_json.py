"""Questions with more JSON than any question needs, over TCP and UDP."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from netduet.wire.frames import HEADER_SIZE, MAGIC, Kind, serialize
from tests.integration.conftest import StartServer
from tests.integration.framed_client import FramedClient, connect, read_to_end
from tests.integration.servers import TIMEOUT_SECONDS

NONCE = "0" * 32
KIB = 1024


def with_fields(count: int) -> bytes:
    """Return an opening's JSON with this number of unknown fields."""
    unknown = {f"x{number}": 0 for number in range(count)}
    return json.dumps({"version": 1, "nonce": NONCE} | unknown).encode()


QUESTIONS = {
    "60 KiB": (with_fields(5000), "too_large", 2048),
    "fields": (with_fields(100), "bad_message", 64),
    "elements": (b'{"version":1,"nonce":[' + b"[]," * 600, "bad_message", 64),
    "depth": (b"[" * 2000, "bad_message", 64),
}


def failure_of(answer: bytes) -> dict[str, Any]:
    """Return the content of an answer that is one ERROR."""
    assert answer.startswith(MAGIC)
    assert answer[len(MAGIC) + 4] == Kind.ERROR
    return dict(json.loads(answer[len(MAGIC) + HEADER_SIZE :]))


@pytest.mark.parametrize("name", QUESTIONS)
async def test_datagram_is_refused_for_its_size(
    start_server: StartServer, name: str
) -> None:
    """The answer is short and names the limit."""
    running = await start_server()
    payload, code, limit = QUESTIONS[name]

    def talk() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT_SECONDS)
            sock.connect(("127.0.0.1", running.port))
            sock.send(MAGIC + serialize(Kind.OPEN, payload, id=5))
            return sock.recv(64 * KIB)

    answer = await asyncio.to_thread(talk)
    assert len(answer) < 256
    failure = failure_of(answer)
    assert failure["code"] == code
    assert failure["facts"]["limit"] == limit


@pytest.mark.parametrize("name", QUESTIONS)
async def test_opening_is_refused_for_its_size(
    start_server: StartServer, name: str
) -> None:
    """So is an opening over TCP, and the connection ends without a reset."""
    running = await start_server()
    payload, code, limit = QUESTIONS[name]

    def talk() -> bytes:
        with connect(running.port) as sock:
            sock.sendall(MAGIC + serialize(Kind.OPEN, payload, id=5))
            return read_to_end(sock)

    failure = failure_of(await asyncio.to_thread(talk))
    assert failure["code"] == code
    assert failure["facts"]["limit"] == limit


async def test_limits_are_settings(start_server: StartServer) -> None:
    """Within raised limits the question is judged by its fields."""
    running = await start_server(max_question_size="64KiB", max_question_fields=4096)

    def talk() -> dict[str, Any]:
        with FramedClient(running.port) as peer:
            peer.send(Kind.REPORT, with_fields(1000))
            return peer.error()

    failure = await asyncio.to_thread(talk)
    assert failure["code"] == "unknown_field"
    assert failure["facts"] == {"field": "version"}
