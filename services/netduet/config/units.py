"""Quantities in readable units: times, sizes, shares and rates."""

from __future__ import annotations

import re
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(ms|s|m|h)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": MINUTE, "h": HOUR, None: 1.0}
_SIZE = re.compile(r"([0-9]{1,15})\s*(?:([kKmMgG])(i?))?[bB]?")
_SHARE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(%)?")
_RATE = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kKmMgG])?\s*(?:[bB]it(?:/s)?|bps)?"
)
_POWERS: Final = {None: 0, "k": 1, "m": 2, "g": 3}


def parse_duration(value: object) -> object:
    """Return seconds for ``500ms``, ``30s``, ``2m``, ``1h`` or a bare number.

    Values that are not text are returned unchanged, for the model to validate; the same
    holds for the parsers below.

    Raises:
        ValueError: the text has none of these forms.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a time such as 500ms, 30s or 2m")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(value: object) -> object:
    """Return bytes for ``64KiB``, ``1MiB``, ``10kB`` (IEC 80000-13) or a number."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a size such as 4096, 64KiB or 1MiB")
    base = 1024 if match[3] else 1000
    power = _POWERS[match[2].lower() if match[2] else None]
    return int(match[1]) * int(base**power)


def parse_share(value: object) -> object:
    """Return a share for ``2%``, ``0.5 %`` or a bare number such as 0.02."""
    if not isinstance(value, str):
        return value
    match = _SHARE.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a share such as 2% or 0.02")
    return float(match[1]) / (100 if match[2] else 1)


def parse_rate(value: object) -> object:
    """Return bits per second for ``10M``, ``2.5 Gbit/s`` or a bare number."""
    if not isinstance(value, str):
        return value
    match = _RATE.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a rate such as 10M, 100Mbit/s or 2.5Gbit/s")
    power = _POWERS[match[2].lower() if match[2] else None]
    return float(match[1]) * 1000.0**power


def parse_durations(value: object) -> object:
    """Return a tuple of seconds for times separated by commas or spaces."""
    if not isinstance(value, str):
        return value
    return tuple(parse_duration(word) for word in re.split(r"[,\s]+", value) if word)


def show_share(share: float) -> str:
    """Return a share as a person types it."""
    return f"{share * 100:g}%"


def show_rate(rate: float) -> str:
    """Return bits per second as a person types them."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:g}{unit}"
    return f"{rate:g}"


def show_duration(seconds: float) -> str:
    """Return a time as a person types it."""
    if seconds and seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, length in (("h", HOUR), ("m", MINUTE)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def show_size(size: int) -> str:
    """Return a size as a person types it."""
    for unit, length in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)
