"""What a row's code works with: processes to try, and what was measured."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.chaos.load import Load, Sample
from tests.chaos.row import Measurement, percentile, quantity
from tests.chaos.server import Server

_FAST_SLACK: Final = 10.0
"""Factor by which times may be longer in the short form, which runs on any machine."""

P99_SLACK_SECONDS: Final = 0.02
"""What the 99th percentile of other clients may grow by besides a tenth of it: what the
hostile clients, on the same two CPUs, take from them."""

_MAX_STARVED_SHARE: Final = 0.05
"""Share of the time without a CPU above which latencies say nothing about the server."""

SETTLED_SECONDS: Final = 4.0
"""How long the good clients run undisturbed first."""


class Trial:
    """One run of a row. Everything that it starts ends with it."""

    def __init__(self, folder: Path, *, fast: bool) -> None:
        """Work in a folder; ``fast`` is the short form."""
        self.folder = folder
        self.fast = fast
        self._stack = contextlib.ExitStack()
        self._servers = 0
        self._watched: list[Server | Load] = []
        self._waited_before: dict[Server | Load, float] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes."""
        self._stack.close()

    def pick(self, full: int, fast: int) -> int:
        """Return the number for the full form, or that for the short one."""
        return fast if self.fast else full

    @property
    def patience(self) -> float:
        """Seconds to wait for what ought to come sooner."""
        return self.pick(90, 200)

    # What is tried

    def server(self, *, prefix: tuple[str, ...] = (), **settings: object) -> Server:
        """Start a server, and wait until it answers."""
        self._servers += 1
        server = Server(self.folder / f"server{self._servers}", settings, prefix)
        self._stack.callback(server.kill)
        server.wait_ready()
        self._watched.append(server)
        return server

    def load(self, server: Server, *words: str) -> Load:
        """Start good clients in a process of their own; see ``load``."""
        load = Load(server.host, (*words, f"--timeout={self.pick(10, 60)}"))
        self._stack.callback(load.kill)
        load.wait_started()
        self._watched.append(load)
        return load

    def client(self, *words: str, **settings: object) -> subprocess.Popen[str]:
        """Start ``netduet`` with these arguments, its output in pipes."""
        process = subprocess.Popen(
            [sys.executable, "-m", "netduet", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={
                f"NETDUET_CLIENT_{name.upper()}": str(value)
                for name, value in settings.items()
            },
        )
        self._stack.callback(process.kill)
        return process

    def helper(self, module: str, *words: str) -> subprocess.Popen[str]:
        """Start a module of tests.chaos as a process, with pipes."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.chaos.{module}", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(process.kill)
        return process

    def settle(self) -> float:
        """Let the good clients run undisturbed for a while; return the time after it."""
        time.sleep(SETTLED_SECONDS / (8 if self.fast else 1))
        self._waited_before = {
            process: process.cpu_wait_seconds() for process in self._watched
        }
        return time.monotonic()

    # What is measured

    def note(self, what: str, value: float, unit: str = "") -> None:
        """Report a value that has no bound."""
        self._report(Measurement(what, quantity(value, unit)))

    def at_most(self, what: str, value: float, bound: float, unit: str = "") -> None:
        """Judge a value that must not exceed a bound; times have slack when fast."""
        limit = bound * _FAST_SLACK if self.fast and unit in {"s", "ms"} else bound
        shown, allowed = quantity(value, unit), f"≤ {quantity(limit, unit)}"
        self._report(Measurement(what, shown, allowed, value <= limit))

    def at_least(self, what: str, value: float, bound: float, unit: str = "") -> None:
        """Judge a value that must reach a bound."""
        shown, allowed = quantity(value, unit), f"≥ {quantity(bound, unit)}"
        self._report(Measurement(what, shown, allowed, value >= bound))

    def holds(self, what: str, condition: object, otherwise: str = "no") -> None:
        """Judge something that must be so."""
        self._report(
            Measurement(what, "yes" if condition else otherwise, "yes", bool(condition))
        )

    def unharmed(
        self, load: Load, disturbed: float, judged: float | None = None
    ) -> None:
        """Judge the good clients: all answered, and as quickly as before ``disturbed``.

        The times of what was asked from ``judged`` on count (default: ``disturbed``).
        They are not judged if other processes of this machine had the CPUs for much
        of the time.
        """
        starved = self._starved_share(disturbed)
        samples = load.stop()
        since = disturbed if judged is None else judged
        before = _latencies(samples, lambda at: at < disturbed)
        during = _latencies(samples, lambda at: at >= since)
        failures = [entry for entry in samples if entry.latency is None]
        kinds = ", ".join(sorted({entry.outcome for entry in failures}))
        self.at_most(f"other clients' failures {kinds}".strip(), len(failures), 0)
        if not before or not during:
            self.holds("other clients were served throughout", condition=False)
            return
        was, became = percentile(before, 0.99), percentile(during, 0.99)
        self.note("other clients' p99 before", 1000 * was, "ms")
        if self.fast or starved > _MAX_STARVED_SHARE:
            waited = f"during (not judged: waited {starved:.0%} of the time for a CPU)"
            self.note("during" if self.fast else waited, 1000 * became, "ms")
            return
        bound = 1.1 * was + P99_SLACK_SECONDS
        self.at_most("during", 1000 * became, 1000 * bound, "ms")

    def _starved_share(self, since: float) -> float:
        """Return the share of the time that server or load waited for a CPU."""
        waited = [
            process.cpu_wait_seconds() - before
            for process, before in self._waited_before.items()
        ]
        return max(waited, default=0.0) / max(0.1, time.monotonic() - since)

    def _report(self, entry: Measurement) -> None:
        print(json.dumps(dataclasses.asdict(entry)), flush=True)


def _latencies(samples: list[Sample], chosen: Callable[[float], bool]) -> list[float]:
    return [
        entry.latency
        for entry in samples
        if entry.latency is not None and chosen(entry.at)
    ]


def seconds_until(
    condition: Callable[[], bool], timeout: float, pause: float = 0.02
) -> float:
    """Return the seconds until a condition holds; infinite if it does not in time."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() > start + timeout:
            return float("inf")
        time.sleep(pause)
    return time.monotonic() - start
