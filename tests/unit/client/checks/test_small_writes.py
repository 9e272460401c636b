"""Judging answers to small writes: tables of times, no network."""

from __future__ import annotations

import socket

import pytest

from netduet.client.checks.small_writes import (
    SmallWrites,
    held_back_finding,
    small_write_notes,
)
from netduet.client.net.dial import Address

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
RTT = 0.0002


def writes(
    alone: float, followed: float | None = None, split: float | None = None
) -> SmallWrites:
    """Return measurements that are all alike; None: not tried."""
    return SmallWrites(
        (alone,) * 3,
        () if followed is None else (followed,) * 3,
        () if split is None else (split,) * 8,
        RTT,
    )


@pytest.mark.parametrize(
    ("measured", "found", "noted"),
    [
        (writes(0.001, split=0.001), False, ""),
        (writes(1.0, followed=0.003), True, ""),
        (writes(0.2, followed=0.003), False, "small writes are held back"),
        (writes(0.2, followed=0.19), False, "or there is a long way"),
        (writes(0.001, split=0.042), False, "Nagle's algorithm"),
        (writes(0.08, split=0.08), False, ""),
        (SmallWrites(), False, ""),
    ],
    ids=["fast", "buffered", "delayed", "distant", "nagle", "long path", "unmeasured"],
)
def test_held_back_writes(measured: SmallWrites, *, found: bool, noted: str) -> None:
    """Only what more data sets free is a failure."""
    finding = held_back_finding(THERE, measured, RTT)
    assert (finding is not None) == found
    notes = small_write_notes(THERE, measured, RTT)
    assert len(notes) == bool(noted)
    assert all(noted in note for note in notes)


def test_held_back_write_is_compared_with_rtt() -> None:
    """The finding has the times and the RTT."""
    finding = held_back_finding(THERE, writes(1.0, followed=0.003), RTT)
    assert finding is not None
    assert finding.failure == "path.held_back"
    assert finding.seen == (
        "192.0.2.2:12345: small writes are held back: an answer to 24 bytes takes "
        "1000 ms, and 3 ms if more data follows; the RTT is 0.2 ms"
    )


def test_long_round_trips_explain_slow_answers() -> None:
    """An answer that takes a few RTTs is not held back."""
    distant = SmallWrites((0.6,) * 3, (0.1,) * 3, (), 0.3)
    assert held_back_finding(THERE, distant, 0.3) is None
