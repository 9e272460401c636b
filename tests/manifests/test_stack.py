"""deploy/swarm/stack.yml: its content, without a swarm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from netduet.config.units import parse_duration
from tests.manifests.conftest import ROOT


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """Return the services of the stack."""
    stack = yaml.safe_load((ROOT / "deploy/swarm/stack.yml").read_text())
    found: dict[str, dict[str, Any]] = stack["services"]
    return found


def seconds(text: str) -> float:
    """Return a duration in seconds."""
    return float(str(parse_duration(text)))


def test_services_are_hardened(services: dict[str, dict[str, Any]]) -> None:
    """A read-only root, no capabilities, bounded logs and memory, no CPU limit."""
    assert set(services) == {"server", "client"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}
        assert set(service["deploy"]["resources"]["limits"]) == {"memory"}
        assert "ports" not in service


def test_grace_period_covers_the_drain(
    services: dict[str, dict[str, Any]],
) -> None:
    """A kill during the drain would lose connections."""
    env = services["server"]["environment"]
    own = [
        seconds(env[f"NETDUET_SERVER_{name}"])
        for name in ("SHUTDOWN_DELAY", "DRAIN_TIMEOUT")
    ]
    assert seconds(services["server"]["stop_grace_period"]) >= sum(own) + 3


def test_update_starts_a_new_task_first(
    services: dict[str, dict[str, Any]],
) -> None:
    """An unhealthy update is rolled back; tasks have a health check."""
    deploy = services["server"]["deploy"]
    for way in ("update_config", "rollback_config"):
        assert (deploy[way]["order"], deploy[way]["parallelism"]) == ("start-first", 1)
    assert deploy["update_config"]["failure_action"] == "rollback"
    assert services["server"]["healthcheck"]["test"] == ["CMD", "netduet-healthcheck"]
    assert services["client"]["deploy"]["mode"] == "global"


def test_environment_is_valid(services: dict[str, dict[str, Any]]) -> None:
    """`netduet config check` accepts the environment of each service."""
    for service in services.values():
        done = subprocess.run(
            [Path(sys.executable).with_name("netduet"), "config", "check"],
            env=service["environment"],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
