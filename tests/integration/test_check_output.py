"""Output of ``netduet check``: text or a document on stdout, logs on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.foreign_servers import (
    answer_and_close,
    close_normally,
    closed_port,
    foreign_server,
    stay_silent,
)
from tests.integration.servers import TIMEOUT_SECONDS, NetduetCommand

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/report.schema.json").read_text())
DEMANDED = "--expect-service=netduet"
RED, ESCAPE = "\x1b[1;31m", "\x1b"


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the one document that was printed, which is valid and has the status."""
    assert done.stderr == ""
    assert done.stdout.endswith("}\n")
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert found["exit_status"] == done.returncode
    return found


# One document


def test_document_of_a_pass_is_valid(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """It has each check with its question and figures, and no root."""
    target = f"127.0.0.1:{serve_command().port}"
    found = document(netduet.run("check", "--json", target))
    assert (found["outcome"], found["exit_status"]) == ("PASS", 0)
    [target_report] = found["targets"]
    assert (
        target_report["target"],
        target_report["root"],
        target_report["interrupted"],
    ) == (target, None, False)
    outcomes = {check["name"]: check["outcome"] for check in target_report["checks"]}
    assert outcomes.pop("idle") == "SKIP"  # quick holds no connections
    assert set(outcomes.values()) == {"PASS"}
    figures = {check["name"]: check["figures"] for check in target_report["checks"]}
    assert figures["path"]["peer_address"] == "127.0.0.1"


def test_nodes_of_client_and_server_are_shown(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """In the document, in the text of the verdict, and in each log line."""
    port = serve_command(instance="web-2", node="node-2", zone="eu-1b").port
    mine = ("--node", "node-1", "--zone", "eu-1a", "--log-level", "info")
    only = ("--checks", "identity,balance,udp,churn", f"127.0.0.1:{port}")
    done = netduet.run("check", "--json", *mine, *only)
    report = json.loads(done.stdout)
    asked = report["probe"]
    assert (asked["node"], asked["zone"]) == ("node-1", "eu-1a")
    assert asked["instance"] == socket.gethostname()
    checks = {name["name"]: name for name in report["targets"][0]["checks"]}
    figures = checks["identity"]["figures"]
    assert [figures[name] for name in ("instance", "node", "zone")] == [
        *("web-2", "node-2", "eu-1b")
    ]
    assert checks["churn"]["figures"]["listener_node"] == "node-2"
    assert "one instance, web-2 (node-2, eu-1b)," in checks["balance"]["summary"]
    for line in map(json.loads, done.stderr.splitlines()):
        assert line["k8s.node.name"] == "node-1"
        assert line["cloud.availability_zone"] == "eu-1a"
    output = " ".join(netduet.run("check", *mine[:4], *only).stdout.split())
    assert f"works run from {socket.gethostname()} on node-1 in eu-1a" in output
    assert "instance web-2 on node-2 in eu-1b" in output


def test_document_of_a_failure_is_complete(
    netduet: NetduetCommand,
) -> None:
    """The root has its class, observation, likely causes and next steps."""
    with closed_port() as target:
        found = document(netduet.run("check", "--json", target))
    assert (found["outcome"], found["exit_status"]) == ("FAIL", 1)
    [target_report] = found["targets"]
    assert (target_report["root_check"], target_report["root"]["class"]) == (
        "reach",
        "reach.refused",
    )
    assert target in target_report["root"]["seen"]
    assert target_report["root"]["causes"]
    assert target_report["root"]["next"]
    assert target_report["follows"][:2] == ["identity", "balance"]
    assert target_report["checks"][2]["follows_from"] == "reach"


def test_several_targets_make_one_document(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """They are in their order, and the worst one counts."""
    good = f"127.0.0.1:{serve_command().port}"
    with closed_port() as refused, foreign_server(close_normally) as peer:
        targets = [good, refused, peer.target]
        found = document(netduet.run("check", "-J", DEMANDED, *targets))
    assert found["exit_status"] == 1
    assert [entry["target"] for entry in found["targets"]] == targets
    assert [entry["outcome"] for entry in found["targets"]] == ["PASS", "FAIL", "FAIL"]


def test_document_escapes_foreign_bytes(netduet: NetduetCommand) -> None:
    """The output of a foreign server stays in its string and is printable."""
    with foreign_server(answer_and_close(b'"},\r\n\x1b[31m\xff')) as peer:
        found = document(netduet.run("check", "--json", DEMANDED, peer.target))
    [evidence] = found["targets"][0]["root"]["evidence"]
    assert evidence["text"].endswith(r'""},\r\n\x1b[31m\xff"')


# Two streams


def test_logs_are_json_lines_on_stderr(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """With logs at info, stdout is unchanged, and stderr has JSON lines."""
    target = f"127.0.0.1:{serve_command().port}"
    done = netduet.run("check", "--json", "--log-level", "info", target)
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "PASS"
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    checks = [line["netduet.check"] for line in lines[:-1]]
    assert checks[:4] == ["name", "reach", "identity", "balance"]
    assert {line["event"] for line in lines[:-1]} == {"check.finished"}
    assert lines[-1]["event"] == "verdict.reached"
    assert lines[-1]["netduet.outcome"] == "PASS"


def test_failure_class_is_logged(netduet: NetduetCommand) -> None:
    """The class in the text is a field of the log."""
    with closed_port() as target:
        done = netduet.run("check", target, env={"NETDUET_CLIENT_LOG_LEVEL": "info"})
    verdict = json.loads(done.stderr.splitlines()[-1])
    assert verdict["error.type"] == "reach.refused"
    assert "(reach.refused)" in done.stdout


# Colour


def on_a_terminal(
    netduet: NetduetCommand, *words: str, env: dict[str, str] | None = None
) -> str:
    """Run with a terminal as stdout; return what it was sent."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb") as screen, os.fdopen(theirs, "wb") as terminal:
        process = netduet.start(*words, stdout=terminal, env=env)
        terminal.close()
        output = b""
        with contextlib.suppress(OSError):  # EIO: the far side is closed
            while piece := screen.read1(65536):
                output += piece
        netduet.finish(process)
    return output.decode()


def test_terminal_is_coloured_unless_disabled(netduet: NetduetCommand) -> None:
    """There is no colour with NO_COLOR or --color never."""
    with closed_port() as target:
        check = ("check", target)
        assert RED in on_a_terminal(netduet, *check, env={"TERM": "xterm"})
        for plain in (
            on_a_terminal(netduet, *check, env={"TERM": "xterm", "NO_COLOR": "1"}),
            on_a_terminal(netduet, *check, "--color", "never", env={"TERM": "xterm"}),
        ):
            assert "FAIL: the connection was refused" in plain
            assert re.search(r"\x1b\[[0-9;]*m", plain) is None


def test_dumb_terminal_gets_no_escape_sequence(netduet: NetduetCommand) -> None:
    """A terminal that cannot erase gets no progress line."""
    with foreign_server(stay_silent) as peer:
        words = ("check", "--answer-timeout=1s", DEMANDED, peer.target)
        assert ESCAPE in on_a_terminal(netduet, *words, env={"TERM": "xterm"})
        output = on_a_terminal(netduet, *words, env={"TERM": "dumb"})
    assert "(identity.silent)" in output
    assert ESCAPE not in output


def test_pipe_is_plain_unless_colour_is_requested(netduet: NetduetCommand) -> None:
    """--color always applies even there, and overrides NO_COLOR."""
    with closed_port() as target:
        assert ESCAPE not in netduet.run("check", target).stdout
        done = netduet.run("check", "--color=always", target, env={"NO_COLOR": "1"})
    assert RED in done.stdout


# Nobody reads


@contextlib.contextmanager
def unread() -> Iterator[IO[bytes]]:
    """Yield a pipe whose reader has left, as ``| head -0`` leaves it."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        yield pipe


@pytest.mark.parametrize(
    "words",
    [
        ("check",),
        ("check", "--json"),
        ("check", "--color", "always"),
        ("explain",),
        ("config", "show"),
        ("config", "reference"),
        ("--help",),
        ("--version",),
    ],
)
def test_closed_pipe_is_no_failed_check(
    netduet: NetduetCommand, words: tuple[str, ...]
) -> None:
    """A verdict that nobody read gives status 3, not 1, and no traceback."""
    with unread() as pipe, closed_port() as target:
        done = netduet.run(*words, stdout=pipe, env={"NETDUET_CLIENT_TARGET": target})
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize("words", [(), ("--json",), ("--color", "always")])
def test_full_disk_is_a_one_line_error(
    netduet: NetduetCommand, words: tuple[str, ...]
) -> None:
    """A verdict that cannot be written is not a pass."""
    with Path("/dev/full").open("wb") as full, closed_port() as target:
        done = netduet.run("check", *words, target, stdout=full)
    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert line.startswith("netduet: standard output cannot be written: ")


def test_closed_stdout_leaks_no_text_into_sockets(netduet: NetduetCommand) -> None:
    """No socket gets descriptor 1: the peer receives only the protocol."""
    with foreign_server(close_normally) as peer:
        command = [sys.executable, "-m", "netduet", "check", DEMANDED, peer.target]
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command],
            cwd=netduet.folder,
            env={},
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_SECONDS * 3,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        assert peer.received.startswith(b"\x9eNDT\r\n\x1a\n")
        assert peer.target.encode() not in peer.received


def test_stdout_without_unicode_escapes_characters(netduet: NetduetCommand) -> None:
    """A character that the encoding lacks is escaped, without a traceback."""
    with foreign_server(answer_and_close("안녕".encode())) as peer:
        done = netduet.run(
            "check", DEMANDED, peer.target, env={"PYTHONIOENCODING": "ascii"}
        )
    assert (done.returncode, done.stderr) == (1, "")
    assert r"\uc548\ub155" in done.stdout


def test_junit_file_is_written_beside_the_text(
    netduet: NetduetCommand, serve_command: ServeCommand, tmp_path: Path
) -> None:
    """Text and exit status are unchanged; the file has the same results."""
    file = tmp_path / "report.xml"
    port = serve_command().port
    done = netduet.run(
        "check", "--checks", "name", "--junit", str(file), f"127.0.0.1:{port}"
    )
    assert done.returncode == 0
    assert "PASS" in done.stdout
    [suite] = ET.parse(file).getroot()
    assert [case.get("name") for case in suite] == ["name"]


def test_unwritable_junit_file_fails_at_start(netduet: NetduetCommand) -> None:
    """The error comes before the checks, not after hours."""
    done = netduet.run("check", "--junit", "/nonexistent/report.xml", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "/nonexistent/report.xml" in line


def test_unknown_check_name_is_rejected(netduet: NetduetCommand) -> None:
    """The error lists the checks."""
    done = netduet.run("check", "--checks", "reach,sise", "127.0.0.1:1")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "'sise'" in line
    assert "size" in line
