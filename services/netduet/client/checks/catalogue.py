"""All failure classes: those of each check, then those of ``watch``.

``netduet explain``, ``docs/checks.md`` and every report use it.
"""

from __future__ import annotations

from typing import Final

from netduet.client.checks import CHECKS
from netduet.client.checks.base import DEFECT
from netduet.client.outages.failures import WATCH
from netduet.client.results.failure import Failure, Severity

CATALOGUE: Final[dict[str, Failure]] = {
    failure.name: failure
    for failure in (
        *(failure for check in CHECKS for failure in check.failures),
        DEFECT,
        *WATCH,
    )
}

ALIASES: Final = {
    alias: failure.name for failure in CATALOGUE.values() for alias in failure.aliases
}
"""The current name of each class, by its older names."""


def current_name(name: str) -> str:
    """Return the current name of a failure class, given any of its names."""
    return ALIASES.get(name, name)


def severity(name: str) -> Severity:
    """Return the severity of a failure class; the default one if it is unknown."""
    failure = CATALOGUE.get(name)
    return Severity.CONNECTIONS if failure is None else failure.severity
