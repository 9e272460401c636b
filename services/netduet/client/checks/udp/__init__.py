"""Do datagrams get through, how many are lost each way, and which sizes pass?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.udp import judge, measure

CHECK: Final = Check(
    "udp",
    "Do datagrams get through, how many are lost, and which sizes pass?",
    ("identity",),
    measure.measure,
    judge.judge,
    heavy=True,
    after=("balance",),
)
