"""Limits of the process and its surroundings that a stranger can reach."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Final

from tests.chaos.crowd import Crowd, unfinished_frame
from tests.chaos.row import Row
from tests.chaos.server import ADMIN_PORT, HOST, Server
from tests.chaos.trial import Trial, seconds_until

_MIB: Final = 1024 * 1024


def _admin_silence(trial: Trial) -> None:
    server = trial.server(
        prefix=("prlimit", f"--nofile={trial.pick(1024, 256)}"),
        admin_host=HOST,
        admin_port=ADMIN_PORT,
    )
    load = trial.load(server)
    disturbed = trial.settle()
    base = server.descriptors()
    silent = Crowd()
    silent.connect(trial.pick(1200, 300), port=ADMIN_PORT)
    most = server.descriptors()
    trial.holds("health check passes", server.healthy())
    trial.holds("a new client is greeted", server.greets())
    until = time.monotonic() + trial.pick(5, 0)
    while time.monotonic() < until:
        most = max(most, server.descriptors())
        time.sleep(0.1)
    trial.at_most("descriptors for it", most - base, 128)
    silent.close()
    trial.unharmed(load, disturbed)


def _descriptors(trial: Trial) -> None:
    server = trial.server(prefix=("prlimit", "--nofile=256"))
    logged = len(server.lines())
    start = time.monotonic()
    healthy = checks = 0
    hostile = Crowd()
    while time.monotonic() < start + trial.pick(60, 2):
        hostile.connect(400)
        for _ in range(3):
            checks += 1
            healthy += server.healthy()
        hostile.close()
    seconds = time.monotonic() - start
    trial.at_least("health checks that passed", healthy / checks, 1)
    written = len(server.lines()) - logged
    trial.at_most("log lines", written / seconds, 1, "a second")
    trial.at_most("greets again after", seconds_until(server.greets, 30), 1, "s")


def _address_space(trial: Trial) -> None:
    server = trial.server(prefix=("prlimit", f"--as={400 * _MIB}"))
    hostile = Crowd()
    try:
        for _ in range(5):
            hostile.open(100)
            hostile.send(unfinished_frame(_MIB), 2)
    except (OSError, EOFError):
        pass  # what counts is what the server does
    hostile.close()
    served = seconds_until(lambda: _greets_or_left(server), 15)
    status = server.process.poll()
    if status is None:
        trial.at_most("serves again after", served, 5, "s")
    else:
        trial.note("exit status", status)
        trial.holds("left with a status that has it restarted", status != 0)


def _greets_or_left(server: Server) -> bool:
    return server.process.poll() is not None or server.greets(1.0)


def _read_only_root(trial: Trial) -> None:
    with contextlib.ExitStack() as mounts:
        for words in (
            ("mount", "-t", "tmpfs", "tmpfs", str(trial.folder)),
            ("mount", "-o", "remount,ro,bind", "/"),
        ):
            subprocess.run(words, check=True)
        mounts.callback(subprocess.run, ("umount", "-l", str(trial.folder)), check=True)
        mounts.callback(
            subprocess.run, ("mount", "-o", "remount,rw,bind", "/"), check=True
        )
        server = trial.server()
        trial.holds("a new client is greeted", server.greets())
        trial.holds("health check passes", server.healthy())
        trial.holds("nothing on standard error", not server.errors(), server.errors())
        server.kill()


ROWS: Final = (
    Row(
        "admin-silence",
        "1,200 silent connections to the admin port, 1,024 descriptors",
        "the main port and the health check never suffer",
        _admin_silence,
        fast=True,
    ),
    Row(
        "descriptors",
        "400 connections at a time against 256 descriptors, for a minute",
        "at most one log line a second, the health check passes, recovers in 1 s",
        _descriptors,
    ),
    Row(
        "address-space",
        "500 unfinished frames of 1 MiB with an address space of 400 MiB",
        "recovers by itself, or exits with a status that is not zero",
        _address_space,
    ),
    Row(
        "read-only-root",
        "a root file system that cannot be written",
        "serves",
        _read_only_root,
        fast=True,
    ),
)
