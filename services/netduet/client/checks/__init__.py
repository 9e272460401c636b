"""The checks, each after those that it needs.

A check is a module (a package if it is large) with one declaration: a name, the
question it answers, the checks it needs, how it measures (sockets and clocks) and how
it judges (pure).
"""

from __future__ import annotations

from typing import Any, Final

from netduet.client.checks import (
    balance,
    churn,
    close,
    flows,
    identity,
    idle,
    isolation,
    load,
    name,
    path,
    reach,
    size,
    stream,
    tls,
    udp,
)
from netduet.client.checks.base import Check

CHECKS: Final[tuple[Check[Any], ...]] = (
    name.CHECK,
    reach.CHECK,
    identity.CHECK,
    tls.CHECK,
    balance.CHECK,
    flows.CHECK,
    path.CHECK,
    size.CHECK,
    udp.CHECK,
    idle.CHECK,
    close.CHECK,
    churn.CHECK,
    stream.CHECK,
    load.CHECK,
    isolation.CHECK,
)
