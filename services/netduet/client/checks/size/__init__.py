"""Does everything get through, whatever its size? MTU black holes, each way."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.size import judge, measure
from netduet.client.checks.size.failures import FAILURES

CHECK: Final = Check(
    "size",
    "Does everything get through, whatever its size?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
    heavy=True,
    after=("balance",),
)
