"""Do datagrams pass, how many are lost in each direction, and which sizes pass?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.addresses import AddressCheck
from netduet.client.checks.base import PathUse
from netduet.client.checks.udp import judge, measure
from netduet.client.checks.udp.failures import FAILURES

CHECK: Final = AddressCheck(measure.measure, judge.judge).as_check(
    "udp",
    "Do datagrams get through, of which sizes, and how many are lost?",
    FAILURES,
    path_use=PathUse.FULL,
)
