"""Which containers are ours, and whether the run that started them is still alive.

A run that is killed cannot remove its containers: the next run does. Their labels say
which process started them and when they must be over.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netduet.between.engine import engine_errors, remove, signals_held

if TYPE_CHECKING:
    import docker

RUN: Final = "io.netduet.between.run"
_OWNER: Final = "io.netduet.between.owner"
_UNTIL: Final = "io.netduet.between.until"

_START_TIME_FIELD: Final = 19
"""Field 22 of /proc/pid/stat (proc(5)), counted behind the name."""

_CLOCK_SKEW_SECONDS: Final = 300.0
"""Difference between the clocks of two hosts that share an engine that is tolerated."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: the boot of its kernel, its PID namespace, its id and its start."""

    boot: str
    namespace: str
    pid: str
    start: str

    def __str__(self) -> str:
        return f"{self.boot} {self.namespace} {self.pid} {self.start}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Return the owner of a label; None if it is no owner."""
        words = text.split()
        return cls(*words) if len(words) == len(cls.__slots__) else None


def this_process(proc: Path = Path("/proc")) -> Owner:
    """Return this process as an owner."""
    pid = str(os.getpid())
    boot = _read(proc / "sys/kernel/random/boot_id") or "unknown"
    return Owner(boot, _namespace(proc), pid, start_time(pid, proc) or "0")


def _namespace(proc: Path) -> str:
    try:
        return (proc / "self/ns/pid").readlink().name
    except OSError:
        return "unknown"


def start_time(pid: str, proc: Path = Path("/proc")) -> str | None:
    """Return when a process started, in ticks since boot; None if it does not run."""
    words = _read(proc / pid / "stat").rpartition(")")[2].split()
    if len(words) <= _START_TIME_FIELD or words[0] == "Z":
        return None
    return words[_START_TIME_FIELD]


def is_alive(
    labels: Mapping[str, str], here: Owner, now: float, proc: Path = Path("/proc")
) -> bool:
    """Return whether the run of these labels may still be running.

    A process of this kernel and PID namespace is looked up. Any other is believed to
    run until the time that its label states.
    """
    owner = Owner.parse(labels.get(_OWNER, ""))
    if owner is not None and (owner.boot, owner.namespace) == (
        here.boot,
        here.namespace,
    ):
        return start_time(owner.pid, proc) == owner.start
    try:
        until = float(labels.get(_UNTIL, ""))
    except ValueError:
        return False
    return now < until + _CLOCK_SKEW_SECONDS


@dataclass(frozen=True, slots=True)
class Run:
    """A run: its id and the labels of its containers."""

    id: str
    labels: dict[str, str]

    @property
    def service(self) -> str:
        """The name that this run's servers answer with, and its clients demand."""
        return f"netduet-between-{self.id[:8]}"


def new_run(max_seconds: float) -> Run:
    """Return a run that is over within ``max_seconds``."""
    run_id = uuid.uuid4().hex
    labels = {
        RUN: run_id,
        _OWNER: str(this_process()),
        _UNTIL: f"{time.time() + max_seconds:.0f}",
    }
    return Run(run_id, labels)


def extended(run: Run, max_seconds: float) -> Run:
    """Return the run with labels that say that it is over within ``max_seconds``."""
    return Run(run.id, run.labels | {_UNTIL: f"{time.time() + max_seconds:.0f}"})


def remove_run(engine: docker.DockerClient, run: Run) -> None:
    """Remove all containers of a run, whatever their state; signals wait meanwhile."""
    what = "the pair's containers cannot be removed, which the next run will do"
    with signals_held(), engine_errors(what):
        found = engine.containers.list(
            all=True, ignore_removed=True, filters={"label": f"{RUN}={run.id}"}
        )
        for container in found:
            remove(container)


def remove_leftovers(engine: docker.DockerClient) -> int:
    """Remove the containers of runs that are dead; return how many there were."""
    here, removed = this_process(), 0
    with engine_errors("leftovers of an earlier run cannot be removed"):
        found = engine.containers.list(
            all=True, ignore_removed=True, filters={"label": RUN}
        )
        for container in found:
            if not is_alive(container.labels, here, time.time()):
                with contextlib.suppress(OSError):
                    remove(container)
                    removed += 1
    return removed


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
