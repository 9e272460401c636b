"""Classes of failure of carrying data: size, udp."""

from __future__ import annotations

from typing import Final

from netduet.client.failures.declaration import Failure

CARRYING: Final[tuple[Failure, ...]] = ()
