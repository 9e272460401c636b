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
        if explained.isdisjoint(_names(check, finding))
    ]
    return roots or found


def follows_from(root: Finding, check: str, finding: Finding) -> bool:
    """Whether a finding of a check is a consequence of the root."""
    return finding is not root and not _names(check, finding).isdisjoint(root.explains)


def _names(check: str, finding: Finding) -> set[str]:
    """Return the names by which another finding may explain this one."""
    return {finding.failure, finding.failure.partition(".")[0], check}
