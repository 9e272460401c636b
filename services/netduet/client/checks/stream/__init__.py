"""What is an outage: how long, which way, and what did it do to connections?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.stream import judge, measure
from netduet.client.checks.stream.failures import FAILURES

CHECK: Final = Check(
    "stream",
    "Is the network ever out, for how long, and which way?",
    ("identity",),
    measure.measure,
    judge.judge,
    FAILURES,
    heavy=True,
    after=("balance",),
)
