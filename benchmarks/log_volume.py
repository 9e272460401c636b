"""How much the server logs: bytes of a check, and of a watch per hour and day.

Server and client are two processes in a network namespace of their own: run it as root,
or where unprivileged users may make one. ``--services`` takes the folder of another
commit (``git archive COMMIT services | tar -x -C FOLDER``) to compare with.

    python benchmarks/log_volume.py [--seconds 60] [--services FOLDER/services]

A quick check, and 60 s of a watch of one peer after its first 15 s, on 2026-11-29 with
Python 3.11; without the lines of the server's own start and stop:

                              one line per connection      one line per run
    check, lines                                  191                     1
    check, bytes                              112,867                   622
    watch, bytes an hour                    2,159,640                 3,944
    watch, bytes a day                     51,831,360                71,978

The watch's scheduled checks are not in it: every five minutes some 60 connections, 10 MB
a day, that were lines too. The CPU time of a connection with an echo fell to 0.75 of
what it was (median of 15 interleaved pairs of 1,500 connections, 0.58 to 1.13).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ADDRESS: Final = "192.0.2.1"
"""Not 127.0.0.1, from which a connection without a question is a health check."""

PORT: Final = 12_345
WARM_UP_SECONDS: Final = 15.0
"""Seconds from the start of a watch until its first checks are over."""

HOUR_SECONDS: Final = 3600.0
FIRST_SECONDS: Final = 60.0
MAX_SECONDS: Final = 600.0
"""Seconds between two lines of a run: as in ``netduet.server.client_runs``."""


def main() -> int:
    """Go into a namespace; there, measure a check and a watch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--services", type=Path)
    parser.add_argument("--inside", action="store_true")
    asked = parser.parse_args()
    if not asked.inside:
        me = [sys.executable, __file__, "--inside", *sys.argv[1:]]
        flags = ["-n"] if os.geteuid() == 0 else ["-r", "-n"]
        return subprocess.run(["unshare", *flags, *me], check=False).returncode
    for command in (f"ip addr add {ADDRESS}/32 dev lo", "ip link set lo up"):
        subprocess.run(command.split(), check=True)
    environment = {"PATH": os.environ["PATH"]}
    if asked.services:
        environment["PYTHONPATH"] = str(asked.services.resolve())
    lines = logged(environment, "check", None)
    print(f"check: {len(lines)} lines, {size(lines):,} bytes")
    lines = logged(environment, "watch", asked.seconds)
    print(f"watch: {len(lines)} lines, {size(lines):,} bytes in {asked.seconds:g} s")
    for name, seconds in (("hour", HOUR_SECONDS), ("day", 24 * HOUR_SECONDS)):
        print(f"watch: {expected(lines, asked.seconds, seconds):,.0f} bytes a {name}")
    return 0


def logged(
    environment: dict[str, str], command: str, seconds: float | None
) -> list[bytes]:
    """Return what a server logs about one client, which a signal stops after a while."""
    netduet = [sys.executable, "-m", "netduet"]
    flags = ["--host", ADDRESS, "--port", str(PORT), "--log-format", "json"]
    begin = 0
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [*netduet, "serve", *flags], env=environment, stdout=log
        )
        try:
            time.sleep(2)
            client = subprocess.Popen(
                [*netduet, command, f"{ADDRESS}:{PORT}"],
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            if seconds is not None:
                time.sleep(WARM_UP_SECONDS)
                begin = os.fstat(log.fileno()).st_size
                time.sleep(seconds)
                client.send_signal(signal.SIGTERM)
            client.wait(120)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
        log.seek(begin)
        lines = log.readlines()
    return [line for line in lines if not event(line).startswith("server.")]


def event(line: bytes) -> str:
    """Return the event of a line."""
    fields: dict[str, Any] = json.loads(line)
    return str(fields["event"])


def size(lines: list[bytes]) -> int:
    """Return the bytes of lines."""
    return sum(map(len, lines))


def expected(lines: list[bytes], measured: float, seconds: float) -> float:
    """Return the bytes of a longer watch.

    Lines per connection grow with its time; those of a run come at growing intervals.
    """
    runs = [line for line in lines if event(line).startswith("run.")]
    if not runs:
        return size(lines) * seconds / measured
    count, due, interval = 0, FIRST_SECONDS, FIRST_SECONDS
    while due <= seconds:
        count += 1
        interval = min(2 * interval, MAX_SECONDS)
        due += interval
    return count * max(map(len, runs))


if __name__ == "__main__":
    sys.exit(main())
