"""What is an outage: how long, which way, and what did it do to connections?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.stream import judge, measure

CHECK: Final = Check(
    "stream",
    "Is the network ever out, for how long, and which way?",
    ("identity",),
    measure.measure,
    judge.judge,
    heavy=True,
    after=("balance",),
)
