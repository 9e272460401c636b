"""Does everything get through, whatever its size? MTU black holes, each way."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.size import judge, measure

CHECK: Final = Check(
    "size",
    "Does everything get through, whatever its size?",
    ("identity",),
    measure.measure,
    judge.judge,
    heavy=True,
    after=("balance",),
)
