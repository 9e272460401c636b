"""Services that send without end: what a conversation keeps is bounded."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from netduet.client.protocols import PROTOCOLS
from netduet.client.protocols.base import MAX_ANSWER_BYTES, Protocol
from tests.unit.client.protocols import answers

CHUNK_BYTES = 64 * 1024
CHUNKS = 64
MAX_KEPT_BYTES = 4 * MAX_ANSWER_BYTES + 4 * CHUNK_BYTES

FLOODS = {
    "text": (b"", b"yes\n"),
    "HTTP answers": (b"", answers.NGINX),
    "HTTP headers": (b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n"),
    "HTTP body": (b"HTTP/1.1 200 OK\r\n\r\n", b"<p>"),
    "greeting": (b"", b"220-mail.example.com ESMTP\r\n"),
    "greetings": (b"", b"220 mail.example.com ESMTP\r\n"),
    "Redis": (b"", b"+PONG\r\n"),
    "Redis bulk": (b"$999999999999\r\n", b"x" * 1024),
    "NATS": (b'INFO {"server_id":"A","version":"2"}\r\n', b"PING\r\n"),
    "TLS": (b"", struct.pack("!BHH", 22, 0x0303, 16_384) + bytes(16_384)),
    "TLS alert": (b"", b"\x15\x03\x03\x00\x02\x02\x28"),
    "HTTP/2": (b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)),
    "nothing": (b"", bytes(1024)),
}
TCP = [protocol for protocol in PROTOCOLS if not protocol.datagrams]


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("protocol", TCP, ids=lambda protocol: protocol.name)
def test_flood_is_not_kept(protocol: Protocol, flood: str) -> None:
    """Whatever it is, it is counted, answered or dropped, and not collected."""
    first, unit = FLOODS[flood]
    conversation = protocol.converse("localhost")
    conversation.start()
    conversation.receive(first)
    chunk = (unit * (CHUNK_BYTES // len(unit) + 1))[:CHUNK_BYTES]
    tracemalloc.start()
    try:
        for _ in range(CHUNKS):
            conversation.receive(chunk)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < MAX_KEPT_BYTES
