"""How many connections were answered before others failed. Pure."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.balance.results import AddressTrials, ConnectionOutcome
from netduet.client.stats.proportions import ERROR_PROBABILITY, p_initial_run

MIN_INITIAL_RUN: Final = 6
"""Connections that must be answered first for the others to have stopped."""

FAILED_OUTCOMES: Final = (
    ConnectionOutcome.CONNECT_TIMEOUT,
    ConnectionOutcome.ANSWER_TIMEOUT,
    ConnectionOutcome.REFUSED,
    ConnectionOutcome.UNREACHABLE,
    ConnectionOutcome.RESET,
    ConnectionOutcome.CLOSED,
)
"""What a dead backend, or something in between, does to a connection."""


def initial_run(address_trials: AddressTrials) -> int:
    """Return how many were answered before the first failure, 0 if by chance."""
    passed = [trial.outcome not in FAILED_OUTCOMES for trial in address_trials.trials]
    if all(passed):
        return 0
    run_length = passed.index(False)
    chance = p_initial_run(run_length, len(passed), sum(passed))
    return (
        run_length
        if run_length >= MIN_INITIAL_RUN and chance < ERROR_PROBABILITY
        else 0
    )
