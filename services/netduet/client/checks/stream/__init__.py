"""Is the network ever out: for how long, in which direction, with which effects?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import PathUse
from netduet.client.checks.stream import judge, measure
from netduet.client.checks.stream.failures import FAILURES

CHECK: Final = AddressCheck(
    measure.measure, judge.judge, any_service=True, many_connections=True
).as_check(
    "stream",
    "Is the network ever down, for how long, and in which direction?",
    FAILURES,
    path_use=PathUse.CONNECTIONS,
)
