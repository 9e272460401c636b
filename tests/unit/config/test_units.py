"""Parsing and formatting durations, sizes and rates."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netduet.config.units import (
    parse_duration,
    parse_rate,
    parse_size,
    show_duration,
    show_rate,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("2m", 120),
        ("1h", 3600),
        ("1.5s", 1.5),
        ("30", 30),
        (" 30 s ", 30),
        ("0s", 0),
    ],
)
def test_duration_is_parsed_to_seconds(text: str, seconds: float) -> None:
    """Durations accept the units that people type."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("64KiB", 65_536),
        ("64kib", 65_536),
        ("1MiB", 1_048_576),
        ("1 MiB", 1_048_576),
        ("2Gi", 2_147_483_648),
        ("10kB", 10_000),
        ("3M", 3_000_000),
        ("7B", 7),
        ("0", 0),
    ],
)
def test_size_is_parsed_to_bytes(text: str, size: int) -> None:
    """Sizes use powers of 1024 with an i, and of 1000 without."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1x", "1 s s", "1e3", "inf", "nan", "١s", "9" * 5000]
)
def test_invalid_duration_is_rejected_with_examples(text: str) -> None:
    """The error shows valid durations."""
    with pytest.raises(ValueError, match="must be a time such as 500ms, 30s or 2m"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "KiB", "-1", "1.5MiB", "1iB", "1TiB", "١", "9" * 5000]
)
def test_invalid_size_is_rejected_with_examples(text: str) -> None:
    """The error shows valid sizes."""
    with pytest.raises(ValueError, match="must be a size such as 4096, 64KiB or 1MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("0", 0),
        ("9600", 9600),
        ("10M", 1e7),
        ("100Mbit/s", 1e8),
        ("2.5 Gbit/s", 2.5e9),
        ("64kbps", 64e3),
        ("1Gbit", 1e9),
    ],
)
def test_rate_is_parsed_to_bits_per_second(text: str, rate: float) -> None:
    """Prefixes are powers of 1000, as usual for network rates."""
    assert parse_rate(text) == rate
    assert parse_rate(show_rate(rate)) == rate


@pytest.mark.parametrize("text", ["", "M", "-1", "1Mib", "1MB/s", "1T", "1e9"])
def test_invalid_rate_is_rejected_with_examples(text: str) -> None:
    """The error shows valid rates; bytes are invalid."""
    with pytest.raises(ValueError, match="must be a rate such as 10M"):
        parse_rate(text)


@given(st.text(max_size=12))
def test_any_text_is_parsed_or_raises_valueerror(text: str) -> None:
    """No other exception is raised."""
    for parse in (parse_duration, parse_size, parse_rate):
        with contextlib.suppress(ValueError):
            assert isinstance(parse(text), float | int)


@given(st.integers(min_value=0, max_value=2**40))
def test_size_text_round_trip(size: int) -> None:
    """A formatted size can be typed."""
    assert parse_size(show_size(size)) == size


@given(st.integers(min_value=0, max_value=10**8))
def test_duration_text_round_trip(milliseconds: int) -> None:
    """A formatted duration can be typed, to its six leading digits."""
    shown = show_duration(milliseconds / 1000)
    assert parse_duration(shown) == pytest.approx(milliseconds / 1000, rel=1e-5)
