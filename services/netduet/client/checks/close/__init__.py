"""Are half-closes, FIN and RST delivered unchanged?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.close import judge, measure
from netduet.client.checks.close.failures import FAILURES

CHECK: Final = AddressCheck(
    measure.measure,
    judge.judge,
    requires=frozenset({"close", "sink", "source", "ledger"}),
).as_check(
    "close",
    "Do connections close correctly, without losing data?",
    FAILURES,
)
