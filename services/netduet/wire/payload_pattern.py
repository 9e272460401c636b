"""Patterns: bytes that both ends can make, so that each can tell changed ones.

A pattern begins with its seed, 8 bytes, and goes on with SHAKE128 of them
(FIPS 202): it cannot be compressed, and no two seeds share a part.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import shake_128
from typing import Final

SEED_SIZE: Final = 8

_MAX_KEPT: Final = 16
_KEPT_SIZE: Final = 256 * 1024
"""Patterns that are kept, and the largest of them: a transfer uses few, often."""


def make(size: int, seed: int) -> bytes:
    """Return a pattern of ``size`` bytes; a short one is a part of its seed."""
    return _kept(size, seed) if size <= _KEPT_SIZE else _made(size, seed)


def _made(size: int, seed: int) -> bytes:
    head = seed.to_bytes(SEED_SIZE, "big")
    if size <= SEED_SIZE:
        return head[:size]
    return head + shake_128(head).digest(size - SEED_SIZE)


_kept = lru_cache(_MAX_KEPT)(_made)


def changed_at(data: bytes) -> int | None:
    """Return where the first byte stands that differs from the pattern, else None.

    A changed seed shows as a change behind it.
    """
    right = make(len(data), int.from_bytes(data[:SEED_SIZE], "big"))
    if len(data) <= SEED_SIZE or data == right:
        return None
    low, high = SEED_SIZE, len(data)
    while high - low > 1:  # the halves that are equal hold no difference
        middle = (low + high) // 2
        if data[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low
