"""Waits for a client's container: its report, or an error that explains why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netduet.between.engine import exit_status
from netduet.testing.engine import DuetError, engine_errors
from netduet.testing.report import Report

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

_GRACE: Final = 5.0
"""Seconds that a client has after SIGTERM to report."""

_USAGE_STATUS: Final = 2
_KILLED_STATUS: Final = 137
"""Exit status of a process killed by SIGKILL (128 + 9)."""


def ended(
    client: DockerContainer, timeout: float, requested: tuple[str, ...]
) -> Report:
    """Return the report of a running client; after ``timeout`` it is stopped.

    Raises:
        DuetError: it does not end in time, or ends without a report.
    """
    container = client.get_wrapped_container()
    with engine_errors("the client's exit status is not available"):
        status = exit_status(container, timeout)
        if status is None:
            container.kill("SIGTERM")  # it then reports the results so far
            exit_status(container, _GRACE)
        out, err = client.get_logs()
    if status is None:
        known = _known(out, requested) or err.decode(errors="replace").strip()
        raise DuetError(f"the client did not exit within {timeout:g} s\n{known}")
    try:
        return Report.read(out, requested)
    except ValueError as error:
        message = err.decode(errors="replace").strip()
        if status == _USAGE_STATUS:
            raise DuetError(f"the client rejected its arguments: {message}") from None
        killed = " (killed: out of memory?)" if status == _KILLED_STATUS else ""
        why = f"\n{error}" if out else ""
        raise DuetError(
            f"the client exited with status {status}{killed} and without a readable "
            f"report\n{message}{why}"
        ) from None


def _known(out: bytes, requested: tuple[str, ...]) -> str:
    try:
        return str(Report.read(out, requested))
    except ValueError:
        return ""
