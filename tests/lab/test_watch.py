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
    name = f"netduet-watching-{uuid.uuid4().hex[:12]}"
    command = ["docker", "run", "--rm", "--name", name, *container.OPTIONS]
    command += [
        "--entrypoint",
        "python",
        container.build(),
        "-m",
        "tests.lab.watch_run",
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    finally:
        remove = ["docker", "rm", "-f", name]
        subprocess.run(remove, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(OUTAGES)
    for result in results:
        assert result["reported_where"] == result["where"], results
        assert abs(result["reported_seconds"] - result["seconds"]) <= max(
            0.1, result["uncertainty"]
        ), results
        assert result["started"], results
        assert result["status"] == 0, results
