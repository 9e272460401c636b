"""``netduet check --wait``, and a command that runs once the targets pass."""

from __future__ import annotations

import signal
import socket
import sys

import pytest

from tests.integration.servers import NetduetCommand
from tests.integration.services import serve_http, service, wait_for_client
from tests.integration.test_admin import free_port

CHECK = ("check", "--checks=identity", "--answer-timeout=1s")


def test_target_that_appears_in_time_passes(netduet: NetduetCommand) -> None:
    """Why it is waited for goes to stderr, once."""
    port = free_port()
    process = netduet.start(*CHECK, "--wait=60s", f"127.0.0.1:{port}/http")
    assert process.stderr is not None
    line = process.stderr.readline()
    with service(serve_http(), port=port):
        done = netduet.finish(process)
    assert line == (
        f"netduet: waiting for 127.0.0.1:{port}: the connection was refused "
        "(reach.refused)\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "FAIL" not in done.stdout


def test_target_that_is_not_ready_is_waited_for(netduet: NetduetCommand) -> None:
    """An accepted connection alone is not enough."""
    port = free_port()
    with service(serve_http("503 Starting"), port=port):
        process = netduet.start(*CHECK, "--wait=60s", f"127.0.0.1:{port}")
        assert process.stderr is not None
        assert "identity.not_ready" in process.stderr.readline()
    with service(serve_http(), port=port):
        done = netduet.finish(process)
    assert done.returncode == 0, done.stdout


def test_target_that_does_not_appear_fails_with_its_diagnosis(
    netduet: NetduetCommand,
) -> None:
    """After the time, the last attempt is the verdict."""
    done = netduet.run(*CHECK, "--wait=1s", f"127.0.0.1:{free_port()}", "--", "true")
    assert done.returncode == 1
    assert "(reach.refused)" in done.stderr  # stdout belongs to the command
    assert done.stdout == ""


def test_command_replaces_the_process_once_all_targets_pass(
    netduet: NetduetCommand,
) -> None:
    """It has stdout to itself, its own arguments, and its own exit status."""
    program = "import sys; print(sys.argv[1:]); sys.exit(7)"
    with service(serve_http()) as found:
        done = netduet.run(
            *CHECK, found.target, "--", sys.executable, "-c", program, "--wait", "-4"
        )
    assert (done.returncode, done.stdout) == (7, "['--wait', '-4']\n")
    assert f"PASS: {found.target} accepts connections" in done.stderr


def test_variables_and_an_entry_point_are_enough(netduet: NetduetCommand) -> None:
    """ENTRYPOINT ["netduet", "check", "--"], and the image's own command."""
    with service(serve_http()) as found:
        env = {"NETDUET_CLIENT_TARGET": found.target, "NETDUET_CLIENT_WAIT": "60s"}
        done = netduet.run("check", "--", "echo", "started", env=env)
    assert (done.returncode, done.stdout) == (0, "started\n"), done.stderr


def test_signal_ends_the_wait(netduet: NetduetCommand) -> None:
    """The verdict is inconclusive, and the command does not run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = (f"127.0.0.1:{port}", "--", "echo", "started")
    process = netduet.start(*CHECK, "--wait=60s", *words)
    assert process.stderr is not None
    assert "waiting for" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    done = netduet.finish(process)
    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--", "no-such-command"), "'no-such-command': not found"),
        (("--",), "no command follows --"),
        (("--json", "--", "true"), "--json and a command after -- exclude each other"),
        (("--wait=-1s",), "--wait"),
    ],
)
def test_unusable_command_or_time_is_refused_before_anything_is_tried(
    netduet: NetduetCommand, words: tuple[str, ...], reason: str
) -> None:
    """One line, and exit status 2."""
    with service(wait_for_client) as found:
        done = netduet.run(*CHECK, found.target, *words)
        assert found.connections == 0
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
