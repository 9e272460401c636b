"""Gaps in sequence numbers, compared with a simple set, and their limit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.wire.sequence import Gap, SequenceGaps

few = settings(max_examples=200, deadline=None)
arrivals = st.lists(st.integers(0, 60), max_size=80)


def gaps_of(
    arrived: list[int], most: int = 1000, first: int | None = None
) -> SequenceGaps:
    """Return the gaps after these numbers have arrived."""
    gaps = SequenceGaps(most, first)
    for number in arrived:
        gaps.take(number)
    return gaps


def missing(arrived: list[int], start: int) -> tuple[Gap, ...]:
    """Return the ranges between ``begin`` and the highest that are not there."""
    seen, ranges = set(arrived), list[Gap]()
    for number in range(start, max(seen, default=start)):
        if number in seen:
            continue
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return tuple(ranges)


@few
@given(arrivals)
def test_gaps_match_a_reference(arrived: list[int]) -> None:
    """Any numbers in any order give the gaps that a simple set gives."""
    gaps = gaps_of(arrived)
    assert gaps.newest(1000) == missing(arrived, min(arrived, default=0))
    assert gaps.next == max(arrived, default=-1) + 1
    assert gaps.first == gaps.floor == min(arrived, default=0)
    assert gaps.received == len(set(arrived))
    assert gaps.duplicated == len(arrived) - len(set(arrived))
    first = [number for at, number in enumerate(arrived) if number not in arrived[:at]]
    behind = [n for at, n in enumerate(first) if n < max(first[:at], default=-1)]
    assert gaps.late == len(behind)


@few
@given(arrivals)
def test_known_start_makes_a_gap_before_the_first_number(arrived: list[int]) -> None:
    """If the first number is known, all missing ones after it are gaps."""
    gaps = gaps_of(arrived, first=0)
    assert gaps.newest(1000) == (missing(arrived, 0) if arrived else ())
    assert gaps.received == len(set(arrived))


@few
@given(arrivals, st.integers(1, 6))
def test_limit_drops_oldest_gaps_and_raises_the_floor(
    arrived: list[int], most: int
) -> None:
    """The gaps above ``floor`` are complete, and none is made up."""
    gaps = gaps_of(arrived, most)
    kept = gaps.newest(1000)
    assert len(kept) <= most
    true = missing(arrived, min(arrived, default=0))
    lacking = {number for start, end in true for number in range(start, end)}
    shown = {number for first, last in kept for number in range(first, last)}
    assert lacking >= {number for number in shown if number >= gaps.floor} == shown


@few
@given(arrivals, st.integers(1, 6))
def test_newest_gaps_are_complete_from_their_start(
    arrived: list[int], count: int
) -> None:
    """A partial list has all gaps above the number that comes with it."""
    gaps = gaps_of(arrived)
    since = gaps.since(count)
    shown = gaps.newest(count)
    assert shown == tuple(gap for gap in gaps.newest(1000) if gap[0] >= since)


@few
@given(arrivals, st.integers(0, 70))
def test_forgotten_gaps_are_returned_once(arrived: list[int], below: int) -> None:
    """Gaps below a number are cut there, returned and removed; others stay."""
    gaps = gaps_of(arrived)
    before = gaps.newest(1000)
    gone = gaps.forget(below)
    assert gone == tuple((a, min(b, below)) for a, b in before if a < below)
    assert gaps.newest(1000) == tuple(
        (max(a, below), b) for a, b in before if b > below
    )
    assert gaps.forget(below) == ()


def test_number_below_the_floor_is_late_not_received() -> None:
    """There, a late number and a repeated one cannot be distinguished."""
    gaps = gaps_of([0, 2, 4, 6, 8], most=2)
    received = gaps.received
    gaps.take(1)
    assert (gaps.received, gaps.late, gaps.floor) == (received, 1, 4)
