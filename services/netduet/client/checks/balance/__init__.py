"""Who answers behind the name: are all backends there, alive, and used alike?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.balance import judge, measure
from netduet.client.checks.balance.failures import FAILURES
from netduet.client.checks.base import Check, PathUse

CHECK: Final = Check(
    "balance",
    "Do all backends respond, and is the load spread evenly?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
    PathUse.SENSITIVE,
)
