"""Waits for a client's container: its report, or an error that explains why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import docker.errors

from netduet.between.engine import engine_errors, exit_status
from netduet.between.errors import BetweenError
from netduet.client.report.json_report import SCHEMA_VERSION, ReportDocument

if TYPE_CHECKING:
    from docker.models.containers import Container

_MAX_SIGNALS: Final = 6
"""Signals that a client gets, one each second, until it reports and ends."""

_USAGE_STATUS: Final = 2
_KILLED_STATUS: Final = 137
"""Exit status of a process killed by SIGKILL (128 + 9)."""


def run_client(
    container: Container, beside: str, timeout: float
) -> tuple[ReportDocument, bool]:
    """Return the report of a running client, and whether a signal ended it early.

    After ``timeout`` seconds, and at a signal to this process, it is stopped; its report
    then has the results so far.

    Raises:
        BetweenError: it ends without a report.
        KeyboardInterrupt: a signal came before there was anything to report.
    """
    interrupted = False
    with engine_errors("the client's exit status is not available"):
        try:
            status = exit_status(container, timeout)
        except KeyboardInterrupt:
            interrupted, status = True, None
        if status is None:
            status = _stop(container)
        out = container.logs(stdout=True, stderr=False)
        err = container.logs(stdout=False, stderr=True)
    if interrupted and not out:
        raise KeyboardInterrupt
    return parse_report(out, err, status, beside), interrupted


def _stop(container: Container) -> int | None:
    """End a client by SIGTERM, which it ignores while it starts; return its status."""
    for _ in range(_MAX_SIGNALS):
        try:
            container.kill("SIGTERM")
        except docker.errors.APIError:  # it has just ended
            return exit_status(container, 1.0)
        status = exit_status(container, 1.0)
        if status is not None:
            return status
    return None


def parse_report(
    out: bytes, err: bytes, status: int | None, beside: str
) -> ReportDocument:
    """Return the report that a client printed; fields of a later version are ignored.

    Raises:
        BetweenError: it printed none that can be read.
    """
    try:
        report = ReportDocument.model_validate_json(out, extra="ignore")
    except ValueError as error:
        message = " ".join(err.decode(errors="replace").split())
        if status == _USAGE_STATUS:
            raise BetweenError(
                f"the client beside {beside} rejected its settings: {message}"
            ) from None
        killed = " (killed: out of memory?)" if status == _KILLED_STATUS else ""
        reason = message or (str(error).splitlines()[0] if out else "no output")
        raise BetweenError(
            f"the client beside {beside} ended with status {status}{killed} and "
            f"without a readable report: {reason}"
        ) from None
    if report.schema_version != SCHEMA_VERSION:
        raise BetweenError(
            f"the client's report has schema version {report.schema_version}, not "
            f"{SCHEMA_VERSION}: use an image of this version (make images)"
        )
    return report
