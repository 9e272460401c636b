"""What a user sees of an engine that fails, on a real socket."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import docker
import pytest

from netduet.between.errors import BetweenError
from netduet.between.leftovers import new_run, remove_run


def test_engine_that_stops_in_the_middle_is_one_clear_line(tmp_path: Path) -> None:
    """It accepts the request and goes away, as when it is restarted."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def hang_up() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)

        answering = threading.Thread(target=hang_up)
        answering.start()
        engine = docker.DockerClient(f"unix://{path}", version="1.41")
        with pytest.raises(BetweenError) as failed:
            remove_run(engine, new_run(60.0))
        answering.join()
        engine.close()
    assert str(failed.value) == (
        "the pair's containers cannot be removed, which the next run will do: the "
        "container engine has stopped responding"
    )
