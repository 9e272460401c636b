"""Is there a budget of new connections that does not refill? Pure.

A limit by rate lets connections pass again after a pause. A full table of flows, or a
NAT without free ports, does not until old entries expire; flows that it knows pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netduet.client.checks.churn.limit_detection import detect_token_bucket
from netduet.client.checks.churn.results import Attempt, AttemptOutcome, ChurnResult
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding
from netduet.client.stats.proportions import p_by_chance

MAX_P_KNOWN_ALONE: Final = 0.01
"""Probability that chance passes known flows and no new one: 1 in 924 for six of each,
1 in 132 if one of the known ones fails."""

MIN_TOKENS: Final = 3.0
"""Connections that a limit by rate would have let pass after the pause."""

_CONSEQUENCES: Final = (
    "balance.missing",
    "balance.stopped_responding",
    "balance.unhealthy_backend",
    "close.interrupted",
    "flows.udp_dead",
    "idle.interrupted",
    "load.stalled",
    "stream.flapping",
    "stream.new_connections",
    "stream.outage",
    "udp.loss",
    "udp.silent",
)
"""What else is found where no new connection passes, and often no new flow at all."""

_MIN_BLOCKED_SHARE: Final = 0.5
"""Share of the newest attempts that fail if new connections are blocked."""

_NEWEST_SHARE: Final = 1 / 3
"""Share of a run that counts as its newest attempts."""

_ALL_BLOCKED_SHARE: Final = 0.9
"""Share of a run that fails if a budget was used up before it began."""


def newest_fail(attempts: Sequence[Attempt]) -> bool:
    """Whether most of the newest attempts fail."""
    newest = attempts[-max(1, int(len(attempts) * _NEWEST_SHARE)) :]
    failing = sum(not attempt.passed for attempt in newest)
    return bool(newest) and failing > _MIN_BLOCKED_SHARE * len(newest)


def table_full(result: ChurnResult) -> Finding | None:
    """Return the finding that nothing new passes, however long the pause."""
    trial = result.budget
    if trial is None or trial.fresh_passed or not result.witness.survived:
        return None
    only_known = (
        trial.known > 0
        and p_by_chance(trial.known_passed, trial.known, trial.fresh)
        <= MAX_P_KNOWN_ALONE
    )
    if not (only_known or _contradicts_rate(result, trial.pause)):
        return None
    attempts = result.attempts
    passed = sum(attempt.passed for attempt in attempts)
    seen = (
        f"no further new connection to {result.address} passes: {passed} of "
        f"{len(attempts)} did, and after a pause of {trial.pause:g} s none of "
        f"{trial.fresh}: a table of connections is full, and this is no limit by rate"
    )
    client_text = f"from new ports 0 of {trial.fresh} passed after the pause"
    if trial.known:
        client_text += (
            f", from ports whose connections had passed before {trial.known_passed} "
            f"of {trial.known}"
        )
    server_text = (
        f"on an existing connection, instance {result.witness.instance} responded "
        f"throughout; its listening socket dropped {result.witness.drops}"
    )
    figures = {
        "passed": passed,
        "fresh_passed": trial.fresh_passed,
        "known_passed": trial.known_passed,
    }
    return Finding(
        "churn.table_full",
        seen,
        ((Side.CLIENT, client_text), (Side.SERVER, server_text)),
        {**figures},
        explains=_CONSEQUENCES,
    )


def _contradicts_rate(result: ChurnResult, pause: float) -> bool:
    """Whether a limit by rate would have let several pass after the pause."""
    bucket = detect_token_bucket(result.run, path_works=result.witness.survived)
    if bucket is not None:
        return bucket.rate * pause >= MIN_TOKENS
    attempts = result.run.attempts
    failing = sum(attempt.outcome is AttemptOutcome.NEVER_MADE for attempt in attempts)
    return failing >= _ALL_BLOCKED_SHARE * len(attempts) > 0
