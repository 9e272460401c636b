"""Detects when this process's event loop could not run.

A measured delay or a missing answer means nothing while the measuring process was not
running. The monitor sleeps for a short interval again and again; the excess of a sleep
is a stall (RFC 2330 §10.2: host time against wire time).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Self

from netduet.net import kernel
from netduet.net.time_span import TimeSpan

INTERVAL_SECONDS: Final = 0.02
"""Seconds between two wake-ups."""

MIN_STALL_SECONDS: Final = 0.05
"""Seconds that a wake-up must be late to count as a stall."""

_MAX_STALLS: Final = 1024

_SAMPLE_SECONDS: Final = 1.0
MAX_SAMPLES: Final = 30
"""Samples of the CPU limit that are kept, one per second: ``recent`` covers them."""

_MAX_AGE_SECONDS: Final = 0.1
"""Maximum age of a CPU limit reading; a reading costs two files."""


@dataclass(frozen=True, slots=True)
class RecentLoad:
    """Starvation of this process in its last ``window`` seconds; None where unknown."""

    window: float
    stalled: float
    throttled: float | None


class StallMonitor:
    """Records the stalls of the running event loop.

    Times are monotonic seconds. Use it as an asynchronous context manager.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._recent: deque[TimeSpan] = deque(maxlen=_MAX_STALLS)
        self._throttled_before = kernel.throttled_seconds()
        self._pressure_before = kernel.cpu_pressure_seconds()
        self._samples: deque[tuple[float, float | None]] = deque(maxlen=MAX_SAMPLES)
        self._latest: tuple[float, float | None] = (-_SAMPLE_SECONDS, None)
        self._timer: asyncio.TimerHandle | None = None
        self._checked_at = 0.0

    async def __aenter__(self) -> Self:
        self._checked_at = time.monotonic()
        self._wake_up(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; the recorded stalls are kept."""
        if self._timer is not None:
            self._timer.cancel()

    def stalled(self, start: float, end: float) -> float:
        """Return how many seconds between two times the loop did not run."""
        self._record(time.monotonic())
        return TimeSpan(start, end).covered_seconds(self._recent)

    def throttled(self) -> float | None:
        """Return how long a CPU limit has throttled us since the monitor started."""
        return _since(kernel.throttled_seconds(), self._throttled_before)

    def cpu_pressure(self) -> float | None:
        """Return how long some task has waited for a CPU since the monitor started."""
        return _since(kernel.cpu_pressure_seconds(), self._pressure_before)

    def recent(self, seconds: float = MAX_SAMPLES) -> RecentLoad:
        """Return how much of the last ``seconds`` this process could not run."""
        now = time.monotonic()
        self._sample(now)
        if now >= self._latest[0] + _MAX_AGE_SECONDS:
            self._latest = (now, kernel.throttled_seconds())
        start = max(self._samples[0][0], now - seconds)
        # Samples are a second apart; throttling they miss appears as stalls.
        inside = (limit for at, limit in self._samples if at >= start)
        throttled = _since(self._latest[1], next(inside, self._latest[1]))
        return RecentLoad(now - start, self.stalled(start, now), throttled)

    def _sample(self, now: float) -> None:
        """Record once a second how long a CPU limit has throttled this process."""
        if not self._samples or now >= self._samples[-1][0] + _SAMPLE_SECONDS:
            self._latest = (now, kernel.throttled_seconds())
            self._samples.append(self._latest)

    def _wake_up(self, loop: asyncio.AbstractEventLoop) -> None:
        self._record(time.monotonic())
        self._sample(self._checked_at)
        self._timer = loop.call_later(INTERVAL_SECONDS, self._wake_up, loop)

    def _record(self, now: float) -> None:
        """Record the time since the last wake-up beyond the interval."""
        late = now - self._checked_at - INTERVAL_SECONDS
        if late > MIN_STALL_SECONDS:
            self.count += 1
            self.total += late
            self._recent.append(TimeSpan(now - late, now))
        self._checked_at = now


def _since(value: float | None, before: float | None) -> float | None:
    return None if value is None or before is None else max(0.0, value - before)
