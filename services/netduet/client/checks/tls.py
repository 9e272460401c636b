"""Does TLS hold what it promises? Nothing to ask yet: netduet speaks none.

The place for it, so that a report says what it does not judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netduet.client.checks.base import Check, CheckContext
from netduet.client.results.verdict import Judgement

_WHY: Final = "netduet speaks no TLS yet: no certificate is judged"


@dataclass(frozen=True, slots=True)
class Tls:
    """What was measured: nothing."""


async def measure(_: CheckContext) -> Tls:
    """Ask nothing."""
    return Tls()


def judge(_: Tls) -> Judgement:
    """Say that nothing is judged, and why; nothing else stands on it."""
    return Judgement("", skipped=_WHY)


CHECK: Final = Check(
    "tls", "Does TLS hold, with a certificate to trust?", ("identity",), measure, judge
)
