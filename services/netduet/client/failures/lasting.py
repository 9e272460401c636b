"""Classes of failure of keeping and ending connections: idle, close."""

from __future__ import annotations

from typing import Final

from netduet.client.failures.declaration import Failure

LASTING: Final[tuple[Failure, ...]] = ()
