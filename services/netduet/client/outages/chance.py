"""Which events chance explains, because scattered losses may coincide. Pure."""

from __future__ import annotations

import math
from typing import Final

from netduet.client.outages.events import ConnectFailureRun, ConnectionStall, LossRun
from netduet.client.outages.observations import Observations
from netduet.client.results.location import Location
from netduet.client.stats.proportions import ERROR_PROBABILITY, upper_bound

PACKETS_PER_CONNECTION: Final = 4
"""Packets that a new connection needs: SYN, SYN-ACK, the request, its answer."""

MAX_BASE_FAILURE_RATE: Final = 0.5
"""Highest share of new connections that may fail by chance where none worked at all.

Nothing else bounds it then; a path on which half of them fail is broken anyway. 18 that
fail in a row are no chance."""

JOINT_ERROR_RATE: Final = 0.01
"""Error probability of the loss bound where two kinds must fail together: chance would
have to favour the time before, and then to disfavour both."""

FIRST_RETRANSMIT_SECONDS: Final = 0.2
"""Seconds until TCP first retransmits a lost segment; the time doubles each time."""


def is_loss_run_by_chance(observations: Observations, run: LossRun) -> bool:
    """Whether a loss run may be due to chance, given the other losses.

    The loss rate is bounded by the losses outside of runs (99.99 %), and a run may
    start at any datagram.
    """
    datagrams = observations.datagrams
    counts = datagrams.down if run.where == Location.FROM_SERVER else datagrams.up
    sent, lost = counts.sent - run.lost, counts.lost - run.lost
    if run.where == Location.UNKNOWN:
        sent, lost = counts.sent, counts.lost
    sent = max(1, sent)
    rate = upper_bound(min(max(0, lost), sent), sent)
    return (sent + run.lost) * rate**run.lost > ERROR_PROBABILITY


def is_failure_run_by_chance(
    observations: Observations, failure_run: ConnectFailureRun
) -> bool:
    """Whether so many connections may fail by chance.

    Packet loss causes no rejections. Where datagrams pass, their loss rate also bounds
    how often connections fail by chance: each needs four packets in a row.
    """
    if failure_run.rejected:
        return False
    connections = observations.new_connections
    started = max(1, connections.started - failure_run.failed)
    failed = min(max(0, connections.failed - failure_run.failed), started)
    rate = upper_bound(failed, started)
    if failure_run.failed >= connections.started:
        rate = min(rate, MAX_BASE_FAILURE_RATE)
    if observations.datagrams.passed:
        arrives = 1.0 - _loss_rate_of_datagrams(observations)
        rate = min(rate, 1.0 - arrives**PACKETS_PER_CONNECTION)
    return (started + failure_run.failed) * rate**failure_run.failed > ERROR_PROBABILITY


def are_both_by_chance(
    observations: Observations, failure_run: ConnectFailureRun, stall: ConnectionStall
) -> bool:
    """Whether new connections and the existing one may fail together by chance."""
    if failure_run.rejected or stall.broken:
        return False
    rate = _loss_rate_of_connections(observations, JOINT_ERROR_RATE)
    failure_rate = 1.0 - (1.0 - rate) ** 2
    starts = max(1, observations.new_connections.started)
    probability = failure_rate**failure_run.failed * rate ** _losses_needed(
        observations, stall
    )
    return starts * probability > ERROR_PROBABILITY


def is_stall_by_chance(observations: Observations, stall: ConnectionStall) -> bool:
    """Whether single losses may stall a connection for so long.

    A lost segment is retransmitted after about 0.2 s, 0.4 s more, 0.8 s more and so on
    (RFC 6298 §5): in a long stall, each of these must be lost too.
    """
    if stall.broken:
        return False
    if observations.datagrams.passed:
        rate = _loss_rate_of_datagrams(observations)
    else:
        rate = _loss_rate_of_connections(observations)
    requests = max(1, observations.long_lived.asked)
    return (
        2 * requests * rate ** _losses_needed(observations, stall) > ERROR_PROBABILITY
    )


def _losses_needed(observations: Observations, stall: ConnectionStall) -> int:
    seconds = stall.seconds - observations.starved_seconds(stall)
    return 1 + int(math.log2(seconds / FIRST_RETRANSMIT_SECONDS + 1))


def _loss_rate_of_datagrams(observations: Observations) -> float:
    """Return the highest likely loss rate, from the datagrams outside of loss runs."""
    up, down = observations.datagrams.up, observations.datagrams.down
    in_runs = sum(run.lost for run in observations.loss_runs)
    lost, sent = up.lost + down.lost - in_runs, up.sent + down.sent - in_runs
    return upper_bound(min(max(0, lost), max(1, sent)), max(1, sent))


def _loss_rate_of_connections(
    observations: Observations, error_rate: float = ERROR_PROBABILITY
) -> float:
    """Return the highest likely loss rate, from the new connections outside of runs.

    Each of them needs at least two packets, its SYN and the answer.
    """
    in_runs = sum(run.failed for run in observations.failure_runs)
    started = max(1, observations.new_connections.started - in_runs)
    failed = min(max(0, observations.new_connections.failed - in_runs), started)
    return 1.0 - math.sqrt(1.0 - upper_bound(failed, started, error_rate))
