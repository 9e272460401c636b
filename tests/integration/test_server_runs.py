"""One line per run of a client, with real clients and connections."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from netduet.server import app, client_runs
from netduet.server.line_budget import MAX_LINES_PER_CLIENT
from netduet.wire.frames import MIN_RUN_ID
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.framed_client import (
    GREETING,
    FramedClient,
    connect,
    exchange_greetings,
    read_to_end,
    reset,
)
from tests.integration.servers import NetduetCommand

pytestmark = pytest.mark.timeout(60)

A, B = MIN_RUN_ID, 2**64 - 1

CHECKS = "reach,identity,balance,load"
"""Many connections, of the loop and of a thread."""


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """End runs in this process soon after their last connection."""
    monkeypatch.setattr(app, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(client_runs, "QUIET_SECONDS", 0.3)


def talk(port: int, run_id: int, source: str = "") -> None:
    """Hold a conversation as part of a run: an opening, an echo, an END."""
    client = FramedClient(port, source=source)
    assert len(client.open(run_id)["conn_id"]) == 32
    assert client.echo(b"x") == b"x"
    client.end()


@pytest.mark.usefixtures("brief")
async def test_connections_of_a_run_are_one_line(start_server: StartServer) -> None:
    """The line comes once the last connection is closed, with what they did in sum."""
    running = await start_server()

    def run() -> None:
        with connect(running.port) as silent:
            silent.shutdown(1)
            assert read_to_end(silent) == GREETING
        held = FramedClient(running.port)
        held.open(A)
        for _ in range(20):
            talk(running.port, A)
        broken = FramedClient(running.port)
        broken.open(A)
        broken.send(99)
        assert broken.error()["code"] == "unknown_kind"
        broken.sock.close()
        reset(held.sock)

    await asyncio.to_thread(run)
    line = await running.lines.wait("run.finished")
    assert line["level"] == "info"
    assert line["client.address"] == "127.0.0.1"
    assert line["netduet.run"] == f"{A:016x}"
    assert line["netduet.connections"] == 23
    assert line["netduet.silent"] == 1
    assert line["netduet.ended_by_client"] == {"end": 20, "reset": 1}
    assert line["netduet.ended_by_server"] == {"greeted": 1, "error": 1}
    assert line["netduet.errors"] == {"ECONNRESET": 1, "unknown_kind": 1}
    closed = running.lines.of("connection.closed")
    assert {closed_line["level"] for closed_line in closed} == {"debug"}
    for side in ("received", "sent"):
        total = sum(closed_line[f"netduet.bytes_{side}"] for closed_line in closed)
        assert line[f"netduet.bytes_{side}"] == total
    await running.stop()
    assert len(running.lines.of("run.finished")) == 1


@pytest.mark.usefixtures("brief")
async def test_run_goes_on_while_a_connection_is_open(
    start_server: StartServer,
) -> None:
    """A connection that is silent for long does not end it; the stop writes the line."""
    running = await start_server()
    held = await asyncio.to_thread(FramedClient, running.port)
    await asyncio.to_thread(held.open, A)
    await asyncio.to_thread(talk, running.port, B)
    assert (await running.lines.wait("run.finished"))["netduet.run"] == f"{B:016x}"
    await running.stop()
    line = await running.lines.wait("run.finished", 2)
    assert line["netduet.run"] == f"{A:016x}"
    assert line["netduet.ended_by_server"] == {"drained": 1}
    assert running.lines.all[-1]["event"] == "server.stopped"
    held.sock.close()


async def test_clients_behind_an_address_have_a_line_each(
    start_server: StartServer,
) -> None:
    """Two ids are two runs; connections without an id are the address's."""
    running = await start_server()
    for run_id, count in ((A, 2), (B, 3), (1, 4)):
        for _ in range(count):
            await asyncio.to_thread(talk, running.port, run_id)
    await asyncio.to_thread(talk, running.port, 1, "127.0.0.2")
    await running.stop()
    found = {
        (line["client.address"], line.get("netduet.run")): line["netduet.connections"]
        for line in running.lines.of("run.finished")
    }
    assert found == {
        ("127.0.0.1", f"{A:016x}"): 2,
        ("127.0.0.1", f"{B:016x}"): 3,
        ("127.0.0.1", None): 4,
        ("127.0.0.2", None): 1,
    }


