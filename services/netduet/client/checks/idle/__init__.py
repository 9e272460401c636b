"""Do connections live that nobody uses for a while?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.declaration import Check
from netduet.client.checks.idle.judgement import judge
from netduet.client.checks.idle.silence import measure

CHECK: Final = Check(
    "idle",
    "Do connections live that nobody uses for a while?",
    ("identity",),
    measure,
    judge,
    after=("balance",),
)
