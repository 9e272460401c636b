"""What hostile servers cost a client: seconds, memory and the outcome of each.

nice -n 19 python -m benchmarks.hostile [--words "--profile full"] [NAME...]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks.interrupts import ENVIRONMENT, server
from tests.integration.hostile_servers import HOSTILITIES, hostile_server

MAX_SECONDS: Final = 150.0
MAX_KIB: Final = 2_000_000
"""A client with more memory is ended: the machine must survive."""


def main() -> int:
    """Check each hostile server; print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", default="")
    parser.add_argument("names", nargs="*", default=list(HOSTILITIES))
    options = parser.parse_args()
    print(f"{'server':24} {'status':>6} {'s':>7} {'MiB':>7}  outcome", flush=True)
    with server() as real_port:
        for name in options.names:
            hostility = HOSTILITIES[name]
            port = real_port if hostility.relays else 0
            with hostile_server(hostility, port) as hostile:
                print(f"{name:24} " + run(hostile.target, options.words), flush=True)
    return 0


def run(target: str, words: str) -> str:
    """Check a target; return a line."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "netduet", "check", "--json", *words.split(), target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=ENVIRONMENT,
        text=True,
    )
    output = ["", ""]
    reader = threading.Thread(
        target=lambda: output.__setitem__(slice(2), process.communicate())
    )
    reader.start()
    peak = 0
    while reader.is_alive():
        reader.join(0.05)
        peak = max(peak, memory(process.pid))
        if time.monotonic() - start > MAX_SECONDS or peak > MAX_KIB:
            process.kill()
    seconds = time.monotonic() - start
    found = "no report"
    with contextlib.suppress(ValueError, KeyError, IndexError):
        report = json.loads(output[0])["targets"][0]
        found = (
            ", ".join(
                f"{check['name']}: {finding['class']}"
                for check in report["checks"]
                for finding in check["findings"]
            )
            or report["outcome"]
        )
    noise = output[1][-300:].replace("\n", " | ")
    return f"{process.returncode:6} {seconds:7.1f} {peak / 1024:7.0f}  {found[:300]} {noise}"


def memory(pid: int) -> int:
    """Return the largest resident size of a process so far, in KiB."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", "")
    sys.exit(main())
