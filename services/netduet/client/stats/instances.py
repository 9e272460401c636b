"""Is a single one of several instances at fault? Exact tests. Pure.

Behind a virtual address each connection may reach another instance, which names itself
in its welcome. If one of them fails more often than chance explains, a finding names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.results.instance import Instance
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding
from netduet.client.stats.proportions import ERROR_PROBABILITY, p_more_often

REPEAT_COUNT: Final = 16
"""Trials that are repeated after a failure if several instances answer.

Of 17 trials, 5 or more at one of three instances single it out, 8 at one of two."""

_NAMING_ERROR: Final = 1e-3
"""Probability that chance singles out an instance for a failure that is certain."""

_MIN_INSTANCES: Final = 2

Counts = Mapping[str, tuple[int, int]]
"""How many trials failed, and how many there were, by the name of the instance."""


@dataclass(frozen=True, slots=True)
class InstanceTrial:
    """A trial on a connection, and the instance that answered it."""

    instance: Instance
    failed: bool


@dataclass(frozen=True, slots=True)
class FailingInstance:
    """An instance of which ``failed`` of ``count`` fail, and ``others_failed`` elsewhere."""

    name: str
    failed: int
    count: int
    others_failed: int
    others_count: int
    others: tuple[str, ...]

    @property
    def rate(self) -> float:
        """The share that fails."""
        return self.failed / max(1, self.count)


def count_by_instance(trials: Iterable[InstanceTrial]) -> Counts:
    """Return the counts of the instances that named themselves."""
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for trial in trials:
        name = str(trial.instance)
        if name:
            failed, count = counts[name]
            counts[name] = (failed + trial.failed, count + 1)
    return dict(counts)


def most_failing(
    counts: Counts, error_probability: float = ERROR_PROBABILITY
) -> FailingInstance | None:
    """Return the instance that fails more often than the others together, if any."""
    if len(counts) < _MIN_INSTANCES:
        return None
    found = []
    for name, (failures, count) in counts.items():
        others = [pair for other, pair in counts.items() if other != name]
        other_failed = sum(pair[0] for pair in others)
        other_count = sum(pair[1] for pair in others)
        failed = min(failures, count)
        other_failed = min(other_failed, other_count)
        if not failed or not other_count:
            continue
        chance = p_more_often(failed, count, other_failed, other_count)
        if chance * len(counts) < error_probability:
            names = tuple(sorted(other for other in counts if other != name))
            found.append(
                FailingInstance(name, failed, count, other_failed, other_count, names)
            )
    return max(found, key=lambda each: each.rate, default=None)


def name_instance(finding: Finding, trials: Iterable[InstanceTrial]) -> Finding:
    """Return the finding with the instance at fault in front.

    ``trials`` are all trials of what failed. If several instances answered, and the
    numbers single out none, the evidence says that.
    """
    known = [trial for trial in trials if str(trial.instance)]
    counts = count_by_instance(known)
    if len(counts) < _MIN_INSTANCES or not any(failed for failed, _ in counts.values()):
        return finding
    found = most_failing(counts, _NAMING_ERROR)
    if found is None:
        text = f"{_list_counts(counts)}: this singles out no instance"
        return replace(finding, evidence=(*finding.evidence, (Side.CLIENT, text)))
    seen = f"{_describe(found, known)}: {finding.seen}"
    cause = f"instance {found.name}, or the link to it, is at fault"
    return replace(
        finding,
        seen=seen,
        evidence=(*finding.evidence, (Side.CLIENT, _list_counts(counts))),
        figures={
            **finding.figures,
            "instance": found.name,
            "instances": len(counts),
        },
        causes=(cause, *finding.causes),
        culprit=found.name,
    )


def _describe(found: FailingInstance, trials: Iterable[InstanceTrial]) -> str:
    """Return the instance, its address, and what failed there and elsewhere."""
    address = next(
        trial.instance.address for trial in trials if str(trial.instance) == found.name
    )
    others = len(found.others)
    rest = "the other instance" if others == 1 else f"the other {others} instances"
    return (
        f"instance {found.name}{f' ({address})' if address else ''}: {found.failed} of "
        f"{found.count} connections failed, with {rest} {found.others_failed} of "
        f"{found.others_count}"
    )


def _list_counts(counts: Counts) -> str:
    parts = (
        f"{failed} of {count} at {name}"
        for name, (failed, count) in sorted(counts.items())
    )
    return f"failed connections by instance: {', '.join(parts)}"
