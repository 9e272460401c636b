"""The monitor of the event loop's own stalls."""

from __future__ import annotations

import asyncio
import time

import pytest

from netduet.net import kernel
from netduet.net.time_span import TimeSpan
from netduet.runtime.stall_monitor import (
    INTERVAL_SECONDS,
    MIN_STALL_SECONDS,
    RecentLoad,
    StallMonitor,
)


async def test_blocked_loop_is_a_stall() -> None:
    """The monitor reports that the loop did not run, and for how long."""
    async with StallMonitor() as watch:
        before = time.monotonic()
        time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is the subject
        after = time.monotonic()
        await asyncio.sleep(INTERVAL_SECONDS)
    assert watch.count == 1
    assert 0.2 < watch.total < 1
    assert 0.2 < watch.stalled(before, after) <= after - before + 0.01


async def test_stall_is_known_before_the_next_sample() -> None:
    """A query right after a stall includes it."""
    async with StallMonitor() as watch:
        start = time.monotonic()
        time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is the subject
        assert watch.stalled(start, time.monotonic()) > 0.1


async def test_stall_counts_only_within_the_window() -> None:
    """Only the part within the queried time counts."""
    async with StallMonitor() as watch:
        time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is the subject
        after = time.monotonic()
        assert watch.stalled(after, after + 10) < 0.01
        half = watch.stalled(after - 0.1, after)
        assert 0.05 < half <= 0.1 + 0.001
        assert watch.stalled(after - 10, after) > half


def test_short_lateness_is_no_stall() -> None:
    """The usual lateness of timers is not counted."""
    watch = StallMonitor()
    watch._checked_at = 100.0
    watch._record(100.0 + INTERVAL_SECONDS + MIN_STALL_SECONDS * 0.99)
    assert watch.count == 0
    watch._record(watch._checked_at + INTERVAL_SECONDS + MIN_STALL_SECONDS * 1.01)
    assert (watch.count, round(watch.total, 4)) == (
        1,
        round(MIN_STALL_SECONDS * 1.01, 4),
    )


def test_memory_of_stalls_is_bounded() -> None:
    """Only the latest stalls are remembered; all are counted."""
    watch = StallMonitor()
    watch._checked_at = 0.0
    for number in range(1, 3000):
        watch._record(float(number))
    assert watch.count == 2999
    assert len(watch._recent) == 1024


def test_throttling_counts_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttling and pressure count from the start; unknown stays unknown."""
    monkeypatch.setattr(kernel, "throttled_seconds", lambda: 5.0)
    monkeypatch.setattr(kernel, "cpu_pressure_seconds", lambda: None)
    watch = StallMonitor()
    monkeypatch.setattr(kernel, "throttled_seconds", lambda: 5.5)
    monkeypatch.setattr(kernel, "cpu_pressure_seconds", lambda: 3.0)
    assert (watch.throttled(), watch.cpu_pressure()) == (0.5, None)


async def test_stopped_monitor_counts_nothing() -> None:
    """After its context nothing runs any more."""
    async with StallMonitor() as watch:
        pass
    time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is the subject
    await asyncio.sleep(0)
    assert watch.count == 0


async def test_recent_starvation_covers_the_window_only() -> None:
    """A recent stall is reported with the length of the window."""
    async with StallMonitor() as watch:
        start = time.monotonic()
        time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is the subject
        lately = watch.recent()
        assert 0.2 < lately.stalled <= lately.window
        assert 0.3 <= lately.window <= time.monotonic() - start + 0.1


def test_recent_starvation_before_the_start_is_none() -> None:
    """Before the first sample there is no window."""
    assert StallMonitor().recent().window == 0


def test_recent_starvation_covers_at_most_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Earlier stalls do not count."""
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(kernel, "throttled_seconds", lambda: clock * 0.25)
    watch = StallMonitor()
    for clock in range(100):
        watch._sample(clock)
    watch._recent.extend(
        [TimeSpan(10.0, 20.0), TimeSpan(65.0, 80.0), TimeSpan(98.0, 99.0)]
    )
    watch._checked_at = clock
    lately = watch.recent()
    assert lately.window == 29
    assert lately.stalled == (80 - 70) + (99 - 98)
    assert lately.throttled == 29 * 0.25
    asked = watch.recent(5)
    assert (asked.window, asked.stalled, asked.throttled) == (5, 99 - 98, 5 * 0.25)
    assert watch.recent(0) == RecentLoad(0, 0, 0)


def test_recent_throttling_counts_up_to_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Throttling since the last sample is included."""
    clock, throttled = 50.0, 1.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(kernel, "throttled_seconds", lambda: throttled)
    watch = StallMonitor()
    watch._checked_at = clock
    watch._sample(clock)
    clock, throttled = 50.5, 1.25
    assert watch.recent().throttled == 0.25


def test_burst_of_queries_reads_throttling_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many queries at once cost one read."""
    readings: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    monkeypatch.setattr(kernel, "throttled_seconds", lambda: readings.append(1))
    watch = StallMonitor()
    readings.clear()
    for _ in range(1000):
        assert watch.recent().throttled is None
    assert len(readings) == 1
