"""A server that floods its clients, as a process: ``python -m tests.chaos.hostile_server KIND``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from netduet.wire.frames import (
    ANSWER,
    FEATURES,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    Kind,
    serialize,
)
from tests.chaos.server import HOST, PORT

_CHUNK: Final = 64 * 1024
_QUIET_KINDS: Final = frozenset({Kind.END, Kind.HOLD})

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _welcome(streams: Streams) -> None:
    reader, writer = streams
    await reader.readexactly(len(MAGIC))
    _, frame_id, payload = await _receive(reader)
    fields = {
        "version": 1,
        "nonce": json.loads(payload)["nonce"],
        "service": "netduet",
        "instance": "hostile",
        "boot_id": "b" * 32,
        "conn_id": secrets.token_hex(16),
        "software": "netduet/1",
        "features": list(FEATURES),
        "limits": {"max_frame": 1 << 20, "idle": 60.0, "frame": 10.0, "hold": 7200.0},
        "peer": _end(writer, "peername"),
        "local": _end(writer, "sockname"),
    }
    answer = json.dumps(fields).encode()
    writer.write(MAGIC + serialize(Kind.OPEN, answer, flags=ANSWER, id=frame_id))
    await writer.drain()


def _end(writer: asyncio.StreamWriter, name: str) -> dict[str, object]:
    address, port = writer.get_extra_info(name)[:2]
    return {"address": address, "port": port}


async def _receive(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    length, kind, _, _, frame_id = HEADER.unpack(await reader.readexactly(HEADER_SIZE))
    return kind, frame_id, await reader.readexactly(length)


async def _flood(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


async def _echoes(streams: Streams) -> None:
    await _welcome(streams)
    frame = serialize(Kind.ECHO, bytes(_CHUNK), flags=ANSWER, id=12345)
    await _flood(streams[1], frame)


async def _answers(streams: Streams) -> None:
    await _welcome(streams)
    reader, writer = streams
    while True:
        kind, frame_id, payload = await _receive(reader)
        if kind == Kind.ECHO:
            writer.write(serialize(Kind.ECHO, payload, flags=ANSWER, id=frame_id))
            break
        if kind in _QUIET_KINDS:
            break
        writer.write(serialize(Kind.SOURCE, bytes(_CHUNK), flags=ANSWER, id=frame_id))
    await _flood(writer, serialize(Kind.SOURCE, bytes(_CHUNK), flags=ANSWER, id=1))


async def _text(streams: Streams) -> None:
    await _flood(streams[1], b"Hello, client! " * 4096)


async def _drip(streams: Streams) -> None:
    await _welcome(streams)
    while True:
        for byte in serialize(Kind.ECHO, bytes(100), flags=ANSWER, id=1):
            streams[1].write(bytes((byte,)))
            await asyncio.sleep(1)


async def _welcomes(streams: Streams) -> None:
    await _welcome(streams)
    await streams[0].read()


_KINDS: Final[dict[str, Callable[[Streams], Awaitable[None]]]] = {
    "echoes": _echoes,
    "answers": _answers,
    "text": _text,
    "drip": _drip,
    "welcomes": _welcomes,
}


async def _serve(kind: str) -> None:
    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, EOFError), contextlib.closing(writer):
            await _KINDS[kind]((reader, writer))

    server = await asyncio.start_server(handle, HOST, PORT)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
