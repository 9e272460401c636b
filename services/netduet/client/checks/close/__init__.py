"""Do connections end as they are meant to?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.close import judge, measure
from netduet.client.checks.close.failures import FAILURES

CHECK: Final = Check(
    "close",
    "Do connections end as they are meant to?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
    after=("balance",),
)
