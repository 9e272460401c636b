"""Do connections live that nobody uses for a while?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.idle import judge, measure
from netduet.client.checks.idle.failures import FAILURES

CHECK: Final = Check(
    "idle",
    "Do connections live that nobody uses for a while?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
    after=("balance",),
)
