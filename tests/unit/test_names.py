"""Names follow the rules of CONTRIBUTING.md: judged on syntax trees."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

import pytest

from tests import structure

BANNED: Final = frozenset({"one", "two", "it", "told", "said", "some"})
"""Words that say nothing about the thing that they name."""

MAX_NAME_SHARE: Final = 0.025
"""Largest share of all uses of the project's own names that a single name may have."""

NAMES_WITH_ING: Final = frozenset({"testing", "opening"})
"""Module names that end in -ing: a public package, and a noun of the protocol."""


@pytest.fixture(scope="module")
def tree() -> structure.Tree:
    """Parse all of services once."""
    return structure.parse(structure.read_sources(None))


@pytest.fixture(scope="module")
def all_code(tree: structure.Tree) -> structure.Tree:
    """Add all of tests, with paths that begin with their folder."""
    tests = structure.parse(structure.read_sources(None, "tests"))
    return {**tree, **{f"tests/{path}": module for path, module in tests.items()}}


def test_banned_names_are_not_used(all_code: structure.Tree) -> None:
    """A variable, parameter, attribute or function is named by what it holds or does."""
    offenders = [
        structure.Definition(name, path, line)
        for path, module in all_code.items()
        for name, line in structure.bound_names(module)
        if name.strip("_").lower() in BANNED
    ]
    assert not offenders, _listed("banned names", offenders)


def test_class_name_stands_in_one_file(tree: structure.Tree) -> None:
    """A class name means one thing in the whole project."""
    offenders = [
        definition
        for definitions in structure.shared_class_names(tree).values()
        for definition in definitions
    ]
    assert not offenders, _listed("class names in several files", offenders)


def test_no_name_is_overused(tree: structure.Tree) -> None:
    """A name used for everything says nothing."""
    uses = structure.own_name_uses(tree)
    total = uses.total()
    offenders = [
        f"{name}: {count} of {total} uses, {count / total:.1%}"
        for name, count in uses.most_common()
        if count > MAX_NAME_SHARE * total
    ]
    assert not offenders, _listed("overused names", offenders)


def test_numeric_constants_say_their_meaning(tree: structure.Tree) -> None:
    """The name has the unit or the limit, or a docstring explains it."""
    offenders = [
        definition
        for definition, explained in structure.numeric_constants(tree)
        if not explained
    ]
    assert not offenders, _listed("bare numbers", offenders)


def test_modules_are_named_by_nouns(all_code: structure.Tree) -> None:
    """A module is named by what it holds."""
    offenders = [
        path
        for path in all_code
        for part in PurePath(path).with_suffix("").parts
        if re.search("ing$", part) and part.removeprefix("test_") not in NAMES_WITH_ING
    ]
    assert not offenders, _listed("modules named by a participle", offenders)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("one = 1", ["one"]),
        ("self._told = 1", ["_told"]),
        ("def said(some, *, it=None): ...", ["said", "some", "it"]),
        ("[two for two in ()]", ["two"]),
        ("match x:\n case [one, *two]: ...", ["one", "two"]),
        ("import os as it", ["it"]),
        ("print(one.told)", []),
    ],
)
def test_bound_names_finds_each_kind_of_binding(code: str, names: list[str]) -> None:
    """Variables, attributes, parameters, functions, patterns and aliases are found."""
    module = structure.parse({"sample.py": code})["sample.py"]
    assert sorted(name for name, _ in structure.bound_names(module)) == sorted(names)


@pytest.mark.parametrize(
    ("code", "explained"),
    [
        ("MOST: Final = 4", [False]),
        ('MOST: Final = 4\n"""Addresses that are tried."""', [True]),
        ("MAX_ADDRESSES: Final = 4", [True]),
        ("_TRIAL_SECONDS: Final = 5.0", [True]),
        ("MOST: Final = 4 * KIB", [False]),
        ("NAME: Final = 'four'", []),
        ("def f() -> None:\n    most = 4", []),
    ],
)
def test_numeric_constants_need_a_name_or_docstring(
    code: str, explained: list[bool]
) -> None:
    """Only numbers at module level need one."""
    tree = structure.parse({"sample.py": code})
    assert [good for _, good in structure.numeric_constants(tree)] == explained


def _listed(what: str, offenders: Iterable[object]) -> str:
    lines = [str(offender) for offender in offenders]
    return "\n  ".join([f"{len(lines)} {what}:", *lines])
