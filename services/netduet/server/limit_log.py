"""What limits ended or refused: counted each time, logged once per limit and period."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from netduet.server.counters import Counters

LINE_INTERVAL: Final = 10.0
"""Seconds between two lines about one limit."""


@dataclass(slots=True)
class _Unlogged:
    due: float = 0.0
    count: int = 0


class LimitLog:
    """Counts and logs by the name of the limit; there are few."""

    def __init__(self, log: FilteringBoundLogger, counters: Counters) -> None:
        self._log = log
        self._counters = counters
        self._unlogged: dict[str, _Unlogged] = {}

    def reached(self, name: str, limit: float, address: str) -> None:
        """Count what the limit ended; log the first at once, then a sum per period."""
        self._counters.limit(name)
        unlogged = self._unlogged.setdefault(name, _Unlogged())
        unlogged.count += 1
        now = time.monotonic()
        if now < unlogged.due:
            return
        self._log.warning(
            "limit.reached",
            **{
                "client.address": address,
                "netduet.limit_name": name,
                "netduet.limit": limit,
                "netduet.refused": unlogged.count,
            },
        )
        unlogged.due, unlogged.count = now + LINE_INTERVAL, 0
