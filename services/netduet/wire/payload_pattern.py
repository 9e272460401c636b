"""Patterns: bytes that both ends can compute, so that each can detect changes.

A pattern is its seed, 8 bytes, followed by SHAKE128 of the seed (FIPS 202): it cannot
be compressed, and patterns of different seeds share nothing.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import shake_128
from typing import Final

SEED_SIZE: Final = 8

_MAX_KEPT: Final = 16
_KEPT_SIZE: Final = 256 * 1024
"""Largest pattern that is cached; a transfer uses few patterns, often."""


def make(size: int, seed: int) -> bytes:
    """Return a pattern of ``size`` bytes; below 8 bytes, a prefix of its seed."""
    return _kept(size, seed) if size <= _KEPT_SIZE else _made(size, seed)


def piece(size: int, seed: int, start: int, stop: int) -> memoryview:
    """Return the bytes from ``start`` to ``stop`` of a pattern of ``size`` bytes.

    Copy them to keep them: a view keeps the whole pattern.
    SHAKE128 gives its output from the first byte on, so the whole is made for a piece;
    the last large pattern is cached, for the pieces that follow at once.
    """
    whole = make(size, seed) if size <= _KEPT_SIZE else _last_large(size, seed)
    return memoryview(whole)[start:stop]


def _made(size: int, seed: int) -> bytes:
    head = seed.to_bytes(SEED_SIZE, "big")
    if size <= SEED_SIZE:
        return head[:size]
    return head + shake_128(head).digest(size - SEED_SIZE)


_kept = lru_cache(_MAX_KEPT)(_made)
_last_large = lru_cache(1)(_made)


def changed_at(data: bytes) -> int | None:
    """Return the offset of the first byte that differs from the pattern, or None.

    A changed seed appears as a change after it.
    """
    right = make(len(data), int.from_bytes(data[:SEED_SIZE], "big"))
    if len(data) <= SEED_SIZE or data == right:
        return None
    low, high = SEED_SIZE, len(data)
    while high - low > 1:  # equal halves hold no difference
        middle = (low + high) // 2
        if data[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low
