"""Choosing local ports."""

from __future__ import annotations

import random

from netduet.client.net.source_ports import spread_ports


def test_ports_are_spread_evenly() -> None:
    """Each part of the range has one, so a blocked slice is met in proportion."""
    ports = spread_ports(128, random.Random(1), (32_768, 60_999))
    assert len(set(ports)) == 128
    assert all(32_768 <= port <= 60_999 for port in ports)
    inside = sum(40_000 <= port <= 43_500 for port in ports)
    assert 14 <= inside <= 18  # an eighth of the range, give or take its ends
    assert ports != sorted(ports)


def test_small_ranges_have_fewer_ports() -> None:
    """All ports of a small range, each of them once."""
    assert sorted(spread_ports(128, random.Random(1), (5, 9))) == [5, 6, 7, 8, 9]
    assert spread_ports(8, random.Random(1), (7, 7)) == [7]
