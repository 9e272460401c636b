"""The holds that the server is to end: one timer per connection, and a budget of them.

A hold that the client ends costs nothing but its connection.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netduet.wire.errors import Code, RemoteError

if TYPE_CHECKING:
    import asyncio

TOTAL: Final = "holds"
PER_CONNECTION: Final = "holds_per_connection"


class HoldBudget:
    """Counts the holds of all connections."""

    def __init__(self, total: int, per_connection: int) -> None:
        self.total = total
        self.per_connection = per_connection
        self.used = 0


class Holds:
    """The holds of one connection, by when they end."""

    __slots__ = ("_budget", "_due", "_end", "_loop", "_refuse", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        budget: HoldBudget,
        end: Callable[[list[int]], None],
        refuse: Callable[[str, RemoteError], None],
    ) -> None:
        """Call ``end`` with the frames' ids of holds whose time is up.

        ``refuse`` is called for a hold beyond a limit, with the limit's name.
        """
        self._loop = loop
        self._budget = budget
        self._end = end
        self._refuse = refuse
        self._due: list[tuple[float, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, seconds: float, frame_id: int) -> bool:
        """End a hold after this time; return False if a limit refuses it."""
        budget = self._budget
        if len(self._due) >= budget.per_connection:
            limit, name, code = (
                budget.per_connection,
                PER_CONNECTION,
                Code.TOO_MANY_QUESTIONS,
            )
        elif budget.used >= budget.total:
            limit, name, code = budget.total, TOTAL, Code.OVERLOADED
        else:
            budget.used += 1
            heapq.heappush(self._due, (self._loop.time() + seconds, frame_id))
            self._schedule()
            return True
        where = "per connection" if name == PER_CONNECTION else "in total"
        message = f"the limit of {limit} holds {where} is reached"
        self._refuse(name, RemoteError(code, message, {"limit": limit}, frame_id))
        return False

    def cancel(self) -> None:
        """Forget all holds: the connection is lost."""
        self._budget.used -= len(self._due)
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        due = self._due[0][0]
        if self._timer is not None:
            if self._timer.when() <= due and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        ended = []
        while self._due and self._due[0][0] <= now:
            ended.append(heapq.heappop(self._due)[1])
        self._budget.used -= len(ended)
        if self._due:
            self._schedule()
        if ended:
            self._end(ended)
