"""Which instance held the connections that died? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from netduet.client.checks.idle.results import HoldOutcome, IdleResult
from netduet.client.results.instance import instance_of
from netduet.client.results.verdict import Finding
from netduet.client.stats.instances import InstanceTrial, name_instance


def add_instance(result: IdleResult, rung: float, finding: Finding) -> Finding:
    """Return a finding about a rung with the instance whose connections died."""
    return name_instance(finding, _trials(result, rung))


def _trials(result: IdleResult, rung: float) -> Iterator[InstanceTrial]:
    """Yield the connections held for this time without keep-alive."""
    for held in (*result.held, *result.repeated):
        welcome = held.handshake.welcome
        is_judged = held.is_dead or held.outcome is HoldOutcome.ALIVE
        is_same = held.plan.rung == rung and held.plan.keepalive is None
        if welcome is not None and is_judged and is_same:
            yield InstanceTrial(instance_of(welcome), held.is_dead)
