"""Foreign bytes: recognised where possible, escaped to show."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.wire.untrusted import log_safe, recognise


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (b"GET / HTTP/1.1\r\n", "http"),
        (b"PRI * HTTP/2.0\r\n", "http"),
        (b"HTTP/1.1 400 Bad Request\r\n", "http"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "http"),
        (b"\x16\x03\x01\x02\x00\x01", "tls"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "tls"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "proxy"),
        (b"PROXY UNKNOWN\r\n", "proxy"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21", "proxy"),
        (b"Hello, server!", None),
        (b"GET up, stand up", None),
        (b"PROXYTCP4", None),
        (b"", None),
    ],
)
def test_foreign_protocols_are_recognised(first: bytes, name: str | None) -> None:
    """The first bytes of a foreign server are named if they match a protocol."""
    assert recognise(first) == name


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"Hello, server!", "Hello, server!"),
        ("안녕, 서버!".encode(), "안녕, 서버!"),
        (b"a\r\nb\tc", r"a\r\nb\tc"),
        (b"\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\u202egnp.exe".encode(), r"\u202egnp.exe"),
        ("\u2028\u0085".encode(), r"\u2028\x85"),
        ("\u00a0\u3000".encode(), r"\xa0\u3000"),
        (b"\xff\xc3", r"\xff\xc3"),
        (b"back\\slash", r"back\\slash"),
        ("back\\é".encode(), r"back\\é"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    ],
)
def test_log_safe_escapes(data: bytes, shown: str) -> None:
    """Text stays; what forges lines, controls terminals or is binary is escaped."""
    assert log_safe(data, 100) == shown


def test_log_safe_cuts_between_characters() -> None:
    """A character that the limit would split is left out."""
    assert log_safe("서버".encode(), 5) == "서…"
    assert log_safe("서버".encode(), 6) == "서버"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 100))
def test_log_safe_is_one_bounded_line(data: bytes, limit: int) -> None:
    """Any bytes become printable text of bounded length that UTF-8 can encode."""
    shown = log_safe(data, limit)
    assert shown.isprintable()
    assert len(shown.encode()) <= 10 * limit + len("…".encode())
