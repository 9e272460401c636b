"""Times in which this client's kernel sends nothing, as loss runs."""

from __future__ import annotations

from netduet.client.results.location import Location
from netduet.client.watch.send_blocks import SendBlocks
from netduet.net.time_span import TimeSpan


def test_blocked_time_is_reported_once_it_is_over() -> None:
    """Until then it is ongoing, up to now."""
    tracker = SendBlocks(0.05, 0.25)
    ongoing, over = tracker.update([TimeSpan(10.0, 11.0)], 11.1)
    assert ongoing is not None
    assert (ongoing.start, ongoing.end, ongoing.ended) == (10.0, 11.1, False)
    assert over == []
    ongoing, over = tracker.update([TimeSpan(10.0, 12.0)], 12.5)
    assert ongoing is None
    (run,) = over
    assert (run.where, run.seconds, run.lost) == (Location.TO_SERVER, 2.0, 40)
    spans = [TimeSpan(10.0, 12.0), TimeSpan(20.0, 22.0), TimeSpan(30.0, 31.0)]
    ongoing, over = tracker.update(spans, 31.1)
    assert ongoing is not None
    assert (ongoing.start, [run.start for run in over]) == (30.0, [20.0])


def test_short_blocked_time_is_loss() -> None:
    """A few datagrams that were not sent are no outage."""
    assert SendBlocks(0.05, 0.25).update([TimeSpan(1.0, 1.3)], 9.0) == (None, [])
