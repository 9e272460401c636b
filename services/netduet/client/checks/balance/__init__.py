"""Who answers behind the name: are all backends there, alive, and used alike?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.balance import judge, measure
from netduet.client.checks.balance.failures import FAILURES
from netduet.client.checks.base import Check

CHECK: Final = Check(
    "balance",
    "Do all backends answer, each its share?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
)
