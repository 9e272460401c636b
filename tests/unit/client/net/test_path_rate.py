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
from netduet.client.checks.flows import measure as flows
from netduet.client.checks.flows.plan import PLANS as FLOW_PLANS
from netduet.client.checks.stream import measure as stream
from netduet.client.checks.udp import measure as udp
from netduet.client.net import path_rate
from netduet.client.net.path_rate import CONNECTION_BYTES, DATAGRAM_BYTES
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
    assert 8 * 5000 / ports.interval <= rate / 2 * 1.001
    assert 16 <= ports.ports <= FLOW_PLANS[profile].ports
    connections = churn.fit_rate(churn.PLANS[profile], rate)
    assert 8 * CONNECTION_BYTES / connections.gap <= rate / 2 * 1.001
    assert 1 <= connections.hold_count <= churn.PLANS[profile].hold_count
    assert 1 <= connections.count <= churn.PLANS[profile].count
