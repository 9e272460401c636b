"""How much does the path carry each way, and what does that do to its latency?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check
from netduet.client.checks.load import judge, measure
from netduet.client.checks.load.failures import FAILURES

_ADDRESSES: Final = AddressCheck(
    measure.measure,
    judge.judge,
    frozenset({"echo", "report", "sink", "source"}),
    {"quick": 1, "full": 1, "soak": 2},
    in_turn=True,
)
"""Side by side the addresses would share the path."""

CHECK: Final = Check(
    "load",
    "How much does the path carry, and how much latency does load add?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    heavy=True,
    after=("balance", "size"),
)
