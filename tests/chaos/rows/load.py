"""Much of what is allowed."""

from __future__ import annotations

import selectors
import socket
import time
from typing import Final

from netduet.wire.frames import Kind, serialize
from tests.chaos.crowd import Crowd, question
from tests.chaos.row import Row
from tests.chaos.rows.clients import MEMORY_MIB
from tests.chaos.trial import Trial, seconds_until

_KIB: Final = 1024


def _held(trial: Trial) -> None:
    count = trial.pick(9_900, 500)
    server = trial.server(prefix=("prlimit", "--nofile=20000"))
    load = trial.load(server)
    base, before = server.descriptors(), server.rss()
    disturbed = trial.settle()
    clients = Crowd()
    start = time.monotonic()
    clients.open(count)
    trial.note("opened in", time.monotonic() - start, "s")
    held_since = time.monotonic()
    time.sleep(trial.pick(4, 1))
    growth = server.rss() - before
    trial.at_most("memory for each", growth * _KIB / count, 6, "KiB")
    trial.at_least("connections held", server.descriptors() - base, 0.99 * count)
    trial.holds("a new client is greeted", server.greets())
    trial.holds("health check passes", server.healthy())
    start = time.monotonic()
    clients.close()
    freed = seconds_until(lambda: server.descriptors() <= base, trial.patience)
    trial.at_most("all slots free after", freed, 15, "s")
    trial.unharmed(load, disturbed, held_since)


def _rate(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server)
    disturbed = trial.settle()
    base, before = server.descriptors(), 0.0
    seconds, pace = trial.pick(60, 2), 500
    start, done = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        clients = Crowd()
        clients.open(20)
        clients.send(serialize(Kind.ECHO, b"x" * 100), 5)
        clients.close()
        done += 20
        before = before or server.rss()  # with its pools filled
        time.sleep(max(0.0, start + done / pace - time.monotonic()))
    trial.note("connections", done / (time.monotonic() - start), "a second")
    freed = seconds_until(lambda: server.descriptors() <= base, trial.patience)
    trial.at_most("all slots free after", freed, 15, "s")
    trial.at_most("memory more than at the start", server.rss() - before, 16, "MiB")
    trial.unharmed(load, disturbed)


def _slow(trial: Trial) -> None:
    server = trial.server()
    base = server.descriptors()
    load = trial.load(server)
    disturbed = trial.settle()
    count = trial.pick(500, 50)
    readers, writers = Crowd("198.18.1"), Crowd("198.18.2")
    readers.open(count, receive_buffer=4096)
    writers.open(count)
    server.forget_peak()
    readers.send(question(Kind.SOURCE, size=_KIB * _KIB, seed=7), 5)
    frame = serialize(Kind.ECHO, bytes(_KIB))
    until, at = time.monotonic() + trial.pick(20, 2), 0
    while time.monotonic() < until:
        _trickle(readers, writers, frame[at : at + 16])
        at = (at + 16) % len(frame)
        time.sleep(0.5)
    trial.at_most("memory of the server", server.peak_rss(), MEMORY_MIB, "MiB")
    trial.holds("a new client is greeted", server.greets())
    for hostile in (readers, writers):
        hostile.close()
    freed = seconds_until(lambda: server.descriptors() <= base + 2, trial.patience)
    trial.at_most("all slots free after", freed, 15, "s")
    trial.unharmed(load, disturbed)


def _trickle(readers: Crowd, writers: Crowd, piece: bytes) -> None:
    """Read and write a little on each connection that still lives."""
    with selectors.DefaultSelector() as selector:
        for sock in readers.sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
        for key, _ in selector.select(0):
            _try_read(key.fileobj)
    for sock in writers.sockets:
        sock.setblocking(False)
        try:
            sock.send(piece)
        except OSError:
            continue


def _try_read(sock: object) -> None:
    assert isinstance(sock, socket.socket)
    try:
        sock.recv(512)
    except OSError:
        return


ROWS: Final = (
    Row(
        "held",
        "9,900 idle connections",
        "6 KiB each, nobody else notices",
        _held,
        fast=True,
    ),
    Row(
        "rate",
        "500 connections a second, for a minute",
        "memory and descriptors back where they were",
        _rate,
    ),
    Row(
        "slow-clients",
        "500 clients that read 1 KiB a second, 500 that write 32 bytes a second",
        "memory bounded, nobody else notices",
        _slow,
        fast=True,
    ),
)
