"""Times and sizes as a person types them, and back."""

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
def test_time_in_a_unit_is_seconds(text: str, seconds: float) -> None:
    """Times take the units that a person types."""
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
def test_size_in_a_unit_is_bytes(text: str, size: int) -> None:
    """Sizes take powers of 1024 with an i, and of 1000 without."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1x", "1 s s", "1e3", "inf", "nan", "١s", "9" * 5000]
)
def test_text_that_is_no_time_is_refused_with_examples(text: str) -> None:
    """What is no time is told what one looks like."""
    with pytest.raises(ValueError, match="must be a time such as 500ms, 30s or 2m"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "KiB", "-1", "1.5MiB", "1iB", "1TiB", "١", "9" * 5000]
)
def test_text_that_is_no_size_is_refused_with_examples(text: str) -> None:
    """What is no size is told what one looks like."""
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
def test_rate_is_read_in_bits_a_second(text: str, rate: float) -> None:
    """Prefixes are powers of a thousand, as all rates of networks are."""
    assert parse_rate(text) == rate
    assert parse_rate(show_rate(rate)) == rate


@pytest.mark.parametrize("text", ["", "M", "-1", "1Mib", "1MB/s", "1T", "1e9"])
def test_text_that_is_no_rate_is_refused_with_examples(text: str) -> None:
    """What is no rate is told what one looks like; bytes are none."""
    with pytest.raises(ValueError, match="must be a rate such as 10M"):
        parse_rate(text)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    """Nothing but ValueError comes out of reading a quantity."""
    for parse in (parse_duration, parse_size, parse_rate):
        with contextlib.suppress(ValueError):
            assert isinstance(parse(text), float | int)


@given(st.integers(min_value=0, max_value=2**40))
def test_size_that_is_shown_reads_back_the_same(size: int) -> None:
    """What is shown of a size can be typed."""
    assert parse_size(show_size(size)) == size


@given(st.integers(min_value=0, max_value=10**8))
def test_time_that_is_shown_reads_back_the_same(milliseconds: int) -> None:
    """What is shown of a time can be typed, to its six leading digits."""
    shown = show_duration(milliseconds / 1000)
    assert parse_duration(shown) == pytest.approx(milliseconds / 1000, rel=1e-5)
