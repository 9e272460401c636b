"""How much does the path carry each way, and what does that do to its latency?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import PathUse
from netduet.client.checks.load import judge, measure
from netduet.client.checks.load.failures import FAILURES

CHECK: Final = AddressCheck(
    measure.measure,
    judge.judge,
    requires=frozenset({"echo", "report", "sink", "source"}),
    max_addresses={"quick": 1, "full": 1, "soak": 2},
    in_turn=True,
).as_check(
    "load",
    "How much does the path carry, and how much latency does load add?",
    FAILURES,
    path_use=PathUse.FULL,
    after=("balance", "size"),
)
