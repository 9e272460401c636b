"""Does everything get through, whatever its size? MTU black holes, each way."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import Check
from netduet.client.checks.size import judge, measure
from netduet.client.checks.size.failures import FAILURES

_ADDRESSES: Final = AddressCheck(
    measure.measure,
    judge.judge,
    frozenset({"sink", "source"}),
    finish=judge.finish,
)

CHECK: Final = Check(
    "size",
    "Does everything get through, whatever its size?",
    ("identity",),
    _ADDRESSES.measure,
    _ADDRESSES.judge,
    FAILURES,
    heavy=True,
    after=("balance",),
)
