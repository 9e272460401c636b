"""Adds to a finding what was found out about it. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.investigation.content import explain_by_content
from netduet.client.checks.investigation.kernel_counters import explain_by_counters
from netduet.client.checks.investigation.other_transport import explain_by_other
from netduet.client.checks.investigation.own_kernel import explain_by_own_host
from netduet.client.checks.investigation.place import explain_by_hops
from netduet.client.checks.investigation.refusal import explain_refusal
from netduet.client.results.location import Location

if TYPE_CHECKING:
    from netduet.client.checks.investigation.results import Clues
    from netduet.client.results.verdict import Finding

_ABOUT_LOSSES: Final = (
    "reach.",
    "identity.silent",
    "identity.unacknowledged",
    "path.",
    "balance.",
    "size.black_hole",
    "size.stalled",
    "udp.silent",
    "udp.loss",
    "udp.overflow",
    "udp.black_hole",
    "udp.fragments",
    "churn.",
    "stream.",
    "load.",
    "flows.",
)
"""Classes, or their beginnings, that packets which a kernel drops may explain."""

_EXPLANATIONS: Final = (
    explain_by_content,
    explain_refusal,
    explain_by_own_host,
    explain_by_counters,
    explain_by_other,
    explain_by_hops,
)
"""In the order of their causes: what proves most comes first."""


def is_about_losses(failure: str) -> bool:
    """Whether packets that a kernel drops may explain a class of failure."""
    return failure.startswith(_ABOUT_LOSSES)


def explain(finding: Finding, clues: Clues) -> Finding:
    """Return the finding with evidence, likely causes and a place."""
    for explained in _EXPLANATIONS:
        for explanation in explained(finding, clues):
            finding = explanation.added_to(finding)
    return finding if _is_in_between(finding) else replace(finding, place="")


def _is_in_between(finding: Finding) -> bool:
    """Whether a place on the path says more than the end that is at fault."""
    counted = any("Csum" in name for name in finding.figures)
    return finding.where not in {Location.CLIENT, Location.SERVER} and not counted
