"""Can short connections be made at a rate, and many be held at once?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.churn import judge, measure

CHECK: Final = Check(
    "churn",
    "Can short connections be made at a rate, and many be held at once?",
    ("identity",),
    measure.measure,
    judge.judge,
    heavy=True,
    after=("balance",),
)
