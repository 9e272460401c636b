"""Interrupted runs, and runs that resume them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.servers import TIMEOUT_SECONDS, NetduetCommand, unwrapped

LONG = ("--profile=full", "--idle-rungs=1h", "--checks=path,idle")
SHORT = ("--profile=full", "--idle-rungs=1h", "--checks=path")

Done = subprocess.CompletedProcess[str]


def kept(file: Path) -> list[str]:
    """Return the checks whose results the file holds."""
    if not file.exists():
        return []
    return [entry["result"]["check"] for entry in json.loads(file.read_text())["done"]]


def interrupted(netduet: NetduetCommand, file: Path, *words: str) -> Done:
    """Run until a first result is kept, then send a SIGINT."""
    process = netduet.start("check", *words, "--resume", str(file))
    until = time.monotonic() + TIMEOUT_SECONDS
    while not kept(file) and process.poll() is None:
        assert time.monotonic() < until, "nothing was kept"
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    return netduet.finish(process)


def test_interrupted_run_is_resumed(
    serve_command: ServeCommand, netduet: NetduetCommand, tmp_path: Path
) -> None:
    """Done checks are shown with their time and not repeated; the file is removed."""
    target = f"127.0.0.1:{serve_command().port}"
    file = tmp_path / "run"
    done = interrupted(netduet, file, *LONG, target)
    assert (done.returncode, done.stderr) == (3, "")
    output = unwrapped(done)
    assert "completed name, reach, identity, path not run idle" in output
    advice = f"results are saved in {file}; run the same command again to resume"
    assert advice in output
    assert kept(file) == ["path"]

    done = netduet.run("check", *SHORT, "--resume", str(file), target)
    assert (done.returncode, done.stderr) == (0, "")
    assert "note: from an interrupted run, 20" in unwrapped(done)
    assert unwrapped(done).count("from an interrupted run") == 1
    assert not file.exists()


def test_document_marks_restored_and_missing_checks(
    serve_command: ServeCommand, netduet: NetduetCommand, tmp_path: Path
) -> None:
    """The document has missing checks, and the time of earlier results."""
    target = f"127.0.0.1:{serve_command().port}"
    file = tmp_path / "run"
    done = interrupted(netduet, file, *LONG, "--json", target)
    [target_report] = json.loads(done.stdout)["targets"]
    assert (target_report["interrupted"], target_report["missing"]) == (True, ["idle"])
    done = netduet.run("check", *SHORT, "--json", "--resume", str(file), target)
    [target_report] = json.loads(done.stdout)["targets"]
    earlier = {check["name"]: check["earlier"] for check in target_report["checks"]}
    assert earlier.pop("path").endswith("Z")
    assert set(earlier.values()) == {None}


def test_file_of_another_run_is_a_one_line_error(
    serve_command: ServeCommand, netduet: NetduetCommand, tmp_path: Path
) -> None:
    """Another profile, target or expectation: status 2, and nothing is measured."""
    target = f"127.0.0.1:{serve_command().port}"
    file = tmp_path / "run"
    interrupted(netduet, file, *LONG, target)
    before = file.read_bytes()
    for words in (
        ("--profile=soak", "--idle-rungs=1h", target),
        ("--profile=full", "--idle-rungs=1h", f"{target}=blocked"),
        ("--profile=full", "--idle-rungs=1h", target, target),
        ("--profile=full", "--idle-rungs=2h", target),
    ):
        done = netduet.run("check", *words, "--resume", str(file))
        assert (done.returncode, done.stdout) == (2, "")
        [line] = done.stderr.splitlines()
        assert f"resume {file}: belongs to another run: its " in line
    assert file.read_bytes() == before


def test_interrupted_run_without_a_file_names_the_setting(
    serve_command: ServeCommand, netduet: NetduetCommand, tmp_path: Path
) -> None:
    """Long profiles name the setting; quick is short enough."""
    server = serve_command(log_level="debug")
    process = netduet.start("check", *LONG, f"127.0.0.1:{server.port}")
    server.closed_line(2)
    process.send_signal(signal.SIGTERM)
    done = netduet.finish(process)
    assert done.returncode == 3
    assert "with --resume FILE" in unwrapped(done)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("command", "status"), [("check", 3), ("hello", 3), ("serve", 0)]
)
def test_early_signal_is_a_one_line_message(
    number: signal.Signals, command: str, status: int
) -> None:
    """A signal during the start prints a line."""
    program = (
        "import os, sys, netduet.__main__ as main\n"
        f"main._run = lambda words: os.kill(os.getpid(), {int(number)})\n"
        f"sys.argv = ['netduet', '{command}', 'server']\n"
        "sys.exit(main.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        text=True,
        check=False,
    )
    line = "netduet: stopped by a signal before there was a verdict\n"
    expected = (status, "", line if status else "")
    assert (done.returncode, done.stdout, done.stderr) == expected
