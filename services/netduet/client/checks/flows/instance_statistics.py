"""Is it a single instance behind the address that loses packets? Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.flows.results import (
    HeldFlow,
    PortTrial,
    TransportFlows,
)
from netduet.client.results.location import Direction
from netduet.client.stats.proportions import (
    ERROR_PROBABILITY,
    lower_bound,
    p_more_often,
)

_MIN_INSTANCES: Final = 2
_MIN_MOVED: Final = 2
"""Connections that must have moved: a single one may have ended for another reason."""

_MIN_MAC_CHANGES: Final = 2
"""Changes of the MAC address that make turns: a failover is one change."""


@dataclass(frozen=True, slots=True)
class FailingInstance:
    """An instance of which ``failed`` of ``count`` fail, and ``others_failed`` elsewhere."""

    name: str
    failed: int
    count: int
    others_failed: int
    others_count: int
    others: tuple[str, ...]
    trials: tuple[PortTrial, ...] = ()

    @property
    def rate(self) -> float:
        """The share that fails."""
        return self.failed / max(1, self.count)


def instance_names(flows: TransportFlows) -> tuple[str, ...]:
    """Return the instances that answered, sorted."""
    return tuple(sorted(_trials_by_instance(flows)))


def hole_instance(flows: TransportFlows) -> FailingInstance | None:
    """Return the instance to or from which no packet of full size passes."""
    counts = {
        name: (
            sum(trial.full is False for trial in trials),
            sum(trial.full is not None for trial in trials),
        )
        for name, trials in _trials_by_instance(flows).items()
    }
    found = _most_failing(counts)
    if found is None or found.failed < found.count:
        return None
    trials = tuple(
        trial
        for trial in _trials_by_instance(flows)[found.name]
        if trial.full is not None
    )
    return FailingInstance(
        found.name,
        found.failed,
        found.count,
        found.others_failed,
        found.others_count,
        found.others,
        trials,
    )


def lossy_instance(
    flows: TransportFlows, direction: Direction, max_loss: float
) -> FailingInstance | None:
    """Return the instance that loses more than the others, and more than is allowed."""
    up = direction is Direction.UP
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for port in flows.ports:
        if port.packets is not None and str(port.packets.instance):
            trial, name = port.packets, str(port.packets.instance)
            lost, sent = counts[name]
            lost += trial.lost_up if up else trial.lost_down
            counts[name] = (lost, sent + trial.sent)
    found = _most_failing(counts)
    if found is None or lower_bound(found.failed, found.count) <= max_loss:
        return None
    return found


def _trials_by_instance(flows: TransportFlows) -> dict[str, list[PortTrial]]:
    trials: dict[str, list[PortTrial]] = defaultdict(list)
    for port in flows.ports:
        for trial in port.trials:
            if str(trial.instance):
                trials[str(trial.instance)].append(trial)
    return trials


def _most_failing(counts: dict[str, tuple[int, int]]) -> FailingInstance | None:
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
        if chance * len(counts) < ERROR_PROBABILITY:
            names = tuple(sorted(other for other in counts if other != name))
            found.append(
                FailingInstance(name, failed, count, other_failed, other_count, names)
            )
    return max(found, key=lambda each: each.rate, default=None)


def moved_connections(held: tuple[HeldFlow, ...]) -> tuple[HeldFlow, ...]:
    """Return the connections that another instance took over.

    The instance that had them must still answer: else it was restarted or removed.
    """
    moved = [
        each
        for each in held
        if each.has_moved
        and any(
            other.boot_id == each.boot_id and other.answered_at > each.end
            for other in held
        )
    ]
    return tuple(moved) if len(moved) >= _MIN_MOVED else ()


def takes_turns(link_addresses: tuple[str, ...]) -> bool:
    """Whether two MAC addresses have an IP address by turns."""
    return len(link_addresses) > _MIN_MAC_CHANGES
