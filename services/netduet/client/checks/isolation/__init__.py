"""Is the target blocked, as expected, and how? Runs instead of the other checks."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.isolation import judge, measure
from netduet.client.checks.isolation.failures import FAILURES
from netduet.client.results.target import Expect

CHECK: Final = Check(
    "isolation",
    "Is the target blocked, as expected, and how?",
    ("name",),
    measure.measure,
    judge.judge,
    FAILURES,
    judges=(Expect.BLOCKED,),
)
