"""A client stays bounded in time and memory whatever a server sends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.hostile_servers import HOSTILITIES, hostile_server

MAX_SECONDS = 60.0
"""A client takes a tenth of it on a quiet machine; without bounds it takes for ever."""

MAX_KIB = 200 * 1024

TRIED = (
    *("text", "echo answers", "data", "endless frame", "large welcome"),
    *("dripped welcome", "http body", "http answers", "greeting lines", "redis bulk"),
    *("answers x 1000", "datagrams"),
)
"""Some of them; ``benchmarks/hostile.py`` tries all, with all checks."""

NOT_SERVED = {0, 3}
"""What speaks an unknown protocol is reached; what it serves is not tested."""

EXPECTED = {
    "echo answers": {1},
    "data": {1},
    "endless frame": {1},
    "large welcome": {3},
    "answers x 1000": {1},
    "datagrams": {0},
}
"""Exit statuses of those that are taken for a netduet server, or known otherwise."""


LAUNCHER = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], {})
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=file)
"""
"""Runs a command and writes its status and its largest memory in KiB: a process begins
with the largest memory of its parent, and that of the tests is large."""


def run(target: str, folder: Path) -> tuple[int, int, str, str]:
    """Check a target; return the status, the largest memory in KiB, and the output."""
    paths = folder / "stdout", folder / "stderr"
    usage = folder / "usage"
    with paths[0].open("w") as out, paths[1].open("w") as err:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", LAUNCHER, str(usage)),
                *(sys.executable, "-m", "netduet", "check", target),
                *("--json", "--checks=size", "--connect-timeout=1s"),
                "--answer-timeout=0.5s",
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        try:
            process.wait(MAX_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            pytest.fail("it did not end")
    status, peak = map(int, usage.read_text().split())
    return status, peak, *(path.read_text() for path in paths)


@pytest.mark.parametrize("name", TRIED)
def test_client_is_bounded(
    name: str, serve_command: ServeCommand, tmp_path: Path
) -> None:
    """It ends by itself, in little memory, with a report, and without a traceback."""
    hostility = HOSTILITIES[name]
    real_port = serve_command().port if hostility.relays else 0
    with hostile_server(hostility, real_port) as server:
        status, peak, output, errors = run(server.target, tmp_path)
    assert peak < MAX_KIB
    assert "Traceback" not in errors
    assert "check.defect" not in output
    assert status in EXPECTED.get(name, NOT_SERVED), output
    assert json.loads(output)["exit_status"] == status
