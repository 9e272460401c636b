"""Which findings follow from others. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netduet.client.results.verdict import Finding


def without_explained(found: list[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    """Return those findings, each with its check, that no other one explains.

    All of them if they explain each other.
    """
    explained = {name for _, finding in found for name in finding.explains}
    roots = [
        (check, finding)
        for check, finding in found
        if explained.isdisjoint(
            {finding.failure, finding.failure.partition(".")[0], check}
        )
    ]
    return roots or found
