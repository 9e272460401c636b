"""Link-layer addresses of neighbours."""

from __future__ import annotations

import struct

import pytest

from netduet.net.neighbours import link_address, split_messages

HEADER = struct.Struct("=IHHII")


@pytest.mark.parametrize("host", ["198.51.100.77", "2001:db8::77", "fe80::77%1"])
def test_unknown_host_has_none(host: str) -> None:
    """An address that is no neighbour of this host has no MAC address."""
    assert link_address(host) is None


def test_messages_are_split_by_length() -> None:
    """Each one has its length; the next one is aligned to four bytes."""
    first = HEADER.pack(17, 28, 0, 1, 0) + b"a" + bytes(3)
    second = HEADER.pack(20, 3, 0, 1, 0) + b"bcde"
    assert list(split_messages(first + second)) == [(28, b"a"), (3, b"bcde")]


@pytest.mark.parametrize("length", [0, 15, 99])
def test_cut_message_ends_them(length: int) -> None:
    """A length that cannot be is no message."""
    assert list(split_messages(HEADER.pack(length, 28, 0, 1, 0) + b"abcd")) == []
