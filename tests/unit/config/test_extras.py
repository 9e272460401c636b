"""The extra that a missing module belongs to, from this package's own metadata."""

from __future__ import annotations

from importlib import metadata

import pytest

from netduet.cli.commands import CLIENT_MODULES
from netduet.config.extras import installation_hint, missing_module


def test_modules_of_the_client_are_those_of_its_extra() -> None:
    """A new dependency of the client is looked for before a check starts."""
    distributions = metadata.packages_distributions()
    names = {distributions[module][0].lower() for module in CLIENT_MODULES}
    requirements = metadata.requires("netduet") or []
    extra = [line for line in requirements if line.endswith('extra == "client"')]
    assert names == {line.partition(">")[0].lower() for line in extra}


@pytest.mark.parametrize("module", CLIENT_MODULES)
def test_hint_names_the_extra_of_the_client(module: str) -> None:
    """Also where the distribution has another name than its module."""
    assert installation_hint(module).endswith(
        " is not installed: pip install 'netduet[client]'"
    )


def test_first_missing_module_is_named() -> None:
    """What is installed is not."""
    assert missing_module("json", "h2") is None
    assert missing_module("h2", "no_such_module") == (
        "'no_such_module' is not installed: pip install --force-reinstall netduet"
    )
