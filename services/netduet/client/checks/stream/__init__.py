"""What is an outage: how long, which way, and what did it do to connections?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.declaration import Check
from netduet.client.checks.stream.judgement import judge
from netduet.client.checks.stream.measuring import measure

CHECK: Final = Check(
    "stream",
    "Is the network ever out, for how long, and which way?",
    ("identity",),
    measure,
    judge,
    heavy=True,
    after=("balance",),
)
