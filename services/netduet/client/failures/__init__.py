"""What is known about each class of failure: the one place of that knowledge.

``netduet explain``, ``docs/checks.md`` and every report are made from it.
"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.balance.failures import BALANCE
from netduet.client.checks.churn.failures import CHURN
from netduet.client.checks.isolation.failures import ISOLATION
from netduet.client.checks.load.failures import LOAD
from netduet.client.checks.stream.failures import STREAM
from netduet.client.failures.carrying import CARRYING
from netduet.client.failures.connecting import CONNECTING
from netduet.client.failures.lasting import LASTING
from netduet.client.results.failure import SIDES, Failure
from netduet.client.watch.failures import WATCH

__all__ = ["CATALOGUE", "SIDES", "Failure"]

CATALOGUE: Final = {
    failure.name: failure
    for failure in (
        *CONNECTING,
        *BALANCE,
        *CARRYING,
        *LASTING,
        *CHURN,
        *STREAM,
        *LOAD,
        *ISOLATION,
        *WATCH,
    )
}
