"""Good and hostile load against a server for minutes or hours, as ``make soak`` does.

Between two attacks, when all hostile connections are gone, memory and descriptors are
sampled. Exits with 1 when memory grew (a linear fit after the warm-up, by more than its
doubled standard error above the bound), when descriptors did not come back, or when a
good client was failed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netduet.wire.datagram import OPENING_SIZE
from netduet.wire.frames import MAGIC, Kind, serialize
from tests.chaos import inside, sandbox
from tests.chaos.crowd import Crowd, hostile_json, opening, question, unfinished_frame
from tests.chaos.load import Sample
from tests.chaos.server import HOST, PORT, Server
from tests.chaos.trial import Trial, seconds_until

MAX_SLOPE_MIB_PER_HOUR: Final = 1.0
_WARM_UP_SHARE: Final = 1 / 3
_MAX_WARM_UP_SECONDS: Final = 600.0
_FREE_SECONDS: Final = 90.0
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Moment:
    """What was seen between two attacks: seconds since the start, MiB, descriptors."""

    at: float
    rss: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class Slope:
    """A linear fit: growth an hour, and its standard error."""

    per_hour: float
    error: float


def fit(moments: list[Moment]) -> Slope:
    """Return the slope of the memory, in MiB an hour."""
    hours = [moment.at / 3600 for moment in moments]
    memory = [moment.rss for moment in moments]
    line = statistics.linear_regression(hours, memory)
    residuals = [
        rss - line.intercept - line.slope * hour
        for hour, rss in zip(hours, memory, strict=True)
    ]
    spread = sum((hour - statistics.fmean(hours)) ** 2 for hour in hours)
    variance = sum(residual**2 for residual in residuals) / max(1, len(moments) - 2)
    return Slope(line.slope, (variance / spread) ** 0.5)


# Attacks


def _unfinished_frames(crowd: Crowd) -> None:
    crowd.open(40)
    crowd.send(unfinished_frame(_MIB), 2)


def _non_readers(crowd: Crowd) -> None:
    crowd.open(60, receive_buffer=4096)
    crowd.send(question(Kind.SOURCE, size=_MIB, seed=7), 1)


def _holds(crowd: Crowd) -> None:
    crowd.open(30)
    crowd.send(question(Kind.HOLD, seconds=600, speak=True) * 300, 2)


def _hostile_json(crowd: Crowd) -> None:
    crowd.open(30)
    crowd.send(serialize(Kind.LEDGER, hostile_json(50_000)), 1)


def _garbage(crowd: Crowd) -> None:
    crowd.connect(100)
    crowd.send(random.Random(7).randbytes(3000), 1)


def _broken_openings(crowd: Crowd) -> None:
    crowd.connect(100)
    crowd.send(opening()[:30], 1)


def _silence(crowd: Crowd) -> None:
    crowd.connect(200)


def _storm(crowd: Crowd) -> None:
    for _ in range(10):
        crowd.open(50)
        crowd.send(serialize(Kind.ECHO, bytes(100)), 1)
        crowd.close()


def _datagrams(_: Crowd) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("198.18.9.1", 0))
        for number in range(300):
            for data in (
                opening().ljust(OPENING_SIZE, b"\0"),
                MAGIC + serialize(Kind.OPEN, hostile_json(20_000)),
                random.Random(number).randbytes(200),
            ):
                sock.sendto(data, (HOST, PORT))
            time.sleep(0.002)


_ATTACKS: Final[tuple[Callable[[Crowd], None], ...]] = (
    _unfinished_frames,
    _non_readers,
    _holds,
    _hostile_json,
    _garbage,
    _broken_openings,
    _silence,
    _storm,
    _datagrams,
)


class _Soak:
    """Plays attacks in random order, all of them in each round."""

    def __init__(self, trial: Trial, minutes: float, seed: int) -> None:
        self._minutes = minutes
        self._chance = random.Random(seed)
        self._server: Server = trial.server()
        self._load = trial.load(self._server, "--connections=5", "--pace=0.1")
        self._check = lambda: trial.client("check", HOST)
        self.base = self._server.descriptors()
        self.moments: list[Moment] = []
        self.attacks: Counter[str] = Counter()
        self.verdicts: Counter[int] = Counter()

    def run(self) -> list[Sample]:
        """Run until the time is over; return what became of the good clients."""
        start = time.monotonic()
        while time.monotonic() < start + 60 * self._minutes:
            attacks = list(_ATTACKS)
            self._chance.shuffle(attacks)
            client = self._check()
            for attack in attacks:
                self._attack(attack)
            client.communicate(timeout=120)
            self.verdicts[client.returncode] += 1
            seconds_until(self._is_quiet, _FREE_SECONDS)
            descriptors = self._server.descriptors()
            moment = Moment(time.monotonic() - start, self._lowest_rss(), descriptors)
            self.moments.append(moment)
            print(
                f"{moment.at:7.0f} s {moment.rss:7.1f} MiB {descriptors:5} descriptors",
                flush=True,
            )
        return self._load.stop()

    def exit_status(self) -> int:
        """Stop the server; return its exit status, or 1 if it complained."""
        self._server.signal(signal.SIGTERM)
        self._server.seconds_to_exit(30)
        return 1 if self._server.errors() else self._server.process.poll() or 0

    def _attack(self, attack: Callable[[Crowd], None]) -> None:
        crowd = Crowd(f"198.18.{self._chance.randrange(1, 9)}")
        with contextlib.suppress(OSError, EOFError):  # refused, which is allowed
            attack(crowd)
        time.sleep(self._chance.uniform(0.0, 1.0))
        crowd.close()
        self.attacks[attack.__name__] += 1

    def _lowest_rss(self) -> float:
        """Return what it keeps: without what good clients cause for a moment."""
        samples = []
        for _ in range(10):
            samples.append(self._server.rss())
            time.sleep(0.1)
        return min(samples)

    def _is_quiet(self) -> bool:
        return self._server.descriptors() <= self.base


def _report(soak: _Soak, samples: list[Sample]) -> bool:
    """Print a table; return whether all bounds held."""
    last = soak.moments[-1]
    warm_up = min(_WARM_UP_SHARE * last.at, _MAX_WARM_UP_SECONDS)
    steady = [moment for moment in soak.moments if moment.at >= warm_up]
    outcomes = Counter(sample.outcome for sample in samples)
    failed = sum(count for name, count in outcomes.items() if name != "answered")
    most = max(moment.descriptors for moment in steady)
    rows = [
        ("attacks", f"{soak.attacks.total()}", "", True),
        ("good requests answered", f"{outcomes['answered']}", "", True),
        ("good requests failed", f"{failed}", "0", failed == 0),
        ("descriptors between attacks", f"{most}", f"≤ {soak.base}", most <= soak.base),
        ("exit statuses of checks", f"{dict(soak.verdicts)}", "", True),
    ]
    if len(steady) > 2:
        slope = fit(steady)
        proved = slope.per_hour - 2 * slope.error
        rows.append(
            (
                "growth of memory",
                f"{slope.per_hour:.2f} ± {2 * slope.error:.2f} MiB an hour",
                f"≤ {MAX_SLOPE_MIB_PER_HOUR:g} MiB an hour",
                proved <= MAX_SLOPE_MIB_PER_HOUR,
            )
        )
    status = soak.exit_status()
    rows.append(("exit status after SIGTERM", f"{status}", "0", status == 0))
    for what, value, bound, ok in rows:
        shown = f" (bound: {bound})" if bound else ""
        print(f"{'  ' if ok else '✗ '}{what}: {value}{shown}")
    return all(ok for *_, ok in rows)


def main(words: list[str]) -> int:
    """Run in namespaces of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if not options.inside:
        seed = ("--seed", str(options.seed))
        command = sandbox.isolated("tests.chaos.soak", "--inside", *words, *seed)
        return subprocess.run(command, cwd=sandbox.ROOT, check=False).returncode
    inside.prepare()
    with (
        tempfile.TemporaryDirectory(prefix="netduet-soak-") as folder,
        Trial(Path(folder), fast=False) as trial,
    ):
        soak = _Soak(trial, options.minutes, options.seed)
        return 0 if _report(soak, soak.run()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
