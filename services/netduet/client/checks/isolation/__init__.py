"""Is the target blocked, as expected, and how? Run instead of all that needs a path."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.declaration import Check
from netduet.client.checks.isolation.judgement import judge
from netduet.client.checks.isolation.knocking import measure
from netduet.client.target import Expect

CHECK: Final = Check(
    "isolation",
    "Is the target blocked, as expected, and how?",
    ("name",),
    measure,
    judge,
    judges=(Expect.BLOCKED,),
)
