"""How a server ends under load."""

from __future__ import annotations

import signal
import socket
import statistics
import time
from collections import Counter
from typing import Final

from tests.chaos.row import Row
from tests.chaos.server import HOST, PORT
from tests.chaos.trial import Trial, seconds_until


def _sigterm(trial: Trial) -> None:
    exits, refusals = [], []
    outcomes: Counter[str] = Counter()
    for _ in range(trial.pick(20, 1)):
        server = trial.server()
        load = trial.load(server, "--connections=20", "--pace=0.05", "--new-pace=0.01")
        time.sleep(0.5)
        server.signal(signal.SIGTERM)
        start = time.monotonic()
        refusals.append(seconds_until(_is_refused, 15.0, 0.005))
        server.process.wait(30)
        exits.append(time.monotonic() - start)
        outcomes.update(sample.outcome for sample in load.stop())
        server.kill()
    trial.at_most("refuses connections after", 1000 * max(refusals), 100, "ms")
    trial.note("gone after (median)", statistics.median(exits), "s")
    trial.at_most("gone after", max(exits), 10, "s")
    trial.note("requests answered", outcomes["answered"])
    trial.note("connections told of the drain", outcomes["drained"])
    lost = outcomes["lost"] + outcomes["late"]
    trial.note("requests that were refused", outcomes["refused"])
    trial.at_most("requests without an answer or a notice", lost, 0)


def _is_refused() -> bool:
    try:
        with socket.create_connection((HOST, PORT), 0.1, ("198.18.5.1", 0)):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _rolling(trial: Trial) -> None:
    hosts = (HOST, "198.18.0.2")
    servers = [trial.server(host=host) for host in hosts]
    load = trial.load(servers[0], hosts[1], "--connections=20", "--pace=0.1")
    count = trial.pick(100, 2)
    for turn in range(count):
        servers[turn % 2].signal(signal.SIGTERM)
        servers[turn % 2].process.wait(60)
        servers[turn % 2] = trial.server(host=hosts[turn % 2])
    outcomes = Counter(sample.outcome for sample in load.stop())
    trial.note("restarts", count)
    trial.note("requests answered", outcomes["answered"])
    trial.note("connections told of the drain", outcomes["drained"])
    trial.note("connections refused, and served by the other", outcomes["refused"])
    lost = outcomes["lost"] + outcomes["late"]
    trial.at_most("requests without an answer or a notice", lost, 0)


def _second_sigterm(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server, "--connections=20", "--pace=0.05")
    server.signal(signal.SIGTERM)
    time.sleep(0.05)
    server.signal(signal.SIGTERM)
    seconds = server.seconds_to_exit(30)
    trial.at_most("gone after", 1000 * seconds, 200, "ms")
    trial.holds("exit status 0", server.process.poll() == 0)
    load.stop()


def _killed(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server, "--connections=10")
    time.sleep(0.5)
    server.signal(signal.SIGKILL)
    server.process.wait()
    began = time.monotonic()
    trial.server()
    trial.note("the new process answers after", time.monotonic() - began, "s")
    time.sleep(1.0)
    samples = load.stop()
    served = [entry.at for entry in samples if entry.latency and entry.at > began]
    late = [entry for entry in samples if entry.outcome == "late"]
    trial.at_least("clients served again by the new process", len(served), 10)
    trial.at_most("clients that hung", len(late), 0)


ROWS: Final = (
    Row(
        "sigterm",
        "SIGTERM under load, 20 times",
        "refuses within 100 ms, gone within 10 s, no request without an answer or a notice",
        _sigterm,
        timeout=600.0,
    ),
    Row(
        "rolling-restarts",
        "two servers restarted by turns under load, 100 times",
        "no request without an answer or a notice",
        _rolling,
        timeout=1200.0,
    ),
    Row(
        "second-sigterm",
        "a second SIGTERM at once, under load",
        "gone within 200 ms",
        _second_sigterm,
    ),
    Row(
        "kill",
        "SIGKILL under load, and a new process in its place",
        "clients learn of it at once, and are served by the new process",
        _killed,
        fast=True,
    ),
)
