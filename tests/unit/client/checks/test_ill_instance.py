"""Judgements that name one of several instances: tables, no network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.client.checks.path import PathResult
from netduet.client.checks.small_writes import HELD_BACK, SmallWrites
from netduet.client.outages.events import ConnectFailureRun
from netduet.client.outages.observations import NewConnections
from netduet.client.results.instance import Instance
from netduet.client.stats.instances import InstanceTrial
from tests.unit.client.checks.test_path import judged as path_judged
from tests.unit.client.checks.test_path import way
from tests.unit.client.checks.test_stream import GOOD
from tests.unit.client.checks.test_stream import judged as stream_judged
from tests.unit.client.fake_server import make_welcome


def path_to(instance: str, *, held: bool) -> PathResult:
    """Return a path on which an instance's small writes are held back, or not."""
    writes = SmallWrites(
        (0.5,), (0.01,), rtt=0.001, welcome=make_welcome(instance=instance)
    )
    return way(small_writes=writes if held else replace(writes, alone=(0.01,)))


@pytest.mark.parametrize(("ill", "named"), [(True, "b"), (False, "")])
def test_path_names_the_instance_that_holds_back(*, ill: bool, named: str) -> None:
    """All tries that were held back met the same instance, or any."""
    repeated = tuple(
        path_to("ab"[number % 2], held=bool(number % 2) or not ill)
        for number in range(16)
    )
    first = path_to("b", held=True)
    judgement = path_judged(small_writes=first.small_writes, repeated=repeated)
    [finding] = judgement.findings
    assert finding.failure == HELD_BACK
    assert finding.culprit.partition(" ")[0] == named


def test_stream_names_the_instance_of_late_connections() -> None:
    """New connections took too long, and all of these met the same instance."""
    trials = tuple(
        InstanceTrial(Instance(name), name == "b") for name in ("a", "b") * 10
    )
    judgement = stream_judged(
        new_connections=replace(NewConnections(started=200), trials=trials),
        failure_runs=(
            ConnectFailureRun(105.0, 107.0, 104.9, 106.9, 20, "it took too long"),
        ),
    )
    [finding] = judgement.findings
    assert finding.culprit == "b"
    assert finding.seen.startswith("instance b: 10 of 10 connections failed")
    assert GOOD.new_connections.trials == ()
