"""Does what passes depend on the source port, or on the instance? Exact tests. Pure.

Each test compares trials of the second stage, which no earlier trial has chosen for their
outcome: those of the ports that were suspicious before with those of the controls. If
losses do not depend on the port, both lose alike, whatever the rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from netduet.client.checks.flows.plan import ROUNDS, STOPPED_RUN
from netduet.client.checks.flows.results import (
    FirstDatagrams,
    PortTrial,
    SourcePort,
    TransportFlows,
)
from netduet.client.results.location import Direction
from netduet.client.stats.proportions import (
    ERROR_PROBABILITY,
    lower_bound,
    p_at_least,
    p_by_chance,
    p_initial_run,
    p_more_often,
)

_ERROR_PROBABILITY: Final = ERROR_PROBABILITY / 4
"""Probability of each kind of finding by chance: of all four together, 1 in 10,000."""

_TESTS_OF_LOSS: Final = 8
"""Tests of loss per address: two transports, two directions, all suspicious ports and
each port."""

_MAX_BEFORE_STOP: Final = 4
"""Ports without an answer before the last one with an answer, where all end at once."""

_MIN_FIRST_LOST_SHARE: Final = 0.6
"""Share of new flows that lose their first datagram, more than which must be certain."""

_MIN_RANGE_PORTS: Final = 4
"""Dead ports side by side that make a range."""


@dataclass(frozen=True, slots=True)
class FailingPorts:
    """Ports from which something never passes, of ``tried`` ones; sorted.

    ``is_range``: they are side by side, and no other port between them passes.
    ``others_fail``: from the other ports, something failed now and then.
    """

    ports: tuple[SourcePort, ...]
    tried: int
    is_range: bool
    others_fail: bool


@dataclass(frozen=True, slots=True)
class LossyPorts:
    """A share of the ports loses more than the others, in one direction.

    ``rate`` is the loss of the ``lossy`` ones of those compared, ``other_rate`` that of
    the others; ``estimate`` of ``tried`` ports are like them.
    """

    direction: Direction
    lossy: tuple[int, ...]
    rate: float
    other_rate: float
    estimate: int
    tried: int


def stopped_after(flows: TransportFlows) -> int | None:
    """Return how many ports passed before none did any more; None if it is not so.

    A limit on the number of flows fails the later ones, a dead path any of them.
    """
    passed = [port.passed for port in flows.ports]
    if not any(passed) or all(passed):
        return None
    last = len(passed) - 1 - passed[::-1].index(True)
    dead_before = passed[:last].count(False)
    dead_after = len(passed) - 1 - last
    if dead_before > _MAX_BEFORE_STOP or dead_after < STOPPED_RUN:
        return None
    # The few before are left out: they were under way when it happened.
    count = last + 1 - dead_before
    is_by_chance = p_initial_run(count, count + dead_after, count) > _ERROR_PROBABILITY
    return None if is_by_chance else count


def dead_ports(flows: TransportFlows) -> FailingPorts | None:
    """Return the ports from which nothing ever passes, if chance does not explain it."""
    dead = [
        port for port in flows.ports if not port.passed and len(port.again) >= ROUNDS
    ]
    suspicious = [port for port in flows.ports if not port.first.passed]
    controls = [port for port in flows.ports if port.first.passed]
    if not dead or _p_of_failures(suspicious, controls, _passes) > _ERROR_PROBABILITY:
        return None
    if _is_loss(len(dead), suspicious, _passes):
        return None
    return _failing(flows.ports, dead, _passes)


def hole_ports(flows: TransportFlows) -> FailingPorts | None:
    """Return the ports from which no packet of full size passes, while small ones do."""
    tried = [
        port
        for port in flows.ports
        if port.passed and any(trial.full is not None for trial in port.trials)
    ]
    suspicious = [port for port in tried if port.first.full is False]
    hole = [
        port
        for port in suspicious
        if not port.full_passed and len(port.again) >= ROUNDS
    ]
    controls = [port for port in tried if port.first.full]
    if not hole or _p_of_failures(suspicious, controls, _full_passes) > (
        _ERROR_PROBABILITY
    ):
        return None
    if _is_loss(len(hole), suspicious, _full_passes):
        return None
    return _failing(tried, hole, _full_passes)


def loses_first_datagrams(first: FirstDatagrams) -> bool:
    """Whether most new flows lose their first datagram alone, and known ones do not.

    Both were tried by turns, so that an outage meets both.
    """
    by_chance = p_more_often(first.new_lost, first.new, first.known_lost, first.known)
    is_most = lower_bound(first.new_lost, first.new) > _MIN_FIRST_LOST_SHARE
    return is_most and by_chance <= _ERROR_PROBABILITY


def _passes(trial: PortTrial) -> bool:
    return trial.passed


def _full_passes(trial: PortTrial) -> bool:
    return bool(trial.full)


def _p_of_failures(
    suspicious: Sequence[SourcePort],
    controls: Sequence[SourcePort],
    passes: Callable[[PortTrial], bool],
) -> float:
    """Return the probability that chance fails the suspicious ports so much more often.

    Two exact tests: that a port fails in all rounds, as the controls' trials in these
    rounds allow; and how many ports fail in the first round. Both leave out the first
    stage, which has chosen the ports.
    """
    others = [passes(trial) for port in controls for trial in port.again]
    first = [passes(port.again[0]) for port in suspicious if port.again]
    other_first = [passes(port.again[0]) for port in controls if port.again]
    if not first or not others:
        return 1.0
    single = p_by_chance(sum(others), len(others), ROUNDS) * len(suspicious)
    together = p_more_often(
        first.count(False), len(first), other_first.count(False), len(other_first)
    )
    return 2 * min(single, together)


def _is_loss(
    count: int,
    suspicious: Sequence[SourcePort],
    passes: Callable[[PortTrial], bool],
) -> bool:
    """Whether loss explains that so many of the suspicious ports fail in all rounds.

    The others among them, from which something passes, show how often a trial fails: on a
    path that loses much, some port fails each time.
    """
    trials = [
        passes(trial)
        for port in suspicious
        if any(map(passes, port.again))
        for trial in port.again
    ]
    if not trials:
        return False
    share = trials.count(False) / len(trials)
    by_chance = p_at_least(count, len(suspicious), share**ROUNDS)
    return by_chance > _ERROR_PROBABILITY


def _failing(
    tried: Sequence[SourcePort],
    failing: list[SourcePort],
    passes: Callable[[PortTrial], bool],
) -> FailingPorts:
    others_fail = any(
        not passes(trial)
        for port in tried
        if port not in failing
        for trial in (port.first, *port.again)
    )
    ports = tuple(sorted(failing, key=lambda port: port.port))
    low, high = ports[0].port, ports[-1].port
    between = sum(low <= port.port <= high for port in tried)
    # All ports are as likely to be first of a run: C(n, d) choices, n - d + 1 runs.
    others = len(tried) - len(ports)
    chance = (others + 1) * p_by_chance(others, others, len(ports))
    is_range = between == len(ports) >= _MIN_RANGE_PORTS and chance < _ERROR_PROBABILITY
    return FailingPorts(ports, len(tried), is_range, others_fail)


def lossy_ports(
    flows: TransportFlows, direction: Direction, max_loss: float
) -> LossyPorts | None:
    """Return the ports that lose more than the others, and more than is allowed."""
    measured = [port for port in flows.ports if port.packets is not None]
    suspicious = [port for port in measured if port.is_suspicious]
    controls = [port for port in measured if not port.is_suspicious]
    if not suspicious or not controls:
        return None
    chances = [
        _p_of_losses(suspicious, controls, direction),
        *(len(measured) * _p_of_one(port, measured, direction) for port in measured),
    ]
    if min(chances) * _TESTS_OF_LOSS > _ERROR_PROBABILITY:
        return None
    lossy, others = _split(measured, direction)
    lost, sent = _count(lossy, direction)
    if lower_bound(lost, sent) <= max_loss:
        return None
    other_lost, other_sent = _count(others, direction)
    return LossyPorts(
        direction,
        tuple(sorted(port.port for port in lossy)),
        lost / sent,
        other_lost / max(1, other_sent),
        _estimate(flows.ports, suspicious, controls, lossy),
        len(flows.ports),
    )


def _p_of_losses(
    ports: Sequence[SourcePort], others: Sequence[SourcePort], direction: Direction
) -> float:
    """Return the probability that chance makes these ports lose so much more."""
    return p_more_often(*_count(ports, direction), *_count(others, direction))


def _p_of_one(
    port: SourcePort, measured: Sequence[SourcePort], direction: Direction
) -> float:
    others = [each for each in measured if each is not port]
    return _p_of_losses([port], others, direction)


def _split(
    measured: Sequence[SourcePort], direction: Direction
) -> tuple[list[SourcePort], list[SourcePort]]:
    """Return the lossy ports and the others, where two rates explain the counts best.

    The split of the sorted ports with the largest likelihood of two binomials.
    """
    ordered = sorted(
        measured, key=lambda port: _count([port], direction)[0], reverse=True
    )
    best = max(
        range(1, len(ordered)),
        key=lambda count: (
            _log_likelihood(*_count(ordered[:count], direction))
            + _log_likelihood(*_count(ordered[count:], direction))
        ),
    )
    return ordered[:best], ordered[best:]


def _log_likelihood(lost: int, sent: int) -> float:
    if not 0 < lost < sent:
        return 0.0
    share = lost / sent
    return lost * math.log(share) + (sent - lost) * math.log1p(-share)


def _estimate(
    ports: Sequence[SourcePort],
    suspicious: Sequence[SourcePort],
    controls: Sequence[SourcePort],
    lossy: Sequence[SourcePort],
) -> int:
    """Return how many of all ports are lossy, from those that were compared."""
    doubtful = sum(port.is_suspicious for port in ports)
    total = 0.0
    for compared, count in (
        (suspicious, doubtful),
        (controls, len(ports) - doubtful),
    ):
        share = sum(port in lossy for port in compared) / max(1, len(compared))
        total += share * count
    return max(len(lossy), round(total))


def _count(ports: Sequence[SourcePort], direction: Direction) -> tuple[int, int]:
    """Return the lost packets, and those sent, of the exchanges of many packets."""
    trials = [port.packets for port in ports if port.packets is not None]
    lost = sum(
        trial.lost_up if direction is Direction.UP else trial.lost_down
        for trial in trials
    )
    sent = sum(trial.sent for trial in trials)
    return min(lost, sent), sent
