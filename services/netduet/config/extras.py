"""Which extra of this package installs a module that is missing."""

from __future__ import annotations

import re
from importlib import metadata
from importlib.util import find_spec
from typing import Final

_PACKAGE: Final = "netduet"
_DISTRIBUTIONS: Final = {"OpenSSL": "pyopenssl"}
"""The distribution of a module whose name is another."""

_REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)[^;]*(?:;.*\bextra == ['\"](?P<extra>[^'\"]+)['\"])?"
)  # PEP 508, as far as this package's own metadata goes


def missing_module(*modules: str) -> str | None:
    """Return the remedy for the first module that is not installed, else None."""
    for module in modules:
        if find_spec(module) is None:
            return installation_hint(module)
    return None


def installation_hint(module: str) -> str:
    """Return that a module is not installed, and what to run."""
    top = module.partition(".")[0]
    distribution = _DISTRIBUTIONS.get(top, top.replace("_", "-"))
    for requirement in _requirements():
        match = _REQUIREMENT.match(requirement)
        if match and match["name"].lower() == distribution.lower():
            extra = f"[{match['extra']}]" if match["extra"] else ""
            return f"{distribution!r} is not installed: pip install '{_PACKAGE}{extra}'"
    # A dependency of a dependency.
    return f"{top!r} is not installed: pip install --force-reinstall {_PACKAGE}"


def _requirements() -> list[str]:
    try:
        return metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:  # run from the source tree
        return []
