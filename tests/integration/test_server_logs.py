"""The server's log with a reader, a stalled reader, and a closed pipe."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from netduet import __version__
from netduet.runtime import logs
from tests.integration.conftest import ServeCommand
from tests.integration.framed_client import (
    GREETING,
    FramedClient,
    connect,
    exchange_greetings,
    reset,
)
from tests.integration.servers import TIMEOUT_SECONDS, Line

pytestmark = pytest.mark.timeout(60)

AT_THE_END = 3
"""Lines of an end: server.draining, logs.suppressed and server.stopped."""

BATCH = 256
"""Lines of one write, which may be counted as lost though a pipe took them."""


@dataclass
class Unread:
    """``netduet serve`` with a log that only the test reads."""

    process: subprocess.Popen[bytes]

    def read_until(self, event: str) -> list[Line]:
        """Return the lines up to the next one of an event."""
        assert self.process.stdout is not None
        found: list[Line] = []
        while not found or found[-1]["event"] != event:
            found.append(json.loads(self.process.stdout.readline()))
        return found

    def stop(self) -> tuple[list[Line], str]:
        """End it while everything is read; return its last lines, and its words."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        assert self.process.returncode == 0
        return [json.loads(raw) for raw in out.splitlines()], err.decode()


@contextlib.contextmanager
def unread(**settings: object) -> Iterator[tuple[Unread, int]]:
    """Run a server whose log is read until it is ready; give its port, too."""
    chosen = {
        "host": "127.0.0.1",
        "port": 0,
        "log_queue": 128,
        "log_level": "debug",  # a line for each connection, without a bound
    } | settings
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NETDUET_")
    } | {
        f"NETDUET_SERVER_{name.upper()}": str(setting)
        for name, setting in chosen.items()
    }
    with subprocess.Popen(
        [sys.executable, "-m", "netduet", "serve"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        bufsize=0,  # what one way of reading leaves is there for the next
    ) as process:
        try:
            server = Unread(process)
            [listening, *_] = server.read_until("server.ready")
            yield server, listening["server.port"]
        finally:
            process.kill()


def dropped(lines: list[Line]) -> int:
    """Return how many lines the log says were dropped."""
    return sum(line["netduet.dropped"] for line in lines if "netduet.dropped" in line)


def written(lines: list[Line]) -> int:
    """Return the number of lines that report other events."""
    return sum(line["event"] != "logs.dropped" for line in lines)


def test_every_line_is_a_json_object_with_common_fields(
    serve_command: ServeCommand,
) -> None:
    """Each line parses, and has its instance and time."""
    # Kubernetes would write it, for a Service of the name netduet-server.
    server = serve_command(
        instance="here", service="pair", max_connections=8, service_host="10.0.0.1"
    )
    assert exchange_greetings(server.port, b"\x1b[2J\n\xff\xed\x95") == GREETING
    with FramedClient(server.port) as peer:
        assert peer.echo(b"x") == b"x"
        peer.end()
    reset(connect(server.port))
    with contextlib.ExitStack() as stack:
        for _ in range(9):
            stack.enter_context(connect(server.port))
        server.wait("server.limit_reached")
    assert server.stop() == 0
    for raw in server.raw:
        assert raw.decode().removesuffix("\n").isprintable()
        line = json.loads(raw)
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{6}Z", line["timestamp"])
        age = datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])
        assert 0 <= age.total_seconds() < 100
        assert line["service.name"] == "pair"
        assert line["service.instance.id"] == "here"
        assert line["service.version"] == __version__
    assert {line["event"] for line in server.lines} == {
        name
        for name in logs.EVENTS
        if name.startswith(("server.", "connection.", "run.", "settings."))
    } - {
        "server.family_absent",
        "server.descriptors_exhausted",
        "server.failed",
        "run.progress",
    }
    assert server.stderr_text() == ""


def test_ignored_variables_are_logged(serve_command: ServeCommand) -> None:
    """Kubernetes service links are named in a line of the server."""
    server = serve_command(service_host="10.0.0.1")
    [line] = server.of("settings.ignored")
    assert line["netduet.names"] == ["NETDUET_SERVER_SERVICE_HOST"]


def test_sigterm_loses_no_line(serve_command: ServeCommand) -> None:
    """Each of a thousand clients before the exit has its line, before the last one."""
    server = serve_command(log_level="debug")
    for _ in range(1000):
        assert exchange_greetings(server.port) == GREETING
    assert server.stop() == 0
    assert len(server.of("connection.closed")) == 1000
    assert server.lines[-1]["event"] == "server.stopped"
    assert server.lines[-1]["netduet.accepted"] == 1000
    assert dropped(server.lines) == 0
    assert server.stderr_text() == ""


def test_stalled_log_reader_loses_lines_and_no_answers() -> None:
    """Clients are answered; a reader that resumes gets the number of dropped lines."""
    with unread() as (server, port):
        for _ in range(500):
            assert exchange_greetings(port) == GREETING
        lines = server.read_until("logs.dropped")
        assert lines[-1]["level"] == "warning"
        assert lines[-1]["service.version"] == __version__
        assert dropped(lines) > 0
        last, err = server.stop()
        assert written(lines + last) + dropped(lines + last) == 500 + AT_THE_END
        assert err == ""


def test_stalled_log_reader_does_not_delay_the_exit() -> None:
    """After SIGTERM stderr says how many lines are lost."""
    with unread() as (server, port):
        for _ in range(500):
            assert exchange_greetings(port) == GREETING
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT_SECONDS) == 0
        out, err = server.process.communicate()
        lost_lines = re.fullmatch(rb"netduet: (\d+) log lines were lost: .*\n", err)
        assert lost_lines is not None
        lines = [json.loads(raw) for raw in out.splitlines(True) if raw.endswith(b"\n")]
        known = written(lines) + dropped(lines) + int(lost_lines[1])
        assert 0 <= known - (500 + AT_THE_END) <= BATCH


def test_closed_log_pipe_loses_lines_and_no_answers() -> None:
    """A server without a log reader works, exits as usual, and counts the lines."""
    with unread() as (server, port):
        assert server.process.stdout is not None
        server.process.stdout.close()
        for _ in range(100):
            assert exchange_greetings(port) == GREETING
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT_SECONDS) == 0
        assert server.process.stderr is not None
        err = server.process.stderr.read()
        lost = 100 + AT_THE_END
        assert err == b"netduet: %d log lines were lost: nobody read them\n" % lost
