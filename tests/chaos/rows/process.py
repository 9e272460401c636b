"""Faults of the process: it does not run, runs slowly, or nobody reads its log."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from netduet.wire.frames import Kind, serialize
from tests.chaos import crowd
from tests.chaos.crowd import Crowd, opening, unfinished_frame
from tests.chaos.row import Row
from tests.chaos.server import Server
from tests.chaos.trial import Trial, seconds_until

_MIB: Final = 1024 * 1024
_ROUNDS: Final = 20
_CGROUPS: Final = Path("/sys/fs/cgroup")


def _paused(trial: Trial) -> None:
    seconds = trial.pick(30, 2)
    settings = {"idle_timeout": "1s", "frame_timeout": "1s"} if trial.fast else {}
    server = trial.server(**settings)
    clients = Crowd()
    clients.open(trial.pick(240, 40))
    frame = serialize(Kind.ECHO, b"x" * 1000)
    clients.send(frame[:500], 5)
    server.signal(signal.SIGSTOP)
    time.sleep(seconds / 2)
    clients.send(frame[500:], 5)
    time.sleep(seconds / 2)
    server.signal(signal.SIGCONT)
    start = time.monotonic()
    answered = 0
    for sock in clients.sockets:
        sock.settimeout(10)
        with contextlib.suppress(OSError, EOFError):
            answered += crowd.receive_frame(sock)[0] == Kind.ECHO
    trial.at_most("answered after", time.monotonic() - start, 2, "s")
    trial.at_most("healthy clients closed", len(clients.sockets) - answered, 0)


def _slow_cpu(trial: Trial) -> None:
    with _cgroup("cpu") as group:
        (group / "cpu.cfs_period_us").write_text("100000")
        server = trial.server()
        (group / "cpu.cfs_quota_us").write_text("5000")
        _enter(group, server)
        clients = Crowd()
        clients.open(50)
        for sock in clients.sockets:
            sock.settimeout(20)
        answered, start = 0, time.monotonic()
        for _ in range(_ROUNDS):
            for sock in clients.sockets:
                sock.sendall(serialize(Kind.ECHO, b"x" * 1000))
            kinds = [crowd.receive_frame(sock)[0] for sock in clients.sockets]
            answered += kinds.count(Kind.ECHO)
        trial.at_most(
            "1,000 questions answered after", time.monotonic() - start, 20, "s"
        )
        trial.at_least("answered", answered, 1000)
        trial.holds("a new client is greeted", server.greets())
        trial.holds("health check passes", server.healthy())
        server.kill()


def _memory_limit(trial: Trial) -> None:
    with _cgroup("memory") as group:
        (group / "memory.limit_in_bytes").write_text(str(512 * _MIB))
        server = trial.server()
        _enter(group, server)
        hostile = Crowd()
        with contextlib.suppress(OSError, EOFError):
            for _ in range(6):
                hostile.open(100)
                hostile.send(unfinished_frame(_MIB), 2)
        hostile.close()
        served = seconds_until(server.greets, 15)
        status = server.process.poll()
        trial.holds("the server lives", status is None, f"ended with {status}")
        peak = int((group / "memory.max_usage_in_bytes").read_text())
        trial.note("memory of the cgroup at most", peak / _MIB, "MiB")
        trial.at_most("greets a new client after", served, 5, "s")
        server.kill()


@contextlib.contextmanager
def _cgroup(controller: str) -> Iterator[Path]:
    group = _CGROUPS / controller / f"netduet-chaos-{os.getppid()}-{time.time_ns()}"
    group.mkdir()
    try:
        yield group
    finally:
        group.rmdir()


def _enter(group: Path, server: Server) -> None:
    (group / "cgroup.procs").write_text(str(server.process.pid))


def _late_clock(trial: Trial) -> None:
    decade = str(10 * 365 * 86400)
    prefix = ("unshare", "--time", "--monotonic", decade, "--boottime", decade, "--")
    trial.server(prefix=prefix, idle_timeout="1s")
    client = Crowd()
    client.open(1)
    start = time.monotonic()
    client.sockets[0].settimeout(10)
    kind, payload = crowd.receive_frame(client.sockets[0])
    ended = kind == Kind.ERROR and b'"idle"' in payload
    trial.holds("an idle connection is ended as idle", ended)
    trial.at_most("after", time.monotonic() - start, 1.5, "s")


def _stalled_log(trial: Trial) -> None:
    read, write = os.pipe()
    server = Server(trial.folder / "stalled", {"log_level": "debug"}, log=write)
    os.close(write)
    try:
        server.wait_ready()
        load = trial.load(server)
        disturbed = trial.settle()
        clients = Crowd()
        for _ in range(trial.pick(40, 8)):
            clients.connect(100)
            clients.send(opening() + serialize(99), 5)
            clients.close()
        trial.at_most("memory of the server", server.peak_rss(), 128, "MiB")
        trial.unharmed(load, disturbed)
    finally:
        server.kill()
        os.close(read)


ROWS: Final = (
    Row(
        "pause",
        "SIGSTOP for 30 s, with 240 clients in the middle of a frame",
        "no healthy connection is closed, all are answered within 2 s",
        _paused,
        fast=True,
    ),
    Row(
        "slow-cpu",
        "5 % of a CPU",
        "slow, but everybody is served, and the health check passes",
        _slow_cpu,
    ),
    Row(
        "memory-limit",
        "600 unfinished frames of 1 MiB within 512 MiB of memory (cgroup)",
        "the limits take effect before the kernel kills",
        _memory_limit,
    ),
    Row(
        "late-clock",
        "a monotonic clock that is ten years ahead (time namespace)",
        "times are kept as ever",
        _late_clock,
    ),
    Row(
        "stepped-clock",
        "the clock of the day is stepped",
        "no duration changes",
        None,
        absent="Linux has no namespace for CLOCK_REALTIME, and the host's clock stays "
        "as it is; durations use the monotonic clock",
    ),
    Row(
        "stalled-log",
        "nobody reads the log, 4,000 connections that break the protocol",
        "the loop never waits for it, memory stays bounded",
        _stalled_log,
        fast=True,
    ),
)
