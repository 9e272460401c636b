"""The runs of clients: which connections belong together, and when a run ends.

A check opens dozens of connections, and a watch one every few seconds for as long as it
lasts. A client says which of them are one run by an id (P-77); those of a client that
does not are one run for its address. Nothing here is trusted: the table is bounded, and
a run that is pushed out of it ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from netduet.server.connection_totals import ConnectionTotals

MAX_RUNS: Final = 1024
"""Runs at once, about 1 KiB each; the one that was idle longest is pushed out first."""

QUIET_SECONDS: Final = 10.0
"""Seconds without an open connection or a datagram after which a run has ended."""

FIRST_PROGRESS_SECONDS: Final = 60.0
MAX_PROGRESS_SECONDS: Final = 600.0
"""Seconds from one line about a long run to the next; they double up to the longest.

A watch then has about 150 lines a day, 72 kB; one line a minute would be 700 kB."""


@dataclass(slots=True)
class ClientRun:
    """One run; ``id`` is 0 for a client that names none. Times are monotonic seconds."""

    address: str
    id: int
    start: float
    last_active: float
    stalled_before: float
    due: float
    interval: float = FIRST_PROGRESS_SECONDS
    open: int = 0
    totals: ConnectionTotals = field(default_factory=ConnectionTotals)
    datagrams_seen: int = 0

    def is_over(self, now: float) -> bool:
        """Whether nothing of the run is open, and has not been for a while."""
        if self.totals.datagrams != self.datagrams_seen:
            self.datagrams_seen = self.totals.datagrams
            self.last_active = now
        return not self.open and now >= self.last_active + QUIET_SECONDS

    def postpone(self, now: float) -> None:
        """Set when the next line about the progress is due."""
        self.interval = min(2 * self.interval, MAX_PROGRESS_SECONDS)
        self.due = now + self.interval


class ClientRuns:
    """The current runs, by address and id."""

    def __init__(self, max_runs: int = MAX_RUNS) -> None:
        self._max_runs = max_runs
        self._runs: OrderedDict[tuple[str, int], ClientRun] = OrderedDict()
        self._of_address: dict[str, OrderedDict[int, ClientRun]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[ClientRun]:
        return iter(list(self._runs.values()))

    def latest(self, address: str) -> ClientRun | None:
        """Return the run of an address that was active last, None if there is none."""
        runs = self._of_address.get(address)
        return next(reversed(runs.values())) if runs else None

    def get(
        self, address: str, run_id: int, now: float, stalled: float = 0.0
    ) -> tuple[ClientRun, ClientRun | None]:
        """Return a run, which begins if it is new, and the run that this pushed out.

        A new run takes over what its address did before it opened a connection: a check
        begins with one that sends nothing. ``stalled`` is for how many seconds the
        server has not run so far.
        """
        key = (address, run_id)
        run, pushed_out = self._runs.get(key), None
        if run is None:
            run = self._runs[key] = self._begin(address, run_id, now, stalled)
            self._of_address.setdefault(address, OrderedDict())[run_id] = run
            if len(self._runs) > self._max_runs:
                pushed_out = next(iter(self._runs.values()))
                self.remove(pushed_out)
        else:
            self._runs.move_to_end(key)
            self._of_address[address].move_to_end(run_id)
        run.last_active = now
        return run, pushed_out

    def remove(self, run: ClientRun) -> None:
        """Remove a run that has ended."""
        del self._runs[run.address, run.id]
        runs = self._of_address[run.address]
        del runs[run.id]
        if not runs:
            del self._of_address[run.address]

    def _begin(
        self, address: str, run_id: int, now: float, stalled: float
    ) -> ClientRun:
        run = ClientRun(address, run_id, now, now, stalled, now)
        before = self._runs.get((address, 0))
        if before is not None and not before.open and not before.totals.opened:
            self.remove(before)
            run.start, run.totals = before.start, before.totals
            run.stalled_before = before.stalled_before
        run.due = now + run.interval
        return run
