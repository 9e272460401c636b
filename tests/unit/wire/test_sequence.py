"""Gaps: against a plain reading of what arrived, and within their bound."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.wire.sequence import Gap, SequenceGaps

few = settings(max_examples=200, deadline=None)
arrivals = st.lists(st.integers(0, 60), max_size=80)


def taken(
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
def test_gaps_are_what_is_missing(arrived: list[int]) -> None:
    """Any numbers in any order leave the gaps that a plain reading of them finds."""
    gaps = taken(arrived)
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
def test_known_begin_makes_what_is_before_the_first_a_gap(arrived: list[int]) -> None:
    """Where the first number is known, all that is missing from it on is missed."""
    gaps = taken(arrived, first=0)
    assert gaps.newest(1000) == (missing(arrived, 0) if arrived else ())
    assert gaps.received == len(set(arrived))


@few
@given(arrivals, st.integers(1, 6))
def test_a_bound_forgets_the_oldest_and_says_from_where_it_knows(
    arrived: list[int], most: int
) -> None:
    """With few gaps kept, those from ``floor`` on are few enough, and none is made up."""
    gaps = taken(arrived, most)
    kept = gaps.newest(1000)
    assert len(kept) <= most
    true = missing(arrived, min(arrived, default=0))
    lacking = {number for start, end in true for number in range(start, end)}
    shown = {number for first, last in kept for number in range(first, last)}
    assert lacking >= {number for number in shown if number >= gaps.floor} == shown


@few
@given(arrivals, st.integers(1, 6))
def test_newest_are_complete_from_where_they_say(
    arrived: list[int], count: int
) -> None:
    """What is shown in part is all there is behind the number that is told with it."""
    gaps = taken(arrived)
    since = gaps.since(count)
    shown = gaps.newest(count)
    assert shown == tuple(gap for gap in gaps.newest(1000) if gap[0] >= since)


@few
@given(arrivals, st.integers(0, 70))
def test_what_is_forgotten_is_returned_once(arrived: list[int], below: int) -> None:
    """The gaps below a number come out, cut there, and are gone; the others stay."""
    gaps = taken(arrived)
    before = gaps.newest(1000)
    gone = gaps.forget(below)
    assert gone == tuple((a, min(b, below)) for a, b in before if a < below)
    assert gaps.newest(1000) == tuple(
        (max(a, below), b) for a, b in before if b > below
    )
    assert gaps.forget(below) == ()


def test_what_comes_too_late_to_be_known_is_late_and_not_received() -> None:
    """Below what is remembered, a late number and a repeated one look the same."""
    gaps = taken([0, 2, 4, 6, 8], most=2)
    received = gaps.received
    gaps.take(1)
    assert (gaps.received, gaps.late, gaps.floor) == (received, 1, 4)
