"""Whether both ends have seen a TCP proxy in between. Pure.

Two proofs together, at each address: the server sees another peer than this client's
socket, and something in between ends connections itself (see ``close.termination``).
NAT does the first alone, a transparent proxy the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netduet.client.results.verdict import CheckResult

SOURCES: Final = ("path", "close")
"""The checks that see it, and the figure of each: ``translated``, ``terminated``."""


def has_seen_proxy(path: CheckResult | None, close: CheckResult | None) -> bool:
    """Whether a proxy stands in front of every address that was tested."""
    if path is None or close is None or path.partial or close.partial:
        return False
    proofs = [*_figures(path, "translated"), *_figures(close, "terminated")]
    seen = [any(_figures(path, "translated")), any(_figures(close, "terminated"))]
    return all(seen) and all(proofs)


def _figures(check_result: CheckResult, name: str) -> Iterator[bool]:
    """Yield a figure of each address."""
    for key, value in check_result.figures.items():
        if key.rpartition(".")[2] == name:
            yield value is True
