"""Interrupts at random times: how soon, and how quietly, does a check end?

It runs `netduet check` against a healthy server, one that accepts and is silent, and one
whose accept queue is full. Each run gets SIGINT after a random time, every fourth run a
second one. It must exit with status 3, or as by the signal, without a traceback.

    nice -n 19 python -m benchmarks.interrupts [--runs 1000] [--jobs 2] [--seed 1]

Status -2 is the signal itself: the interpreter was starting or ending. A signal in the
first 50 ms, before Python runs any of our code, may end in a traceback of Python's own
start; such runs are counted apart.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LATEST_SECONDS: Final = 6.0
"""The latest time of a signal."""

LIMIT_SECONDS: Final = 2.0
"""Seconds after the signal within which a run must end."""

HUNG_SECONDS: Final = 20.0
"""Seconds after the signal when the threads' stacks are printed, and the run ends."""

LOST_SECONDS: Final = 1.0
"""A run that has had its verdict is over by then."""

STATUSES: Final = frozenset({3, 130, -signal.SIGINT})
ENVIRONMENT: Final = {
    "PATH": os.environ["PATH"],
    "PYTHONFAULTHANDLER": "1",
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
}
VERDICTS: Final = frozenset({0, 1})
"""Statuses of a run that had ended, or had its verdict, when the signal came."""


@dataclass(frozen=True)
class Trial:
    """One interrupted run; ``second`` are the seconds to a second signal, 0 for none."""

    number: int
    target: str
    kind: str
    words: tuple[str, ...]
    wait: float
    second: float


@dataclass(frozen=True)
class Result:
    """What became of it: its status, and the seconds from the (last) signal.

    ``own_seconds`` are without those for which it waited for a CPU.
    """

    trial: Trial
    status: int
    seconds: float
    own_seconds: float
    problem: str
    starting: bool


def main() -> int:
    """Interrupt so many runs; print each problem, and a summary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latest", type=float, default=LATEST_SECONDS)
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    # A shell starts commands in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    until = time.monotonic() + 60 * options.minutes
    results: list[Result] = []
    lock = threading.Lock()
    with targets() as addresses, tempfile.TemporaryDirectory() as folder:

        def run(trial: Trial) -> None:
            if time.monotonic() > until:
                return
            result = interrupt(trial, Path(folder))
            with lock:
                results.append(result)
                if result.problem:
                    print(f"{trial}\n  {result.status}: {result.problem}", flush=True)

        chance = random.Random(options.seed)
        trials = [
            draw(number, addresses, chance, options.latest)
            for number in range(options.runs)
        ]
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(run, trials))
    return summarize(results, options.runs)


def draw(
    number: int, addresses: dict[str, str], chance: random.Random, latest: float
) -> Trial:
    """Choose a target, a profile, and the times of the signals."""
    kind = chance.choice(list(addresses))
    words = ("--json",) if chance.random() < 0.25 else ()
    if chance.random() < 0.25:
        words += ("--profile", "full")
    second = chance.uniform(0.0, 0.5) if chance.random() < 0.25 else 0.0
    wait = chance.uniform(0.0, latest)
    return Trial(number, addresses[kind], kind, words, wait, second)


def interrupt(trial: Trial, folder: Path) -> Result:
    """Run, interrupt and judge."""
    command = [sys.executable, "-m", "netduet", "check", *trial.words, trial.target]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        errors="replace",
    )
    output: list[str] = ["", ""]

    def read() -> None:
        output[:] = process.communicate()

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(trial.wait)
    ended_before = not reader.is_alive()
    process.send_signal(signal.SIGINT)
    if trial.second:
        reader.join(trial.second)
        process.send_signal(signal.SIGINT)
    signalled = time.monotonic()
    delay_before = delay = run_delay(process.pid)
    while reader.is_alive() and time.monotonic() < signalled + HUNG_SECONDS:
        reader.join(0.02)
        delay = max(delay, run_delay(process.pid))
    seconds = time.monotonic() - signalled
    own_seconds = seconds - (delay - delay_before)
    if reader.is_alive():
        process.send_signal(signal.SIGABRT)  # faulthandler prints the stacks
        reader.join(5.0)
        process.kill()
        reader.join()
    status = process.returncode
    problem = judge(status, output, own_seconds, ended_before=ended_before)
    starting = is_own_start(output[1])
    return Result(trial, status, seconds, own_seconds, problem, starting)


def judge(status: int, output: list[str], seconds: float, *, ended_before: bool) -> str:
    """Return what is wrong, "" if nothing is."""
    text = "\n".join(output)
    if is_own_start(output[1]):
        return ""
    if status in VERDICTS and seconds > LOST_SECONDS and not ended_before:
        return f"the signal was lost: it ended by itself after {seconds:.2f} s"
    if seconds > LIMIT_SECONDS and not ended_before:
        return f"ended after {seconds:.2f} s\n{text[-3000:] if seconds > 10 else ''}"
    if "Traceback" in text or "Exception ignored" in text or "Fatal Python" in text:
        return f"a traceback:\n{text[-3000:]}"
    if status not in STATUSES and status not in VERDICTS:
        return f"an unexpected status:\n{text[-1000:]}"
    return ""


def is_own_start(text: str) -> bool:
    """Whether an interrupt hit an interpreter that had not reached our code.

    It may print a traceback, or lose the interrupt in a callback of its imports.
    """
    first = text.partition("Fatal Python error: Aborted")[0]
    return "KeyboardInterrupt" in first and "/netduet/" not in first


def run_delay(pid: int) -> float:
    """Return for how long a process has waited for a CPU so far, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def summarize(results: list[Result], runs: int) -> int:
    """Print the summary; return 1 if there was a problem."""
    times = sorted(result.seconds for result in results)
    bad = [result for result in results if result.problem]
    statuses = Counter(result.status for result in results)
    print(f"{len(results)} of {runs} runs, {len(bad)} with a problem")
    print("statuses: " + ", ".join(f"{n}: {c}" for n, c in sorted(statuses.items())))
    starting = sum(result.starting for result in results)
    print(f"interrupted before Python ran any of our code: {starting}")
    own = sorted(result.own_seconds for result in results if not result.starting)
    for name, values in (("all", times), ("without waiting for a CPU", own)):
        if values:
            middle, late = values[len(values) // 2], values[len(values) * 99 // 100]
            print(f"seconds after the signal, {name}: median {middle:.2f}, ", end="")
            print(f"99th percentile {late:.2f}, longest {values[-1]:.2f}")
    return 1 if bad or len(results) < runs else 0


@contextlib.contextmanager
def targets() -> Iterator[dict[str, str]]:
    """Yield a target of each kind."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        silent.listen(4096)  # the kernel accepts, nobody answers
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        healthy = stack.enter_context(server())
        yield {
            "healthy": f"127.0.0.1:{healthy}",
            "silent": f"127.0.0.1:{silent.getsockname()[1]}",
            "full queue": f"127.0.0.1:{full.getsockname()[1]}",
        }


@contextlib.contextmanager
def server() -> Iterator[int]:
    """Run `netduet serve`; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "netduet", "serve"],
        env=ENVIRONMENT
        | {"NETDUET_SERVER_PORT": str(port), "NETDUET_SERVER_HOST": "127.0.0.1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
