"""Can short connections be made at a rate, and many be held at once?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.churn import judge, measure
from netduet.client.checks.churn.failures import FAILURES

CHECK: Final = Check(
    "churn",
    "Can short connections be made at a rate, and many be held at once?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
    heavy=True,
    after=("balance",),
)
