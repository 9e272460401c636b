"""Rates and times in readable units."""

from __future__ import annotations


def format_rate(bits: float) -> str:
    """Return bits per second, to three figures."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits >= size:
            value = bits / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004 - three figures
    return f"{bits:.0f} bit/s"


def format_milliseconds(seconds: float) -> str:
    """Return a time in milliseconds, with fewer digits for longer times."""
    value = seconds * 1000
    if value >= 10:  # noqa: PLR2004 - a figure more below
        return f"{value:.0f} ms"
    return f"{value:.1f} ms" if value >= 1 else f"{value:.2g} ms"
