"""Do connections end as they are meant to?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check
from netduet.client.checks.close import judge, measure
from netduet.client.checks.close.failures import FAILURES

_ADDRESSES: Final = AddressCheck(
    measure.measure, judge.judge, frozenset({"close", "sink", "source", "ledger"})
)

CHECK: Final = Check(
    "close",
    "Do connections end as they are meant to?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    after=("balance",),
)
