"""What is an outage: how long, which way, and what did it do to connections?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check
from netduet.client.checks.stream import judge, measure
from netduet.client.checks.stream.failures import FAILURES

_ADDRESSES: Final = AddressCheck(measure.measure, judge.judge)

CHECK: Final = Check(
    "stream",
    "Is the network ever out, for how long, and in which direction?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    heavy=True,
    after=("balance",),
)
