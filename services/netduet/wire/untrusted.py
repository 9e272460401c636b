"""Bytes from other programs: made safe to show, and recognised where possible.

Standard library only.
"""

from __future__ import annotations

import codecs
import re

_SIGNATURES = (
    ("tls", re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")),
    ("ssh", re.compile(rb"SSH-\d")),
    ("proxy", re.compile(rb"PROXY (TCP[46]|UNKNOWN)|\r\n\r\n\x00\r\nQUIT\n")),
    (
        "http",
        re.compile(
            rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|PATCH|CONNECT) \S+ HTTP/\d"
            rb"|HTTP/\d|PRI \* HTTP/2"
            rb"|\s*<(?i:!DOCTYPE html|html)[\s>]"  # HTTP/0.9: a page without a status line
            rb"|\x00\x00[\x00-\xff]\x04\x00\x00\x00\x00\x00"  # HTTP/2 SETTINGS first
        ),
    ),
)


def recognise(first: bytes) -> str | None:
    """Return ``http``, ``tls``, ``ssh`` or ``proxy`` when the bytes begin like one."""
    for name, signature in _SIGNATURES:
        if signature.match(first):
            return name
    return None


def escape(text: str) -> str:
    """Escape every character that is not visible.

    Line breaks, terminal escape sequences, changes of writing direction (CVE-2009-4487,
    CVE-2021-42574) and spaces other than ASCII's are escaped.
    """
    if text.isprintable():
        return text.replace("\\", "\\\\")
    return "".join(map(_escape_char, text))


def _escape_char(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if "\udc80" <= char <= "\udcff":  # a byte decoded by surrogateescape
        return f"\\x{ord(char) - 0xDC00:02x}"
    if not char.isprintable():
        return char.encode("unicode_escape").decode("ascii")
    return char


def log_safe(data: bytes, limit: int) -> str:
    r"""Return at most ``limit`` bytes of the data as text that is safe to show.

    UTF-8 where it is valid, ``\xNN`` where not; a character that the limit splits is
    left out, and ``…`` marks the cut.
    """
    cut = len(data) > limit
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text = decoder.decode(data[:limit], final=not cut)
    return escape(text) + ("…" if cut else "")
