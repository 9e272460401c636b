"""How much does the path carry each way, and what does that do to its latency?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.declaration import Check
from netduet.client.checks.load.judgement import judge
from netduet.client.checks.load.phases import measure

CHECK: Final = Check(
    "load",
    "How much does the path carry, and how does that delay others?",
    ("identity",),
    measure,
    judge,
    heavy=True,
    after=("balance", "size"),
)
