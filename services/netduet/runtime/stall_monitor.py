"""A process watching itself: when the event loop could not run.

A measurement of lateness or absence is worth nothing while the one who measures
was not running. The watch sleeps for a short interval again and again; what a
sleep overran is a stall (the timer error of IRTT, RFC 2330 §10.2's wire time
against host time).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Self

from netduet.net import kernel
from netduet.net.time_span import TimeSpan

INTERVAL: Final = 0.02
"""Seconds between two looks at the clock."""

THRESHOLD: Final = 0.05
"""Seconds a look must be late to count as a stall."""

_MAX_STALLS: Final = 1024

_SAMPLE_SECONDS: Final = 1.0
_WINDOW: Final = 30
"""Samples of the CPU limit that are kept: seconds that ``lately`` looks back on."""

_FRESH: Final = 0.1
"""Seconds for which a reading of the CPU limit serves all who ask: it costs two files."""


@dataclass(frozen=True, slots=True)
class RecentLoad:
    """How this process fared in its last ``window`` seconds; None where unknown."""

    window: float
    stalled: float
    throttled: float | None


class StallMonitor:
    """Counts and remembers this event loop's own stalls.

    Times are seconds of time.monotonic. Use as an asynchronous context manager.
    """

    def __init__(self) -> None:
        """Prepare; nothing runs until the context is entered."""
        self.count = 0
        self.total = 0.0
        self._recent: deque[TimeSpan] = deque(maxlen=_MAX_STALLS)
        self._throttled_before = kernel.throttled_seconds()
        self._pressure_before = kernel.cpu_pressure_seconds()
        self._samples: deque[tuple[float, float | None]] = deque(maxlen=_WINDOW)
        self._latest: tuple[float, float | None] = (-_SAMPLE_SECONDS, None)
        self._timer: asyncio.TimerHandle | None = None
        self._looked = 0.0

    async def __aenter__(self) -> Self:
        """Begin to watch the running loop."""
        self._looked = time.monotonic()
        self._look(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop watching; what was seen stays."""
        if self._timer is not None:
            self._timer.cancel()

    def stalled(self, start: float, end: float) -> float:
        """Return for how many seconds between two instants the loop did not run."""
        self._record(time.monotonic())
        return TimeSpan(start, end).covered_seconds(self._recent)

    def throttled(self) -> float | None:
        """Return for how long a CPU limit held us back since the watch was made."""
        return _since(kernel.throttled_seconds(), self._throttled_before)

    def cpu_pressure(self) -> float | None:
        """Return for how long some task waited for a CPU since the watch was made."""
        return _since(kernel.cpu_pressure_seconds(), self._pressure_before)

    def recent(self, seconds: float = _WINDOW) -> RecentLoad:
        """Return how much of the last ``seconds`` this process could not run."""
        now = time.monotonic()
        self._sample(now)
        if now >= self._latest[0] + _FRESH:
            self._latest = (now, kernel.throttled_seconds())
        start = max(self._samples[0][0], now - seconds)
        # Samples are a second apart: what is counted too little shows as stalls.
        inside = (limit for at, limit in self._samples if at >= start)
        throttled = _since(self._latest[1], next(inside, self._latest[1]))
        return RecentLoad(now - start, self.stalled(start, now), throttled)

    def _sample(self, now: float) -> None:
        """Remember how long a CPU limit has held us back so far, once a second."""
        if not self._samples or now >= self._samples[-1][0] + _SAMPLE_SECONDS:
            self._latest = (now, kernel.throttled_seconds())
            self._samples.append(self._latest)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._record(time.monotonic())
        self._sample(self._looked)
        self._timer = loop.call_later(INTERVAL, self._look, loop)

    def _record(self, now: float) -> None:
        """Remember the time since the last look, beyond what was meant to pass."""
        late = now - self._looked - INTERVAL
        if late > THRESHOLD:
            self.count += 1
            self.total += late
            self._recent.append(TimeSpan(now - late, now))
        self._looked = now


def _since(value: float | None, before: float | None) -> float | None:
    return None if value is None or before is None else max(0.0, value - before)
