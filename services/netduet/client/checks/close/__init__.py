"""Do connections end as they are meant to?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.close.endings import measure
from netduet.client.checks.close.judgement import judge
from netduet.client.checks.declaration import Check

CHECK: Final = Check(
    "close",
    "Do connections end as they are meant to?",
    ("identity",),
    measure,
    judge,
    after=("balance",),
)
