"""All failure classes: those of each check, then those of ``watch``.

``netduet explain``, ``docs/checks.md`` and every report use it.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Final

from netduet.client.checks import CHECKS
from netduet.client.checks.base import DEFECT, UNENDING
from netduet.client.checks.containers import read_facts
from netduet.client.outages.failures import WATCH
from netduet.client.results.advice import fit
from netduet.client.results.failure import Failure, Severity

CATALOGUE: Final[dict[str, Failure]] = {
    failure.name: failure
    for failure in (
        *(failure for check in CHECKS for failure in check.failures),
        DEFECT,
        UNENDING,
        *WATCH,
    )
}

ALIASES: Final = {
    alias: failure.name for failure in CATALOGUE.values() for alias in failure.aliases
}
"""The current name of each class, by its older names."""


def catalogue_for(engine: str) -> dict[str, Failure]:
    """Return the classes with the advice for an engine (``ContainerFacts.engine``)."""
    return {
        name: replace(
            failure, causes=fit(failure.causes, engine), next=fit(failure.next, engine)
        )
        for name, failure in CATALOGUE.items()
    }


@functools.cache
def local_catalogue() -> dict[str, Failure]:
    """Return the classes with the advice for where this process runs."""
    return catalogue_for(read_facts().engine)


def current_name(name: str) -> str:
    """Return the current name of a failure class, given any of its names."""
    return ALIASES.get(name, name)


def severity(name: str) -> Severity:
    """Return the severity of a failure class; the default one if it is unknown."""
    failure = CATALOGUE.get(name)
    return Severity.CONNECTIONS if failure is None else failure.severity
