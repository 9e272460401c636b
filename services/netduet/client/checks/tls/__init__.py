"""Would a client that verifies certificates be served, and by the right server?"""

from __future__ import annotations

from typing import Final

from netduet.client.checks.base import Check
from netduet.client.checks.tls import judge, measure
from netduet.client.checks.tls.failures import FAILURES

CHECK: Final = Check(
    "tls",
    "Are TLS and its certificate in order?",
    ("reach",),
    measure.measure,
    judge.judge,
    FAILURES,
    following=("identity",),
    applies=measure.is_tls_expected,
)
