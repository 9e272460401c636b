"""Does everything get through, whatever its size? MTU black holes, each way."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.declaration import Check
from netduet.client.checks.size.passage import judge
from netduet.client.checks.size.search import measure

CHECK: Final = Check(
    "size",
    "Does everything get through, whatever its size?",
    ("identity",),
    measure,
    judge,
    heavy=True,
    after=("balance",),
)
