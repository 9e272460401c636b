"""Which instance do the failing connections meet? Pure.

Only connections that were welcomed name their instance: those with lost SYNs or a late
answer. Of refused and unanswered ones only the instances of the others are known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final

from netduet.client.results.location import Side
from netduet.client.stats.instances import (
    FailingInstance,
    InstanceTrial,
    count_by_instance,
    most_failing,
    name_instance,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netduet.client.checks.churn.results import Attempt, ChurnResult
    from netduet.client.results.verdict import Finding

_OF_SYNS: Final = frozenset(
    {
        "churn.syn_lost",
        "churn.repeated_syn",
        "churn.ecn_dropped",
    }
)
_WITHOUT_WELCOME: Final = frozenset({"churn.refused", "churn.not_served"})


def add_instance(result: ChurnResult, finding: Finding) -> Finding:
    """Return the finding with the instance that the failing connections met."""
    attempts = [attempt for attempt in result.attempts if str(attempt.instance)]
    if finding.failure in _OF_SYNS:
        trials = (
            InstanceTrial(attempt.instance, attempt.lost_syns > 0)
            for attempt in attempts
        )
        return name_instance(finding, trials)
    served = Counter(str(attempt.instance) for attempt in attempts)
    if finding.failure not in _WITHOUT_WELCOME or len(served) <= 1:
        return finding
    names = ", ".join(f"{count} by {name}" for name, count in sorted(served.items()))
    text = f"of the other connections, {names} were served; the failed ones named none"
    return replace(finding, evidence=(*finding.evidence, (Side.CLIENT, text)))


def slow_instance(
    attempts: Sequence[Attempt], min_seconds: float, min_factor: float
) -> FailingInstance | None:
    """Return the instance whose first answers are late, compared with the others'."""
    trials = []
    for attempt in attempts:
        others = [
            other.answer_seconds or 0.0
            for other in attempts
            if str(other.instance) != str(attempt.instance)
        ]
        seconds = attempt.answer_seconds or 0.0
        usual = median(others) if others else seconds
        late = seconds >= max(min_seconds, min_factor * usual)
        trials.append(InstanceTrial(attempt.instance, late))
    return most_failing(count_by_instance(trials))
