"""Closes that prove nothing, because data does not even pass before them. Pure."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.close.results import CloseResult, CloseTrial
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding, Outcome

_MIN_RETRANSMISSIONS: Final = 3
"""Retransmissions that rule out random loss: four packets in a row were lost."""


def unjudged_reason(trial: CloseTrial) -> str:
    """Return why a close proves nothing, "" if it does."""
    if trial.open_failure:
        return (
            f"data does not even pass while both ends are open ({trial.open_failure})"
        )
    return retransmission_reason(trial)


def retransmission_reason(trial: CloseTrial) -> str:
    """Return why the bytes before the close are still being retransmitted, or "".

    The sending kernel still tries, so nothing has cut the connection.
    """
    view, client_info = trial.server.view, trial.tcp_info
    if trial.ending is not None or trial.whole or view is None or client_info is None:
        return ""
    # Data before the FIN is unacknowledged, not only the FIN.
    if client_info.bytes_acked < trial.sent and client_info.total_retrans:
        return "this end's kernel keeps retransmitting the request"
    if view.retrans and view.unacked:
        return "the server's kernel keeps retransmitting the response"
    return ""


def doubt_finding(result: CloseResult, reason: str) -> Finding:
    """Return that data does not pass on a connection that is open.

    A kernel that retransmits is no proof before it has done so several times.
    """
    trial = next(trial for trial in result.trials if unjudged_reason(trial))
    view = trial.server.view
    resent = 0 if trial.tcp_info is None else trial.tcp_info.total_retrans
    resent = max(resent, 0 if view is None else view.total_retrans)
    proven = bool(trial.open_failure) or resent >= _MIN_RETRANSMISSIONS
    return Finding(
        "path.broken",
        f"{result.address}: on a later connection, {reason}",
        ((Side.CLIENT, f"{resent} segments were retransmitted"),),
        outcome=Outcome.FAIL if proven else Outcome.INCONCLUSIVE,
        missed_deadline=None if trial.ending is not None else trial.wait,
    )
