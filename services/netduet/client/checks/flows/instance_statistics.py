"""Is it a single instance behind the address that loses packets? Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from netduet.client.checks.flows.results import (
    HeldFlow,
    PortTrial,
    TransportFlows,
)
from netduet.client.results.location import Direction
from netduet.client.stats.instances import FailingInstance, most_failing
from netduet.client.stats.proportions import lower_bound

MIN_MOVED: Final = 2
"""Connections that must have moved: a single one may have ended for another reason."""

_MIN_INTERRUPTED: Final = 3
"""Connections that must have been interrupted while their server went on."""

_MIN_MAC_CHANGES: Final = 2
"""Changes of the MAC address that make turns: a failover is one change."""


def instance_names(flows: TransportFlows) -> tuple[str, ...]:
    """Return the instances that answered, sorted."""
    return tuple(sorted(_trials_by_instance(flows)))


def hole_instance(
    flows: TransportFlows,
) -> tuple[FailingInstance, tuple[PortTrial, ...]] | None:
    """Return the instance to or from which no packet of full size passes, its trials."""
    by_instance = _trials_by_instance(flows)
    counts = {
        name: (
            sum(trial.full is False for trial in trials),
            sum(trial.full is not None for trial in trials),
        )
        for name, trials in by_instance.items()
    }
    found = most_failing(counts)
    if found is None or found.failed < found.count:
        return None
    trials = by_instance[found.name]
    return found, tuple(trial for trial in trials if trial.full is not None)


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
    found = most_failing(counts)
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


def moved_connections(held: tuple[HeldFlow, ...]) -> tuple[HeldFlow, ...]:
    """Return the connections that another instance took over.

    The instance that had them must answer again: else it was restarted or removed.
    """
    moved = tuple(each for each in held if each.has_moved and each.returned)
    return moved if len(moved) >= MIN_MOVED else ()


def interrupted_connections(held: tuple[HeldFlow, ...]) -> tuple[HeldFlow, ...]:
    """Return the connections that ended although their instance still answers."""
    interrupted = tuple(each for each in held if each.was_interrupted)
    return interrupted if len(interrupted) >= _MIN_INTERRUPTED else ()


def takes_turns(link_addresses: tuple[str, ...]) -> bool:
    """Whether two MAC addresses have an IP address by turns."""
    return len(link_addresses) > _MIN_MAC_CHANGES
