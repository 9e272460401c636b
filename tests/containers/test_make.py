"""make up and make down, and their errors."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from netduet import __version__
from tests.containers.sandbox import Images

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Clone:
    """A copy of the project, under a compose project and a port of its own."""

    folder: Path
    project: str
    port: int

    def make(self, target: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run make as a person would, without what this suite was started with."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("NETDUET_", "MAKE", "MFLAGS", "VIRTUAL_ENV"))
        }
        mine = {
            "COMPOSE_PROJECT_NAME": self.project,
            "NETDUET_PUBLISH_PORT": str(self.port),
        }
        return subprocess.run(
            ["make", "--no-print-directory", target],
            cwd=self.folder,
            env={**kept, **mine, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def clone(images: Images, tmp_path: Path) -> Iterator[Clone]:
    """Copy the files of the project that git knows; take everything down after."""
    assert images
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    created = Clone(tmp_path, f"netduet-test-{uuid.uuid4().hex[:8]}", port)
    yield created
    created.make("down")


def test_images_are_tagged_with_the_version(
    images: Images, engine: docker.DockerClient
) -> None:
    """Make images tags what the manifests want, not only `latest`."""
    for name in (images.server, images.client):
        tagged = engine.images.get(f"{name}:{__version__}")
        assert tagged.id == engine.images.get(f"{name}:latest").id


def test_up_prints_the_verdict_and_down_removes_all(
    clone: Clone, engine: docker.DockerClient
) -> None:
    """Make up ends with the verdict and its status; make down leaves nothing."""
    mine = {"label": f"com.docker.compose.project={clone.project}"}
    up = clone.make("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "PASS" in up.stdout.splitlines()[-1] or "PASS" in up.stdout
    assert "check.finished" not in up.stdout + up.stderr
    service = "com.docker.compose.service=client"
    [client] = engine.containers.list(
        all=True, filters={"label": [mine["label"], service]}
    )
    log = client.logs(stdout=False).decode().splitlines()
    events = [json.loads(line)["event"] for line in log]
    assert events[-1] == "verdict.reached"
    assert events.count("check.finished") == len(events) - 1 > 5
    [server] = engine.containers.list(filters=mine)
    assert server.labels["com.docker.compose.service"] == "server"
    with socket.create_connection(("127.0.0.1", clone.port), 5) as plain:
        plain.sendall(b"Hello, server!")
        assert plain.recv(1024) == b"Hello, client!"
    down = clone.make("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert engine.containers.list(all=True, filters=mine) == []
    assert engine.networks.list(filters=mine) == []


def test_up_rejects_a_misspelt_setting(clone: Clone) -> None:
    """An unknown name in .env is reported in one line before anything runs."""
    (clone.folder / ".env").write_text("NETDUET_SERVER_PROT=1\n")
    up = clone.make("up")
    assert up.returncode == 2
    assert "NETDUET_SERVER_PROT" in up.stderr
    assert "NETDUET_SERVER_PORT" in up.stderr
    assert "Traceback" not in up.stderr


@pytest.mark.parametrize("named", [True, False])
def test_up_reports_a_port_in_use(
    clone: Clone, engine: docker.DockerClient, *, named: bool
) -> None:
    """A published port in use is named, with the remedy, and nothing is left behind.

    Without the variable and without a .env it is the default port.
    """
    port, env = (clone.port, {}) if named else (12345, {"NETDUET_PUBLISH_PORT": ""})
    with socket.create_server(("127.0.0.1", port)):
        up = clone.make("up", **env)
    assert up.returncode != 0
    assert f"port {port} is in use on this machine" in up.stderr
    assert "NETDUET_PUBLISH_PORT=12346" in up.stderr
    assert "Traceback" not in up.stdout + up.stderr
    label = {"label": f"com.docker.compose.project={clone.project}"}
    assert engine.containers.list(all=True, filters=label) == []
    assert engine.networks.list(filters=label) == []


def test_up_without_an_engine_runs_two_processes(clone: Clone) -> None:
    """Without an engine the pair runs on loopback and says so."""
    up = clone.make("up", DOCKER_HOST="unix:///nonexistent.sock", CI="")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "containers NOT tested" in up.stdout
    assert "PASS" in up.stdout


def test_up_without_an_engine_is_an_error_in_ci(clone: Clone) -> None:
    """With CI set a missing engine is an error."""
    up = clone.make("up", DOCKER_HOST="unix:///nonexistent.sock", CI="true")
    assert up.returncode != 0
    assert "engine" in up.stderr


def test_run_needs_no_engine(clone: Clone) -> None:
    """Make run starts the same pair as two processes, and leaves nothing."""
    run = clone.make("run", DOCKER_HOST="unix:///nonexistent.sock")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "PASS" in run.stdout
