"""Faults of the network between good clients and a good server."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from netduet.wire.frames import Kind, serialize
from tests.chaos import crowd, faults
from tests.chaos.crowd import Crowd
from tests.chaos.row import Row
from tests.chaos.trial import Trial, seconds_until

_CLIENTS: Final = "198.18.1.0/24"


def _disconnected(trial: Trial) -> None:
    server = trial.server()
    clients = Crowd()
    clients.open(trial.pick(100, 20))
    with faults.silence(_CLIENTS):
        clients.send(serialize(Kind.ECHO, b"x"), 5)
        time.sleep(trial.pick(5, 1))
    start = time.monotonic()
    answered = _answered(clients, 20)
    trial.at_most("answered after", time.monotonic() - start, 10, "s")
    trial.at_least("connections that live on", answered, len(clients.sockets))
    trial.holds("a new client is greeted", server.greets())


def _answered(clients: Crowd, timeout: float) -> int:
    answered = 0
    for sock in clients.sockets:
        sock.settimeout(timeout)
        with contextlib.suppress(OSError, EOFError):
            answered += crowd.receive_frame(sock) == (Kind.ECHO, b"x")
    return answered


def _loss(percent: float, trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server, "--connections=20", "--pace=0.1")
    trial.settle()
    with faults.loss(percent):
        time.sleep(trial.pick(20, 2))
    time.sleep(trial.pick(15, 3))
    outcomes = Counter(sample.outcome for sample in load.stop())
    answered = outcomes.pop("answered")
    trial.note("requests answered", answered)
    bad = outcomes["lost"] + outcomes["refused"] + outcomes["drained"]
    trial.at_most("connections that the server ended", bad, 0)
    if percent < 20:
        trial.at_most("requests without an answer in 10 s", outcomes["late"], 0)
    else:
        trial.note("requests without an answer in 10 s", outcomes["late"])


def _one_way(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server)
    base = server.descriptors()
    clients = Crowd()
    clients.open(100)
    disturbed = trial.settle()
    with faults.rule("-d", _CLIENTS, "-j", "DROP"):
        clients.send(serialize(Kind.ECHO, b"x"), 5)
        seconds = seconds_until(lambda: server.descriptors() <= base, trial.patience)
    trial.at_most("slots free after", seconds, 15, "s")
    trial.unharmed(load, disturbed)


def _resets(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server)
    base = server.descriptors()
    clients = Crowd()
    clients.open(trial.pick(200, 40))
    disturbed = trial.settle()
    words = ("-d", _CLIENTS, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
    with faults.rule(*words):  # what the server sends is answered by a reset
        clients.send(serialize(Kind.ECHO, b"x"), 5)
        seconds = seconds_until(lambda: server.descriptors() <= base, trial.patience)
    trial.at_most("slots free after", seconds, 2, "s")
    trial.unharmed(load, disturbed)


def _forgotten(trial: Trial) -> None:
    words = ("-m", "conntrack", "--ctstate")
    with (
        faults.rule(*words, "ESTABLISHED,RELATED", "-j", "ACCEPT"),
        faults.rule(*words, "INVALID", "-j", "DROP"),
    ):
        server = trial.server()
        load = trial.load(server)
        clients = Crowd()
        clients.open(trial.pick(100, 20))
        disturbed = trial.settle()
        for _ in range(3):
            faults.flush_conntrack()
            time.sleep(0.2)
        clients.send(serialize(Kind.ECHO, b"x"), 5)
        answered = _answered(clients, 10)
        trial.at_least("connections that live on", answered, len(clients.sockets))
        trial.unharmed(load, disturbed)


# The client, when names or addresses change


def _new_address(trial: Trial) -> None:
    with _hosts(trial.folder) as hosts:
        hosts.write_text("198.18.0.1 moving.test\n")
        server = trial.server()
        idle = server.descriptors()
        watch = trial.client("watch", "moving.test", "--json", log_level="info")
        time.sleep(4)
        server.kill()
        hosts.write_text("198.18.0.9 moving.test\n")
        start = time.monotonic()
        moved = trial.server(host="198.18.0.9")
        seconds = seconds_until(lambda: moved.descriptors() > idle, 60, 0.1)
        trial.at_most("watched at its new address after", seconds, 15, "s")
        trial.note("start of the new server", time.monotonic() - start - seconds, "s")
        watch.send_signal(signal.SIGTERM)
        _, err = watch.communicate(timeout=30)
        trial.holds("no traceback", "Traceback" not in err)


@contextlib.contextmanager
def _hosts(folder: Path) -> Iterator[Path]:
    """Have a file of the trial's own as /etc/hosts, in its mount namespace."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    yield hosts


def _mute_resolver(trial: Trial) -> None:
    resolv = trial.folder / "resolv.conf"
    resolv.write_text("nameserver 198.18.0.53\n")
    subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("198.18.0.53", 53))
    start = time.monotonic()
    client = trial.client("check", "absent.test", resolve_timeout="1s")
    out, err = client.communicate(timeout=90)
    trial.at_most("over after", time.monotonic() - start, 10, "s")
    trial.holds("exit status 1 or 3", client.returncode in {1, 3})
    trial.holds("the name is blamed", "name." in out, out[:80])
    trial.holds("no traceback", "Traceback" not in err)
    mute.close()


ROWS: Final = (
    Row(
        "disconnected",
        "the network is gone for 5 s, with requests on their way",
        "all connections live on and are answered",
        _disconnected,
        fast=True,
    ),
    Row(
        "loss-1",
        "1 % of all packets lost",
        "no request is lost",
        lambda trial: _loss(1, trial),
    ),
    Row(
        "loss-10",
        "10 % of all packets lost",
        "no request is lost",
        lambda trial: _loss(10, trial),
    ),
    Row(
        "loss-30",
        "30 % of all packets lost",
        "the server ends no connection",
        lambda trial: _loss(30, trial),
    ),
    Row(
        "one-way",
        "packets from the server to 100 clients are dropped, with answers on their way",
        "slots free within 15 s, nobody else notices",
        _one_way,
    ),
    Row(
        "resets",
        "a firewall resets 200 connections",
        "slots free within 2 s, nobody else notices",
        _resets,
        fast=True,
    ),
    Row(
        "conntrack-flushed",
        "connection tracking forgets everything, three times",
        "all connections live on",
        _forgotten,
    ),
    Row(
        "new-address",
        "the server moves to another address, under `netduet watch`",
        "watched at its new address within 15 s",
        _new_address,
    ),
    Row(
        "mute-resolver",
        "the name server does not answer `netduet check`",
        "over within its timeouts, the name is blamed",
        _mute_resolver,
        fast=True,
    ),
)
