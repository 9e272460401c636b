"""Does the name resolve, quickly and reliably?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check, PathUse
from netduet.client.checks.name.failures import FAILURES
from netduet.client.checks.name.judge import judge
from netduet.client.checks.name.measure import measure
from netduet.client.results.target import Expect

CHECK: Final = Check(
    "name",
    "Does the name resolve, quickly and reliably?",
    (),
    measure,
    judge,
    FAILURES,
    PathUse.SENSITIVE,
    judges=(Expect.OPEN, Expect.BLOCKED),
)
