"""Can short connections be made at a rate, and many be held at once?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.churn import judge, measure
from netduet.client.checks.churn.failures import FAILURES

CHECK: Final = AddressCheck(measure.measure, judge.judge).as_check(
    "churn",
    "Can short connections be made at a rate, and many be held at once?",
    FAILURES,
    heavy=True,
)
