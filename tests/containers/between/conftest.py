"""A Compose project of small servers, and the command as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from netduet.between.leftovers import RUN
from tests.containers.sandbox import Images

ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 100
LISTEN = "import socket, time; s = socket.create_server(({host!r}, {port})); "
ANSWER = "\nwhile True:\n c, _ = s.accept(); c.sendall(b'ready\\n'); c.close()"

COMPOSE = """\
version: "3.8"
x-place: &place
  image: {python}
  init: true
  networks: [front]
services:
  web:
    <<: *place
    command: ["sleep", "3600"]
  db:
    <<: *place
    command: ["python3", "-m", "http.server", "8080"]
  hidden:
    <<: *place
    command: ["python3", "-m", "http.server", "8080", "--bind", "127.0.0.1"]
  away:
    <<: *place
    command: ["python3", "-m", "http.server", "80"]
    networks: [back]
networks: {{front: {{}}, back: {{}}}}
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A running Compose project; ``name`` is the project's."""

    name: str
    engine: docker.DockerClient

    def container(self, service: str) -> Any:
        """Return the container of a service."""
        [found] = self.engine.containers.list(
            all=True,
            filters={
                "label": [
                    f"com.docker.compose.project={self.name}",
                    f"com.docker.compose.service={service}",
                ]
            },
        )
        return found


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def conclusion(self) -> str:
        """The last paragraph, on one line."""
        return " ".join(self.out.rstrip().rpartition("\n\n")[2].split())

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` printed."""
        document: dict[str, Any] = json.loads(self.out)
        return document


def start(*words: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``netduet between`` with these words."""
    kept = {name: os.environ[name] for name in os.environ if "NETDUET" not in name}
    return subprocess.Popen(
        [sys.executable, "-m", "netduet", "between", *words],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Done:
    """Wait for the end; end it by a signal if it takes too long."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    return Done(process.returncode, out, err)


def between(*words: str, **environment: str) -> Done:
    """Run ``netduet between`` to its end."""
    return finish(start(*words, **environment))


def pair_containers(beside: Any) -> list[Any]:
    """Return our containers in the network namespace of another one."""
    engine = docker.from_env()
    try:
        listed = engine.containers.list(
            all=True, ignore_removed=True, filters={"label": RUN}
        )
        mode = f"container:{beside.id}"
        return [
            each for each in listed if each.attrs["HostConfig"]["NetworkMode"] == mode
        ]
    finally:
        engine.close()


@pytest.fixture(scope="session")
def shop(
    images: Images,
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """Start the project; take it down when all tests are over."""
    file = tmp_path_factory.mktemp("shop") / "docker-compose.yml"
    file.write_text(COMPOSE.format(python=images.python))
    name = f"shop{uuid.uuid4().hex[:8]}"
    compose = [str(ROOT / "deploy/compose"), "-f", str(file), "-p", name]

    def run(*words: str) -> None:
        done = subprocess.run(
            [*compose, *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr

    try:
        run("up", "-d")
        yield Shop(name, engine)
    finally:
        run("down", "-t", "0")
