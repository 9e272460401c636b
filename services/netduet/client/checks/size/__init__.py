"""Does data of any size pass, in each direction? Finds MTU black holes."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import PathUse
from netduet.client.checks.size import judge, measure
from netduet.client.checks.size.failures import FAILURES

CHECK: Final = AddressCheck(
    measure.measure,
    judge.judge,
    requires=frozenset({"sink", "source"}),
    any_service=True,
    finish=judge.finish,
).as_check(
    "size",
    "Does data of any size get through?",
    FAILURES,
    path_use=PathUse.FULL,
)
