"""How much does the path carry each way, and what does that do to its latency?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.load import judge, measure
from netduet.client.checks.load.failures import FAILURES

CHECK: Final = Check(
    "load",
    "How much does the path carry, and how does that delay others?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
    heavy=True,
    after=("balance", "size"),
)
