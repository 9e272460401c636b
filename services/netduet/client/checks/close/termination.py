"""Whether something in between ends TCP connections itself, as NAT never does. Pure.

A FIN stands behind all data in the sequence space (RFC 9293 §3.4), and nothing that
only forwards packets makes one of a RST. So an end of stream where data or a reset was
sent comes from a proxy. A reset proves nothing: firewalls forge them.
"""

from __future__ import annotations

from collections.abc import Iterable

from netduet.client.checks.close.results import CloseMethod, CloseTrial
from netduet.client.results.location import Side


def is_terminated(trials: Iterable[CloseTrial]) -> bool:
    """Whether both ends of a connection prove that it was two connections."""
    return any(map(_is_proof, trials))


def _is_proof(trial: CloseTrial) -> bool:
    entry = trial.server.entry
    if entry is None or entry.ended is None or trial.open_failure:
        return False
    by_client = entry.ended_by == Side.CLIENT
    if trial.method is CloseMethod.OWN_RESET:
        return by_client and entry.ended != "reset"
    if trial.ending is None or trial.ending.how not in {"eof", "broken"}:
        return False
    if trial.method is CloseMethod.RESET:
        return entry.ended == "asked.reset"
    if trial.method is CloseMethod.FINISH:
        return False
    return trial.answered < trial.size and by_client
