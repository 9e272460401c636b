"""The kubectl commands of docs/cluster.md, run as they are pasted."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.manifests.api_server import (
    DOWN,
    LOG_LINES,
    MESH_PODS,
    NODE_DOWN,
    running_api_server,
)
from tests.manifests.conftest import ROOT

Paste = Callable[[str], subprocess.CompletedProcess[str]]

DOCUMENTED = (ROOT / "docs/cluster.md").read_text()


def documented(*beginnings: str) -> str:
    """Return the lines of the page that begin so, in this order."""
    lines = []
    for beginning in beginnings:
        [line] = re.findall(rf"^{re.escape(beginning)}.*$", DOCUMENTED, re.MULTILINE)
        lines.append(line)
    return "\n".join(lines)


@pytest.fixture
def paste(kubectl: Path, tmp_path: Path) -> Iterator[Paste]:
    """Return what runs commands in a shell whose kubectl asks the recorded server."""
    with running_api_server() as server:
        port = server.server_address[1]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "recorded",
            "contexts": [{"name": "recorded", "context": {"cluster": "recorded"}}],
            "clusters": [
                {
                    "name": "recorded",
                    "cluster": {"server": f"http://127.0.0.1:{port}"},
                }
            ],
        }
        (tmp_path / "config").write_text(json.dumps(config))
        path = f"{kubectl.parent}:{os.environ['PATH']}"
        own = {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)}

        def run(commands: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["sh", "-c", commands],
                env={**os.environ, **own, "PATH": path},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        yield run


def test_verdict_of_a_job_is_shown_from_its_first_line(paste: Paste) -> None:
    """The log is asked for once the container runs, and not before."""
    logs = documented("kubectl -n netduet logs -f job/netduet-check")
    early = paste(logs)
    assert early.returncode != 0
    assert "ContainerCreating" in early.stderr
    wait = documented("kubectl -n netduet wait ")
    done = paste(f"{wait}\n{logs}")
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.splitlines()
    assert "condition met" in printed[0]
    assert len(printed) == 1 + LOG_LINES


def test_logs_of_the_mesh_are_shown_when_a_node_is_down(paste: Paste) -> None:
    """Each line of the other pods, with its pod's name, and one line for the node."""
    command = documented("kubectl -n netduet logs -f --prefix")
    done = paste(command)
    assert done.returncode == 0, done.stderr
    for name in set(MESH_PODS) - {DOWN}:
        own = [line for line in done.stdout.splitlines() if f"{name}/client" in line]
        assert len(own) == LOG_LINES
    assert f"error: {NODE_DOWN}" in done.stdout
    without = paste(command.replace("--ignore-errors", ""))
    assert without.returncode == 1
    assert NODE_DOWN in without.stderr


def test_commands_in_manifests_are_those_of_the_page() -> None:
    """The comments at the top of the manifests name the same commands."""
    for name in ("check", "blocked"):
        text = (ROOT / f"deploy/kubernetes/{name}/{name}.yaml").read_text()
        for line in re.findall(r"^#   (kubectl .*)$", text, re.MULTILINE):
            assert line.replace(name, "check") in DOCUMENTED
