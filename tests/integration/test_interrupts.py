"""Signals at awkward moments: during imports, in destructors, with a blocked loop."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.foreign_servers import closed_port
from tests.integration.servers import TIMEOUT_SECONDS

INTERRUPTED_IMPORT = """
import os, signal, sys

when, where = sys.argv[1:3]
del sys.argv[1:3]

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Owner:
    def __del__(self):  # what is raised in here is printed, and lost
        interrupt()

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == when:
            if where == "import":
                interrupt()
            else:
                Owner()

sys.meta_path.insert(0, Finder)
from netduet.__main__ import main
raise SystemExit(main())
"""

BLOCKED_LOOP = """
import asyncio, sys, time
from netduet.client.commands import signals

signals.MAX_STOP_SECONDS = float(sys.argv[1])

async def block():
    print("blocked", flush=True)
    time.sleep(3600)

async def run():
    await signals.SignalScope().run(block())

asyncio.run(run())
"""


@pytest.mark.parametrize("where", ["import", "destructor"])
@pytest.mark.parametrize(
    "module",
    [
        "netduet.cli.commands",
        "pydantic",
        "netduet.client.settings",
        "netduet.client.commands.check",
        "netduet.client.checks.runner",
    ],
)
def test_interrupt_during_imports_ends_the_command(
    module: str, where: str, tmp_path: Path
) -> None:
    """It is neither lost nor does it end in a traceback."""
    with closed_port() as target:
        command = [sys.executable, "-c", INTERRUPTED_IMPORT, module, where]
        done = subprocess.run(
            [*command, "check", target],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={},
            timeout=TIMEOUT_SECONDS * 3,
            check=False,
        )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "stopped by a signal" in done.stderr or "interrupted" in done.stdout


@pytest.mark.parametrize(("signals", "seconds"), [(1, 0.1), (2, 3600.0)])
def test_blocked_command_ends_at_a_second_signal_or_after_a_time(
    signals: int, seconds: float, tmp_path: Path
) -> None:
    """Whatever it waits for: a defect of ours must not keep a person waiting."""
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED_LOOP, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    with process, contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stdout.readline() == "blocked\n"
        for number in (signal.SIGINT, signal.SIGTERM)[:signals]:
            process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS * 2)
    assert (process.returncode, errors) == (3, "")
