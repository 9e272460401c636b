"""The watch on the event loop's own stalls."""

from __future__ import annotations

import asyncio
import time

import pytest

from netduet import kernel
from netduet.stalls import INTERVAL, THRESHOLD, StallWatch


async def test_blocked_loop_is_seen() -> None:
    """A loop that could not run for a while knows it, and for how long."""
    async with StallWatch() as watch:
        before = time.monotonic()
        time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is the subject
        after = time.monotonic()
        await asyncio.sleep(INTERVAL)
    assert watch.count == 1
    assert 0.2 < watch.total < 1
    assert 0.2 < watch.stalled(before, after) <= after - before + 0.01


async def test_stall_is_known_before_the_next_look() -> None:
    """Who asks right after a stall, before the loop ran again, is told of it."""
    async with StallWatch() as watch:
        begin = time.monotonic()
        time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is the subject
        assert watch.stalled(begin, time.monotonic()) > 0.1


async def test_stall_counts_only_where_it_was() -> None:
    """Only the part of a stall that lies in the time asked about is told."""
    async with StallWatch() as watch:
        time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is the subject
        after = time.monotonic()
        assert watch.stalled(after, after + 10) < 0.01
        half = watch.stalled(after - 0.1, after)
        assert 0.05 < half <= 0.1 + 0.001
        assert watch.stalled(after - 10, after) > half


def test_short_lateness_is_no_stall() -> None:
    """What a timer is late by on any machine is not counted."""
    watch = StallWatch()
    watch._looked = 100.0
    watch._record(100.0 + INTERVAL + THRESHOLD * 0.99)
    assert watch.count == 0
    watch._record(watch._looked + INTERVAL + THRESHOLD * 1.01)
    assert (watch.count, round(watch.total, 4)) == (1, round(THRESHOLD * 1.01, 4))


def test_memory_of_stalls_is_bounded() -> None:
    """However many stalls there were, only the latest are remembered, and all counted."""
    watch = StallWatch()
    watch._looked = 0.0
    for number in range(1, 3000):
        watch._record(float(number))
    assert watch.count == 2999
    assert len(watch._recent) == 1024


def test_only_what_happened_since_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttling and pressure count from the watch's begin; not known stays so."""
    monkeypatch.setattr(kernel, "throttled_seconds", lambda: 5.0)
    monkeypatch.setattr(kernel, "cpu_pressure_seconds", lambda: None)
    watch = StallWatch()
    monkeypatch.setattr(kernel, "throttled_seconds", lambda: 5.5)
    monkeypatch.setattr(kernel, "cpu_pressure_seconds", lambda: 3.0)
    assert (watch.throttled(), watch.cpu_pressure()) == (0.5, None)


async def test_watch_that_is_over_counts_no_more() -> None:
    """When its context is left nothing runs any longer."""
    async with StallWatch() as watch:
        pass
    time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is the subject
    await asyncio.sleep(0)
    assert watch.count == 0
