"""Can short connections be opened at a steady rate, and many be held open at once?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import PathUse
from netduet.client.checks.churn import judge, measure
from netduet.client.checks.churn.failures import FAILURES

CHECK: Final = AddressCheck(
    measure.measure, judge.judge, any_service=True, many_connections=True
).as_check(
    "churn",
    "Can short connections be opened at a steady rate, and many be held open at once?",
    FAILURES,
    path_use=PathUse.CONNECTIONS,
)
