"""Does what passes depend on the flow: on the source port, the path, the instance?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import PathUse
from netduet.client.checks.flows import judge, measure
from netduet.client.checks.flows.failures import FAILURES

CHECK: Final = AddressCheck(
    measure.measure, judge.judge, any_service=True, many_connections=True
).as_check(
    "flows",
    "Do packets pass from every source port, and do connections stay with their server?",
    FAILURES,
    path_use=PathUse.SENSITIVE,
    after=(),
    following=("balance",),
)
