"""Quantities in readable units: times, sizes, shares and rates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_NUMBER: Final = r"([0-9]{1,15}(?:\.[0-9]{1,400})?)"
"""As many places as the smallest number needs: what is shown can be typed."""

_MAX_VALUE: Final = 10**15
"""Larger values could be typed with a unit, and not shown without one."""

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": MINUTE, "h": HOUR, None: 1.0}
_POWERS: Final = {None: 0, "k": 1, "m": 2, "g": 3}


def _parser(
    pattern: str, convert: Callable[[re.Match[str]], float], example: str
) -> Callable[[object], object]:
    """Return a parser of text; other values are returned unchanged, for the model."""
    compiled = re.compile(pattern)

    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        match = compiled.fullmatch(value.strip())
        if match is None or (result := convert(match)) >= _MAX_VALUE:
            raise ValueError(f"must be a {example}")
        return result

    return parse


def _power(prefix: str | None) -> int:
    return _POWERS[prefix.lower() if prefix else None]


parse_duration = _parser(
    _NUMBER + r"\s*(ms|s|m|h)?",
    lambda match: float(match[1]) * _SECONDS[match[2]],
    "time such as 500ms, 30s or 2m",
)
"""Returns seconds. Like all parsers here, it raises ValueError for invalid text."""

parse_size = _parser(
    r"([0-9]{1,15})\s*(?:([kKmMgG])(i?))?[bB]?",
    lambda match: int(match[1]) * (1024 if match[3] else 1000) ** _power(match[2]),
    "size such as 4096, 64KiB or 1MiB",
)
"""Returns bytes (prefixes: IEC 80000-13)."""

parse_share = _parser(
    _NUMBER + r"\s*(%)?",
    lambda match: float(match[1]) / (100 if match[2] else 1),
    "share such as 2% or 0.02",
)
"""Returns a share between 0 and 1."""

parse_rate = _parser(
    _NUMBER + r"\s*([kKmMgG])?\s*(?:[bB]it(?:/s)?|bps)?",
    lambda match: float(match[1]) * 1000.0 ** _power(match[2]),
    "rate such as 10M, 100Mbit/s or 2.5Gbit/s",
)
"""Returns bits per second."""


def parse_durations(value: object) -> object:
    """Return a tuple of seconds for times separated by commas or spaces."""
    if not isinstance(value, str):
        return value
    return tuple(parse_duration(word) for word in re.split(r"[,\s]+", value) if word)


def show_share(share: float) -> str:
    """Return a share as a person types it."""
    return _exact(share, parse_share, (("%", 0.01),), "")


def show_rate(rate: float) -> str:
    """Return bits per second as a person types them."""
    units = [
        (unit, size)
        for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3))
        if rate >= size
    ]
    return _exact(rate, parse_rate, units[:1], "")


def show_duration(seconds: float) -> str:
    """Return a time as a person types it."""
    units = [
        (unit, length)
        for unit, length in (("h", HOUR), ("m", MINUTE))
        if seconds and seconds % length == 0
    ]
    if seconds and seconds < 1:
        units = [("ms", 0.001)]
    return _exact(seconds, parse_duration, units[:1], "s")


def show_size(size: int) -> str:
    """Return a size as a person types it."""
    for unit, length in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


def _exact(
    value: float,
    parse: Callable[[object], object],
    units: Iterable[tuple[str, float]],
    plain_unit: str,
) -> str:
    """Return the shortest form that means exactly this value, in one of the units."""
    for unit, size in units:
        for number in (f"{value / size:g}", f"{value / size:.15g}"):
            text = f"{_decimal(number)}{unit}"
            if parse(text) == value:
                return text
    return f"{_decimal(repr(value))}{plain_unit}"


def _decimal(number: str) -> str:
    """Return a number without an exponent and without zeros that mean nothing."""
    text = f"{Decimal(number):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