async def test_datagrams_count_for_the_run_of_their_address(
    start_server: StartServer, tmp_path: Path
) -> None:
    """The check of UDP shows in the line of its run."""
    running = await start_server(instance="here")
    with NetduetCommand(tmp_path) as command:
        target = f"127.0.0.1:{running.port}"
        done = await asyncio.to_thread(command.run, "check", "--checks", "udp", target)
    assert done.returncode == 0, done.stdout
    await running.stop()
    [line] = running.lines.of("run.finished")
    [stopped] = running.lines.of("server.stopped")
    assert 300 < line["netduet.datagrams"] <= stopped["netduet.datagrams_answered"]


def test_check_is_one_line(serve_command: ServeCommand, tmp_path: Path) -> None:
    """A check of one target, and nothing of its connections; two checks are two lines."""
    server = serve_command()
    verdicts = []
    with NetduetCommand(tmp_path) as command:
        target = f"127.0.0.1:{server.port}"
        for _ in range(2):
            words = ("--log-level", "info", "--checks", CHECKS, target)
            done = command.run("check", *words)
            assert done.returncode == 0, done.stdout
            verdicts.append(json.loads(done.stderr.splitlines()[-1]))
    assert server.stop() == 0
    lines = server.of("run.finished")
    runs = {line["netduet.run"] for line in lines}
    assert runs == {verdict["netduet.run"] for verdict in verdicts}
    assert len(runs) == len(lines) == 2
    [stopped] = server.of("server.stopped")
    counted = sum(line["netduet.connections"] for line in lines)
    assert counted == stopped["netduet.accepted"] > 120
    assert server.of("connection.closed") == []


def test_watch_is_one_line(serve_command: ServeCommand, tmp_path: Path) -> None:
    """Its probes and its scheduled checks are one run, over all its connections."""
    server = serve_command(log_level="debug")
    with NetduetCommand(tmp_path) as command:
        target = f"127.0.0.1:{server.port}"
        process = command.start("watch", "--watch-interval", "20ms", target)
        server.closed_line(5)
        process.send_signal(signal.SIGTERM)
        assert command.finish(process).returncode == 0
    assert server.stop() == 0
    [line] = server.of("run.finished")
    [stopped] = server.of("server.stopped")
    assert line["netduet.connections"] == stopped["netduet.accepted"]
    assert line["netduet.datagrams"] > 0
    # The connection that listens for a service that speaks first names no run.
    runs = {closed.get("netduet.run") for closed in server.of("connection.closed")}
    assert runs - {None} == {line["netduet.run"]}


def test_flood_of_texts_and_ids_is_bounded(serve_command: ServeCommand) -> None:
    """A stranger who invents an id per connection causes a bounded number of lines."""
    server = serve_command()
    count = 1300
    for number in range(count):
        talk(server.port, A + number)
        assert exchange_greetings(server.port) == GREETING
    assert server.stop() == 0
    single = server.of("connection.closed")
    assert len(single) == MAX_LINES_PER_CLIENT
    # Those in the table when the server stops have their lines; the others are summed.
    runs = server.of("run.finished")
    assert 0 < len(runs) <= client_runs.MAX_RUNS
    [suppressed] = server.of("logs.suppressed")
    lines = [*runs, suppressed]
    counted = sum(line["netduet.connections"] for line in lines) + len(single)
    [stopped] = server.of("server.stopped")
    assert counted == stopped["netduet.accepted"] == 2 * count
