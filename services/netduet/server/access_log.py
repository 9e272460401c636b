"""The access log: one line per run of a client, or per connection that is not of a run.

Whoever reaches the port can cause lines, so they have a budget; connections beyond it
are summed up, and so are refusals. At level debug each connection has its line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from netduet.server.admission import Admission, AdmissionDecision
from netduet.server.client_runs import ClientRun, ClientRuns
from netduet.server.connection_totals import ConnectionTotals
from netduet.server.line_budget import INTERVAL_SECONDS, LineBudget
from netduet.wire.untrusted import log_safe, recognise

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from netduet.server.connection_record import ConnectionRecord
    from netduet.server.counters import Counters

REFUSAL_INTERVAL: Final = 10.0
"""Seconds between two lines about refused connections."""

SWEEP_SECONDS: Final = 1.0
"""Seconds between two calls of ``sweep``."""


class AccessLog:
    """Counts each closed connection, and logs runs, other connections and refusals.

    All times are seconds of one monotonic clock.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        counters: Counters,
        admission: Admission,
        max_text: int,
        *,
        runs: ClientRuns | None = None,
        budget: LineBudget | None = None,
        stalled: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Log at most ``max_text`` bytes of what a plain peer sent.

        ``stalled`` returns for how many seconds the server has not run since its start.
        """
        self._log = log
        self._logs_all = log.is_enabled_for(logging.DEBUG)
        self._counters = counters
        self._admission = admission
        self._max_text = max_text
        self._runs = ClientRuns() if runs is None else runs
        self._budget = LineBudget() if budget is None else budget
        self._stalled = stalled
        self._refused = 0
        self._next_refusal_line = -REFUSAL_INTERVAL
        self._suppressed = ConnectionTotals()
        self._suppressed_lines = 0
        self._suppressed_address = ""
        self._next_suppressed_line = 0.0

    def opened(self, address: str, run_id: int, now: float) -> None:
        """Note that a connection of a run is open; ``run_id`` 0 names none."""
        self._run(address, run_id, now).open += 1

    def closed(self, record: ConnectionRecord, now: float) -> None:
        """Count a connection that is closed; log it, or add it to its run."""
        counters = self._counters
        counters.bytes_received += record.bytes_received
        counters.bytes_sent += record.bytes_sent
        counters.frames_received += record.frames_received
        counters.frames_sent += record.frames_sent
        if not record.served:
            return
        if record.dialect == "plain":
            counters.plain += 1
        elif record.conn_id is not None:
            counters.framed += 1
        labels = (record.dialect, record.ended, record.ended_by)
        counters.ended[labels] = counters.ended.get(labels, 0) + 1
        if not self._add_to_run(record, now):
            if self._budget.take(record.peer[0], now):
                self._log.info("connection.closed", **self._fields(record))
                return
            self._suppress(record.peer[0], now).add(record)
        if self._logs_all:
            self._log.debug("connection.closed", **self._fields(record))

    def datagram(self, address: str) -> None:
        """Count a datagram of a client, if a run of its address is known."""
        run = self._runs.latest(address)
        if run is not None:
            run.totals.datagrams += 1

    def refused(self, address: str, decision: AdmissionDecision, now: float) -> None:
        """Log the first refusal at once, then one line with a count per interval."""
        if decision is AdmissionDecision.TURNED_AWAY:
            self._counters.turned_away += 1
        else:
            self._counters.refused += 1
        run = self._runs.latest(address)
        if run is not None:
            run.totals.refused += 1
        self._refused += 1
        if now < self._next_refusal_line:
            return
        self._next_refusal_line = now + REFUSAL_INTERVAL
        self._log.warning(
            "server.limit_reached",
            **{
                "client.address": address,
                "netduet.limit": self._admission.total,
                "netduet.limit_per_client": self._admission.per_client,
                "netduet.open": self._admission.open,
                "netduet.refused": self._refused,
            },
        )
        self._refused = 0

    def sweep(self, now: float) -> None:
        """Log the runs that have ended, and the progress of long ones."""
        for run in self._runs:
            if run.is_over(now):
                self._runs.remove(run)
                self._finish(run, now)
            elif now >= run.due and self._budget.take(run.address, now):
                run.postpone(now)
                self._log.info("run.progress", **self._run_fields(run, now))
        if self._suppressed_lines and now >= self._next_suppressed_line:
            self._log_suppressed()

    def close(self, now: float) -> None:
        """Log all runs: the server stops. The budget does not apply, it is the end."""
        for run in self._runs:
            self._runs.remove(run)
            self._log.info("run.finished", **self._run_fields(run, now))
        if self._suppressed_lines:
            self._log_suppressed()

    # Runs

    def _run(self, address: str, run_id: int, now: float) -> ClientRun:
        run, pushed_out = self._runs.get(address, run_id, now, self._stalled())
        if pushed_out is not None:
            self._finish(pushed_out, now)
        return run

    def _add_to_run(self, record: ConnectionRecord, now: float) -> bool:
        """Add a connection to its run; return False if it is of no run.

        It is of none if it sent something and never opened: a greeting, or another
        program.
        """
        address = record.peer[0]
        if record.conn_id is not None:
            run = self._run(address, record.run_id, now)
            run.open = max(0, run.open - 1)  # 0: pushed out since it opened
            if record.is_health_check:
                if not run.open and not run.totals.connections:
                    self._runs.remove(run)
                return True
        elif record.bytes_received:
            return False
        else:
            run = self._runs.latest(address) or self._run(address, 0, now)
            run.last_active = now
        run.totals.add(record)
        return True

    def _finish(self, run: ClientRun, now: float) -> None:
        if self._budget.take(run.address, now):
            self._log.info("run.finished", **self._run_fields(run, now))
        else:
            self._suppress(run.address, now).merge(run.totals)

    def _run_fields(self, run: ClientRun, now: float) -> dict[str, Any]:
        fields: dict[str, Any] = {"client.address": run.address}
        if run.id:
            fields["netduet.run"] = f"{run.id:016x}"
        fields |= run.totals.fields()
        if run.open:
            fields["netduet.open"] = run.open
        until = now if run.open else run.last_active
        fields["netduet.duration_s"] = round(until - run.start, 3)
        stalled = self._stalled() - run.stalled_before
        if stalled > 0:
            fields["netduet.stalled_s"] = round(stalled, 3)
        return fields

    # Lines beyond the budget

    def _suppress(self, address: str, now: float) -> ConnectionTotals:
        """Count a line that is not written; return the sum for its connections."""
        if not self._suppressed_lines:
            self._next_suppressed_line = now + INTERVAL_SECONDS
        self._suppressed_lines += 1
        self._suppressed_address = address
        return self._suppressed

    def _log_suppressed(self) -> None:
        self._log.warning(
            "logs.suppressed",
            **{
                "client.address": self._suppressed_address,
                "netduet.limit": self._budget.total,
                "netduet.limit_per_client": self._budget.per_client,
                "netduet.suppressed": self._suppressed_lines,
                **self._suppressed.fields(),
            },
        )
        self._suppressed = ConnectionTotals()
        self._suppressed_lines = 0

    # Single connections

    def _fields(self, record: ConnectionRecord) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "client.address": record.peer[0],
            "client.port": record.peer[1],
            "network.local.address": record.local[0],
            "network.local.port": record.local[1],
            "network.transport": "tcp",
            "network.type": "ipv6" if ":" in record.peer[0] else "ipv4",
            "netduet.dialect": record.dialect,
            "netduet.ended": record.ended,
            "netduet.ended_by": record.ended_by,
            "netduet.duration_s": round(record.duration, 6),
            "netduet.bytes_received": record.bytes_received,
            "netduet.bytes_sent": record.bytes_sent,
        }
        if record.conn_id is not None:
            fields["netduet.conn_id"] = record.conn_id
            fields["netduet.frames_received"] = record.frames_received
            fields["netduet.frames_sent"] = record.frames_sent
        if record.run_id:
            fields["netduet.run"] = f"{record.run_id:016x}"
        if record.dialect == "plain":
            fields["netduet.text"] = log_safe(record.text, self._max_text)
            protocol = recognise(record.text)
            if protocol is not None:
                fields["netduet.looks_like"] = protocol
        if record.error_type is not None:
            fields["error.type"] = record.error_type
        if record.error_message is not None:
            fields["error.message"] = record.error_message
        return fields
