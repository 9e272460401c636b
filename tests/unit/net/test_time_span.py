"""Time spans: length, distance, coverage."""

from __future__ import annotations

import pytest

from netduet.net.time_span import TimeSpan

SPAN = TimeSpan(10.0, 20.0)


def test_span_has_its_length() -> None:
    """Seconds are from start to end."""
    assert SPAN.seconds == 10.0
    assert SPAN.span == SPAN


@pytest.mark.parametrize(
    ("start", "end", "near", "within_a_second"),
    [
        (0.0, 5.0, False, False),
        (0.0, 10.0, False, True),
        (0.0, 9.5, False, True),
        (0.0, 11.0, True, True),
        (12.0, 13.0, True, True),
        (20.5, 30.0, False, True),
        (21.0, 30.0, False, False),
    ],
)
def test_near_spans_overlap_or_are_close(
    start: float, end: float, near: bool, within_a_second: bool
) -> None:
    """A gap counts as near only if it is shorter than the seconds given."""
    other = TimeSpan(start, end)
    assert SPAN.is_near(other) is other.is_near(SPAN) is near
    assert SPAN.is_near(other, 1.0) is other.is_near(SPAN, 1.0) is within_a_second


def test_covered_seconds_count_overlaps_only() -> None:
    """What lies outside the span covers nothing of it."""
    spans = [TimeSpan(5.0, 12.0), TimeSpan(13.0, 14.0), TimeSpan(19.5, 40.0)]
    assert SPAN.covered_seconds(spans) == 3.5
    assert SPAN.covered_seconds([TimeSpan(0.0, 10.0), TimeSpan(20.0, 21.0)]) == 0.0


def test_covering_span_lasts_from_first_start_to_last_end() -> None:
    """The spans may be in any order; nothing is covered by no span."""
    assert TimeSpan.covering([SPAN, TimeSpan(5.0, 6.0)]) == TimeSpan(5.0, 20.0)
    assert TimeSpan.covering([]) is None
