"""Does the right netduet answer, at each address?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check, PathUse
from netduet.client.checks.identity import judge, measure
from netduet.client.checks.identity.failures import FAILURES

CHECK: Final = Check(
    "identity",
    "Does the right netduet server respond?",
    ("reach",),
    measure.measure,
    judge.judge,
    FAILURES,
    PathUse.SENSITIVE,
)
