"""Do idle connections survive?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import PathUse
from netduet.client.checks.idle import judge, measure
from netduet.client.checks.idle.failures import FAILURES

CHECK: Final = AddressCheck(
    measure.measure, judge.judge, requires=frozenset({"hold"}), any_service=True
).as_check(
    "idle",
    "Do idle connections stay alive?",
    FAILURES,
    path_use=PathUse.NEGLIGIBLE,
)
