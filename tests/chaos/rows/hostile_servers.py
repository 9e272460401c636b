"""Hostile servers, and a person's Ctrl-C: what the client does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

from tests.chaos.row import Row
from tests.chaos.trial import Trial

_DEADLINE_SECONDS: Final = 60.0
_MEMORY_MIB: Final = 200
_KILL_MIB: Final = 800


def _flood(kind: str, trial: Trial) -> None:
    flood = trial.helper("hostile_server", kind)
    assert flood.stdout is not None
    assert flood.stdout.readline() == "listening\n"
    start = time.monotonic()
    with (trial.folder / "client").open("w+") as output:
        client = subprocess.Popen(
            [*_NETDUET, "check", "198.18.0.1", "--expect-service=*"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=trial.folder,
            env={},
        )
        status, peak = _end(client, 2 * _DEADLINE_SECONDS)
        seconds = time.monotonic() - start
        output.seek(0)
        text = output.read()
    trial.at_most("over after", seconds, _DEADLINE_SECONDS, "s")
    trial.at_most("memory of the client", peak, _MEMORY_MIB, "MiB")
    trial.holds("exit status 1 or 3", status in {1, 3}, str(status))
    trial.holds("no traceback", "Traceback" not in text)


_NETDUET: Final = (sys.executable, "-m", "netduet")


def _end(process: subprocess.Popen[bytes], timeout: float) -> tuple[int, float]:
    """Return the status and the most memory in MiB; kill it after the timeout."""
    until = time.monotonic() + timeout
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss / 1024
        if time.monotonic() > until or _resident(process.pid) > _KILL_MIB:
            process.kill()  # before it has all of this machine's memory
        time.sleep(0.05)


def _resident(pid: int) -> float:
    """Return the resident memory in MiB; 0 when the process has just left."""
    try:
        pages = int(Path("/proc", str(pid), "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def _interrupts(trial: Trial) -> None:
    trial.server()
    chance = random.Random(15)
    statuses: dict[int, int] = {}
    slowest, tracebacks = 0.0, 0
    count = trial.pick(40, 3)
    for _ in range(count):
        client = trial.client("check", "198.18.0.1")
        time.sleep(chance.uniform(0.05, 3.5))
        client.send_signal(signal.SIGINT)
        start = time.monotonic()
        try:
            out, err = client.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            client.kill()
            out, err = client.communicate()
        slowest = max(slowest, time.monotonic() - start)
        tracebacks += "Traceback" in out + err
        status = client.returncode
        statuses[status] = statuses.get(status, 0) + 1
    for status, times in sorted(statuses.items()):
        trial.note(f"exit status {status}", times, "times")
    bad = sum(times for status, times in statuses.items() if status not in _QUIET)
    trial.at_most("exits by a signal or an error", bad, 0)
    trial.at_most("tracebacks", tracebacks, 0)
    trial.at_most("over after", slowest, 2, "s")


_QUIET: Final = frozenset({0, 3, 130, -signal.SIGINT})
"""Passed before the signal, interrupted, and interrupted while Python started or ended:
by the signal itself, which a shell shows as 130."""

_FLOODS: Final = {
    "echoes": "answers to ECHO that nobody asked for, without end",
    "answers": "one answer to each question, and valid frames without end behind it",
    "text": "plain text without end",
    "drip": "a byte a second",
    "welcomes": "a new connection's welcome, and then nothing",
}

ROWS: Final = (
    *(
        Row(
            f"hostile-server-{kind}",
            f"a server that sends {what}",
            f"`netduet check` is over within {_DEADLINE_SECONDS:.0f} s, "
            f"with at most {_MEMORY_MIB} MiB",
            partial(_flood, kind),
        )
        for kind, what in _FLOODS.items()
    ),
    Row(
        "interrupts",
        "Ctrl-C at 40 random moments of `netduet check`",
        "exit status 3 or 130 within 2 s, quietly",
        _interrupts,
    ),
)
