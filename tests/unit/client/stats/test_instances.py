"""Which instance is at fault: tables of trials, no network."""

from __future__ import annotations

import pytest

from netduet.client.results.instance import Instance
from netduet.client.results.verdict import Finding
from netduet.client.stats.instances import (
    InstanceTrial,
    count_by_instance,
    most_failing,
    name_instance,
)

FINDING = Finding("close.reset_hidden", "198.18.1.1:12345: a FIN came instead")


def trials(name: str, failed: int, count: int) -> list[InstanceTrial]:
    """Return trials at an instance, of which the first ones failed."""
    instance = Instance(name, "n2", address=f"{name}.test:12345")
    return [InstanceTrial(instance, number < failed) for number in range(count)]


def test_instance_at_fault_is_named_first() -> None:
    """Its name, node and address come first, then what failed there and elsewhere."""
    tried = trials("a", 5, 5) + trials("b", 0, 6) + trials("c", 0, 5)
    finding = name_instance(FINDING, tried)
    assert finding.seen == (
        "instance a on n2 (a.test:12345): 5 of 5 connections failed, with the other 2 "
        "instances 0 of 11: 198.18.1.1:12345: a FIN came instead"
    )
    assert finding.culprit == "a on n2"
    assert finding.causes[0].startswith("instance a on n2")
    assert finding.figures == {"instance": "a on n2", "instances": 3}


@pytest.mark.parametrize(
    "tried",
    [
        trials("a", 1, 1) + trials("b", 0, 4),
        trials("a", 8, 8) + trials("b", 8, 8),
        trials("a", 4, 8) + trials("b", 1, 8),
    ],
    ids=["few", "all", "chance"],
)
def test_numbers_that_separate_nothing_name_nobody(tried: list[InstanceTrial]) -> None:
    """The evidence says what failed where, and that it singles out none."""
    finding = name_instance(FINDING, tried)
    assert (finding.seen, finding.culprit) == (FINDING.seen, "")
    [(_, text)] = finding.evidence
    assert "singles out no instance" in text


@pytest.mark.parametrize(
    "tried",
    [trials("a", 9, 9), trials("a", 0, 9) + trials("b", 0, 9), trials("", 9, 9)],
    ids=["alone", "nothing failed", "unnamed"],
)
def test_nothing_is_said_without_several_instances(tried: list[InstanceTrial]) -> None:
    """A single instance, and failures that named none, change nothing."""
    assert name_instance(FINDING, tried) == FINDING


def test_alarm_needs_more_than_a_name() -> None:
    """What names an instance for a certain failure is too little to find one."""
    tried = trials("a", 5, 5) + trials("b", 0, 11)
    assert most_failing(count_by_instance(tried)) is None
    tried = trials("a", 9, 9) + trials("b", 0, 11)
    found = most_failing(count_by_instance(tried))
    assert found is not None
    assert (found.name, found.failed, found.others) == ("a on n2", 9, ("b on n2",))
