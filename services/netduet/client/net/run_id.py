"""The id of a run: every connection of a check of one target, or of a watch, has it.

The server's log groups connections by it. Like a trace context (OpenTelemetry), it
belongs to the task that starts a run and to the tasks that this one starts.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar

from netduet.wire.frames import MIN_RUN_ID

_run_id: ContextVar[int] = ContextVar("run_id", default=0)


def start_run() -> None:
    """Start a run: give this task, and those that it starts, a new random id."""
    _run_id.set(MIN_RUN_ID + secrets.randbelow(2**64 - MIN_RUN_ID))


def run_id() -> int:
    """Return the id of this task's run, 0 if none was started."""
    return _run_id.get()


def run_fields() -> dict[str, str]:
    """Return the id as a field of a log line, as the server's log shows it."""
    current = run_id()
    return {"netduet.run": f"{current:016x}"} if current else {}
