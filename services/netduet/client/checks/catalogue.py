"""All classes of failure: what each check declares, then what only ``watch`` finds.

``netduet explain``, ``docs/checks.md`` and every report are made from it.
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
"""The present name of each class, by an older one."""


def current_name(name: str) -> str:
    """Return the present name of a class of failure, given by any of its names."""
    return ALIASES.get(name, name)


def severity(name: str) -> Severity:
    """Return how much a class of failure hurts; the usual for one that is not known."""
    failure = CATALOGUE.get(name)
    return Severity.CONNECTIONS if failure is None else failure.severity
