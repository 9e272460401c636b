"""SECURITY.md promises nothing that no test shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.rows import ALL

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "SECURITY.md").read_text("utf-8").partition("## Threat model")[2]
TESTS = set(re.findall(r"`(test_\w+)`", MODEL))
TRIALS = set(re.findall(r"\*([a-z]+(?:-[a-z0-9]+)*)\*", MODEL)) - {"italics"}


def promises() -> Iterator[str]:
    """Yield the rows of all tables."""
    for line in MODEL.splitlines():
        if line.startswith("| ") and not line.startswith("| cannot"):
            yield line


def test_named_tests_exist() -> None:
    """Each test function that the threat model names is there."""
    sources = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = {name for text in sources for name in re.findall(r"def (test_\w+)", text)}
    assert len(TESTS) > 20
    assert defined >= TESTS, TESTS - defined


def test_named_trials_exist() -> None:
    """Each trial that the threat model names is there, and has code."""
    assert len(TRIALS) > 10
    assert {row.name for row in ALL.values() if row.run is not None} >= TRIALS


@pytest.mark.parametrize("promise", list(promises()))
def test_each_promise_names_what_shows_it(promise: str) -> None:
    """No promise stands alone."""
    shown = promise.split("|")[2]
    assert re.search(r"`test_\w+`|\*[a-z-]+\*", shown)
