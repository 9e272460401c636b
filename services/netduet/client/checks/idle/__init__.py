"""Do connections live that nobody uses for a while?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check
from netduet.client.checks.idle import judge, measure
from netduet.client.checks.idle.failures import FAILURES

_ADDRESSES: Final = AddressCheck(measure.measure, judge.judge, frozenset({"hold"}))

CHECK: Final = Check(
    "idle",
    "Do connections live that nobody uses for a while?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    after=("balance",),
)
