"""Can short connections be opened at a steady rate, and many be held open at once?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check
from netduet.client.checks.churn import judge, measure
from netduet.client.checks.churn.failures import FAILURES

_ADDRESSES: Final = AddressCheck(measure.measure, judge.judge)

CHECK: Final = Check(
    "churn",
    "Can short connections be opened at a steady rate, and many be held open at once?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    heavy=True,
    after=("balance",),
)
