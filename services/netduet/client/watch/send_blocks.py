"""Outages in which this client's own kernel sends no datagrams. Pure.

The loss trackers do not count what was never sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netduet.client.outages.events import LossRun
from netduet.client.outages.loss_tracker import MIN_LOSSES
from netduet.client.results.location import Location
from netduet.net.time_span import TimeSpan


class SendBlocks:
    """Turns the times in which the kernel sent nothing into loss runs, each once."""

    def __init__(self, period: float, settle_seconds: float) -> None:
        """Track a stream with a datagram each ``period`` seconds.

        A time is over when the kernel has sent again for ``settle_seconds``.
        """
        self._period = period
        self._settle_seconds = settle_seconds
        self._reported = float("-inf")

    def update(
        self, blocked: Sequence[TimeSpan], now: float
    ) -> tuple[LossRun | None, list[LossRun]]:
        """Return the ongoing loss run, if any, and those that are over.

        ``blocked`` are the latest times in which the kernel sent nothing, in order.
        """
        runs = [
            LossRun(
                Location.TO_SERVER,
                span.start,
                span.end,
                round(span.seconds / self._period),
                precision=self._period,
            )
            for span in blocked
            if span.start > self._reported and span.seconds >= MIN_LOSSES * self._period
        ]
        if not runs:
            return None, []
        *over, last = runs
        ongoing = None
        if last.end < now - self._settle_seconds:
            over.append(last)
        else:
            ongoing = replace(last, end=now, ended=False)
        if over:
            self._reported = over[-1].start
        return ongoing, over
