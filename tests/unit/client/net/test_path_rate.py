"""Probes that do not fill slow paths."""

from __future__ import annotations

import math

import pytest

from netduet.client.checks.balance.measure import (
    CONNECTIONS_BY_PROFILE,
    INTERVAL_SECONDS,
    MIN_SLOW_CONNECTIONS,
    fit_pace,
    fit_timeouts,
)
from netduet.client.checks.churn import measure as churn
from netduet.client.checks.close import measure as close
from netduet.client.checks.flows import measure as flows
from netduet.client.checks.flows.plan import PLANS as FLOW_PLANS
from netduet.client.checks.flows.plan import PORT_BYTES
from netduet.client.checks.load import measure as load
from netduet.client.checks.size import measure as size
from netduet.client.checks.stream import measure as stream
from netduet.client.checks.udp import measure as udp
from netduet.client.net import path_rate
from netduet.client.net.path_rate import (
    CONNECTION_BYTES,
    DATAGRAM_BYTES,
    drain_rate,
)
from netduet.client.net.timeouts import Timeouts

PROFILES = ["quick", "full", "soak"]
SLOW_RATES = [64e3, 128e3, 512e3, 1e6]


@pytest.mark.parametrize("profile", PROFILES)
def test_plans_are_unchanged_on_other_paths(profile: str) -> None:
    """A rate that is not known limits nothing."""
    usual = CONNECTIONS_BY_PROFILE[profile], INTERVAL_SECONDS[profile]
    assert fit_pace(*usual, math.inf) == usual
    burst = udp.PLANS[profile]
    assert udp.fit_plan(burst, math.inf) == burst
    streams = stream.PLANS[profile]
    assert stream.fit_plan(streams, math.inf) == streams
    connections = churn.PLANS[profile]
    assert churn.fit_rate(connections, math.inf) == connections
    ports = FLOW_PLANS[profile]
    assert flows.fit_rate(ports, math.inf) == ports
    transfers = load.PLANS[profile]
    assert load.fit_plan(transfers, math.inf) == transfers
    assert size.fit_sizes(math.inf) == size.LARGER_BYTES
    assert close.fit_answer(math.inf) == close.ANSWER_BYTES


@pytest.mark.parametrize(
    ("connect_timeout", "round_trip", "expected"),
    [(5.0, 0.001, 3.5), (5.0, 0.3, 4.2), (5.0, 0.8, 5.0), (1.0, 0.001, 1.0)],
)
def test_dead_ports_are_given_three_syns(
    connect_timeout: float, round_trip: float, expected: float
) -> None:
    """Whatever the RTT, and no longer than was set."""
    timeouts = fit_timeouts(Timeouts(5.0, connect_timeout, 3.0), round_trip)
    assert timeouts.connect == pytest.approx(expected)
    assert timeouts.answer == 3.0


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("rate", SLOW_RATES)
def test_probes_take_part_of_a_slow_path(profile: str, rate: float) -> None:
    """None needs more than half of it, and all together less than it has."""
    count, pace = fit_pace(
        CONNECTIONS_BY_PROFILE[profile], INTERVAL_SECONDS[profile], rate
    )
    assert 8 * CONNECTION_BYTES / pace <= rate / 2 * 1.001
    assert MIN_SLOW_CONNECTIONS <= count <= CONNECTIONS_BY_PROFILE[profile]
    burst = udp.fit_plan(udp.PLANS[profile], rate)
    assert 8 * DATAGRAM_BYTES / burst.gap <= rate / 2 * 1.001
    assert udp.MIN_DATAGRAMS <= burst.count <= udp.PLANS[profile].count
    streams = stream.fit_plan(stream.PLANS[profile], rate)
    needed = 8 * (
        DATAGRAM_BYTES / streams.datagram
        + CONNECTION_BYTES / streams.connect
        + path_rate.ECHO_BYTES / streams.echo
    )
    assert needed <= rate / 2
    assert streams.datagram <= 1.0
    ports = flows.fit_rate(FLOW_PLANS[profile], rate)
    assert 8 * PORT_BYTES / ports.interval <= rate / 2 * 1.001
    assert 12 <= ports.ports <= FLOW_PLANS[profile].ports
    assert 10 <= ports.packets <= FLOW_PLANS[profile].packets
    connections = churn.fit_rate(churn.PLANS[profile], rate)
    assert 8 * CONNECTION_BYTES / connections.gap <= rate / 2 * 1.001
    assert 1 <= connections.hold_count <= churn.PLANS[profile].hold_count
    assert 1 <= connections.count <= churn.PLANS[profile].count


@pytest.mark.parametrize("rate", SLOW_RATES)
def test_slow_paths_carry_what_is_tried(rate: float) -> None:
    """No transfer takes longer than the check waits for it."""
    sizes = size.fit_sizes(rate)
    assert sizes[0] == size.LARGER_BYTES[0]
    assert 8 * max(sizes) / rate <= 2.0
    assert 8 * close.fit_answer(rate) / rate <= 0.6
    transfers = load.fit_plan(load.PLANS["quick"], rate)
    assert transfers.connections == 1
    assert 0.5 <= transfers.each_way.seconds <= 6.0


def test_growing_queue_has_a_rate() -> None:
    """Behind a bucket of three echoes, the others come at 512 kbit/s."""
    arrivals = [0.0, 0.0, 0.0, *(0.064 * number for number in range(1, 10))]
    rate = drain_rate(arrivals, [0.01, 0.02, 0.08])
    assert rate == pytest.approx(512e3)


@pytest.mark.parametrize(
    ("arrivals", "round_trips"),
    [
        ([], []),
        ([0.0], [0.01]),
        ([0.3 * number for number in range(12)], [0.01, 0.012]),
        ([0.001 * number for number in range(12)], [0.01, 0.08]),
    ],
    ids=["nothing", "an end", "late programs", "a fast link"],
)
def test_without_a_queue_no_path_is_slow(
    arrivals: list[float], round_trips: list[float]
) -> None:
    """Neither late echoes alone nor a longer RTT alone shows a slow path."""
    assert drain_rate(arrivals, round_trips) == math.inf
