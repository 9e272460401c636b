"""Outside: runs each row in a process with namespaces of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.chaos.row import Measurement, Result, Row, measurement

ROOT: Final = Path(__file__).parents[2]

_NAMESPACES: Final = ("--net", "--mount", "--pid", "--fork", "--kill-child")


def run(row: Row, *, fast: bool = False) -> Result:
    """Run a row, or say why it cannot run."""
    start = time.monotonic()
    if row.run is None:
        return Result(row, (), 0.0, "")
    words = ["--fast"] if fast else []
    process = subprocess.Popen(
        isolated("tests.chaos.inside", row.name, *words),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    problem = ""
    try:
        out, err = process.communicate(timeout=row.timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        problem = f"not over after {row.timeout:.0f} s"
    if process.returncode and not problem:
        problem = f"the trial broke off: {_last_line(err)}"
    return Result(row, _measurements(out), time.monotonic() - start, problem)


def isolated(module: str, *words: str) -> list[str]:
    """Return a command that runs a module in namespaces of its own."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    python = (sys.executable, "-m", module)
    return ["unshare", *user, *_NAMESPACES, "--mount-proc", *python, *words]


def _measurements(out: str) -> tuple[Measurement, ...]:
    lines = [line for line in out.splitlines() if line.startswith("{")]
    return tuple(measurement(json.loads(line)) for line in lines)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "without a word"
