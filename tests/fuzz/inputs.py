"""Input for a target: its seeds, changed in ways that parsers get wrong.

Not by hypothesis, whose own work would take nine tenths of the time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

MAX_BYTES: Final = 4096
_MAX_EDITS: Final = 6
_LENGTHS: Final = (0, 0, 1, 1, 2, 4, 8, 16, 300)

_PIECES: Final = (
    b"\0",
    b"\xff" * 4,
    b"\x80",
    b"\r\n",
    b"\n",
    b"{",
    b"}" * 3,
    b"[" * 40,
    b'":',
    b"1" * 25,
    b"-1",
    b"0.1",
    b"1e999",
    b"NaN",
    b"\\ud800",
    b"\\u0000",
    "\u202e".encode(),
    b"\x1b[31m",
    b"=",
    b",",
    b"%",
    b"://",
    b"@",
    b"/",
    b" ",
    b"'",
    b"$",
)


def changed(seeds: Sequence[bytes], chance: random.Random) -> Iterator[bytes]:
    """Yield seeds that were cut, joined and edited, without end."""
    while True:
        data = chance.choice(seeds)
        for _ in range(chance.randint(1, _MAX_EDITS)):
            at = chance.randrange(len(data) + 1)
            length = chance.choice(_LENGTHS)
            data = data[:at] + _piece(seeds, chance) + data[at + length :]
        yield data[:MAX_BYTES]


def _piece(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    kind = chance.randrange(8)
    if kind < 3:
        return chance.randbytes(chance.randint(1, 4))
    if kind < 6:
        return chance.choice(_PIECES)
    if kind == 6:
        return b""
    other = chance.choice(seeds)
    start = chance.randrange(len(other) + 1)
    return other[start : start + chance.randrange(1, 200)]


def smallest(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Return as little of the data as still fails, found by leaving out pieces."""
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if fails(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
