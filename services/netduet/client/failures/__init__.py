"""What is known about each class of failure: the one place of that knowledge.

``netduet explain``, ``docs/checks.md`` and every report are made from it.
"""

from __future__ import annotations

from typing import Final

from netduet.client.failures.balance import BALANCE
from netduet.client.failures.carrying import CARRYING
from netduet.client.failures.churn import CHURN
from netduet.client.failures.connecting import CONNECTING
from netduet.client.failures.declaration import SIDES, Failure
from netduet.client.failures.isolation import ISOLATION
from netduet.client.failures.lasting import LASTING
from netduet.client.failures.load import LOAD
from netduet.client.failures.stream import STREAM
from netduet.client.failures.watch import WATCH

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
