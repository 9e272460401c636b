"""Patterns: their content, and the offset of the first altered byte."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.wire import payload_pattern

seeds = st.integers(0, 2**64 - 1)
few = settings(max_examples=150, deadline=None)


def test_pattern_equals_reference() -> None:
    """Another implementation gives the same: the seed, then SHAKE128."""
    assert payload_pattern.make(24, 0x0102030405060708).hex() == (
        "0102030405060708" + hashlib.shake_128(bytes(range(1, 9))).hexdigest(16)
    )


@pytest.mark.parametrize("size", range(9))
def test_short_pattern_is_a_part_of_its_seed(size: int) -> None:
    """Up to eight bytes the pattern is the seed alone."""
    assert payload_pattern.make(size, 0x0102030405060708) == bytes(range(1, 9))[:size]


@few
@given(st.integers(0, 3000), st.integers(0, 3000), seeds)
def test_shorter_pattern_is_a_prefix_of_the_longer(
    size: int, other: int, seed: int
) -> None:
    """The size does not change the byte at an offset."""
    short, long = sorted(
        (payload_pattern.make(size, seed), payload_pattern.make(other, seed)), key=len
    )
    assert long.startswith(short)
    assert {len(short), len(long)} == {size, other}


@few
@given(st.integers(0, 3000), seeds)
def test_unaltered_pattern_has_no_difference(size: int, seed: int) -> None:
    """Data that arrives as it was made differs nowhere."""
    assert payload_pattern.changed_at(payload_pattern.make(size, seed)) is None


@few
@given(st.integers(9, 3000), seeds, st.lists(st.integers(8, 2999), min_size=1))
def test_first_altered_byte_is_found(size: int, seed: int, places: list[int]) -> None:
    """However many bytes differ, the first one is returned."""
    broken = bytearray(payload_pattern.make(size, seed))
    hit = {8 + (place - 8) % (size - 8) for place in places}
    for place in hit:
        broken[place] ^= 0xFF
    assert payload_pattern.changed_at(bytes(broken)) == min(hit)


@few
@given(st.integers(24, 300), seeds, st.integers(0, 63))
def test_altered_seed_differs_after_the_seed(size: int, seed: int, bit: int) -> None:
    """A changed seed makes another pattern, so the rest of the data differs."""
    data = (
        payload_pattern.make(8, seed ^ 1 << bit) + payload_pattern.make(size, seed)[8:]
    )
    found = payload_pattern.changed_at(data)
    assert found is not None
    assert 8 <= found < 24


def test_lost_byte_is_found() -> None:
    """Data shifted by a byte differs from there on."""
    data = payload_pattern.make(2000, 5)
    found = payload_pattern.changed_at(data[:1000] + data[1001:])
    assert found is not None
    assert 1000 <= found < 1010
