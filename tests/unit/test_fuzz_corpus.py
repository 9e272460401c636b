"""The seeds of the fuzz targets hold, each for itself."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from tests.fuzz import inputs
from tests.fuzz.targets import CORPUS, TARGETS, Target, without_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in without_settings():
        monkeypatch.delenv(name)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_seeds_and_a_few_changes_of_them_hold(target: Target) -> None:
    """What was found once is never found again."""
    seeds = target.seeds()
    assert len(seeds) >= 3
    for data in (b"", *seeds, *islice(inputs.changed(seeds, random.Random(15)), 40)):
        target.check(data)


def test_each_corpus_file_has_a_target() -> None:
    """No seeds are left behind when a target is renamed."""
    assert {path.stem for path in CORPUS.iterdir()} == set(TARGETS)


def test_smallest_leaves_out_what_does_not_matter() -> None:
    """Only the bytes that make it fail are left."""
    data = b"aaaaXbbbbYcccc"
    assert inputs.smallest(data, lambda data: b"X" in data and b"Y" in data) == b"XY"
