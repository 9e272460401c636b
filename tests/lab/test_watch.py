"""Real outages, made by iptables, as ``netduet watch`` reports them."""

from __future__ import annotations

import json
import subprocess
import uuid

import pytest

from tests.lab import container
from tests.lab.watch_run import OUTAGES

pytestmark = pytest.mark.timeout(600)


def test_outages_are_reported_with_length_and_direction() -> None:
    """Lengths are right within 0.1 s, or within the accuracy that is possible."""
    done = run_module("tests.lab.watch_run")
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(OUTAGES)
    for result in results:
        assert result["reported_where"] == result["where"], results
        assert abs(result["reported_seconds"] - result["seconds"]) <= max(
            0.1, result["uncertainty"]
        ), results
        assert result["started"], results
        assert result["status"] == 0, results


def test_cut_link_is_reported_and_a_server_that_leaves_is_not() -> None:
    """In a cluster whose DNS has the server for longer than it lives."""
    done = run_module("tests.lab.day.run", "--row", "brief", "--scale", "0.1")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "1 faults, 1 of them reported rightly; 0 reports of nothing" in done.stdout
    assert "NAME  netduet-each:12345 has no address yet" in done.stdout


def run_module(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the lab in its container."""
    name = f"netduet-watching-{uuid.uuid4().hex[:12]}"
    command = container.module_command(name, container.build(), module, *words)
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False
        )
    finally:
        remove = ["docker", "rm", "-f", name]
        subprocess.run(remove, capture_output=True, timeout=60, check=False)
