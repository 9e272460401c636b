"""Does each address accept connections?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check, PathUse
from netduet.client.checks.reach import judge, measure
from netduet.client.checks.reach.failures import FAILURES

CHECK: Final = Check(
    "reach",
    "Does each address accept connections?",
    ("name",),
    measure.measure,
    judge.judge,
    FAILURES,
    PathUse.SENSITIVE,
)
