"""Can short connections be made at a rate, and many be held at once?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.churn.judgement import judge
from netduet.client.checks.churn.places import measure
from netduet.client.checks.declaration import Check

CHECK: Final = Check(
    "churn",
    "Can short connections be made at a rate, and many be held at once?",
    ("identity",),
    measure,
    judge,
    heavy=True,
    after=("balance",),
)
