"""Hostile clients: memory, CPU, and what others notice."""

from __future__ import annotations

import socket
import time
from typing import Final

from netduet.wire.datagram import OPENING_SIZE
from netduet.wire.frames import MAGIC, Kind, serialize
from tests.chaos import crowd, faults
from tests.chaos.crowd import Crowd, hostile_json, opening, question, unfinished_frame
from tests.chaos.row import Row
from tests.chaos.server import HOST, PORT, Server
from tests.chaos.trial import Trial, seconds_until

_KIB: Final = 1024
_MIB: Final = 1024 * 1024

MEMORY_MIB: Final = 256
"""What a server may take in all: half of a container of 512 MiB."""

_FREE_SECONDS: Final = 15.0
"""From the end of a client, told or not, to the end of what the server keeps for it."""


def _unfinished_frames(trial: Trial) -> None:
    server = trial.server()
    base = server.descriptors()
    load = trial.load(server)
    disturbed = trial.settle()
    hostile = Crowd()
    hostile.open(trial.pick(482, 60))
    server.forget_peak()
    complete = hostile.send(unfinished_frame(_MIB), trial.pick(8, 2))
    time.sleep(trial.pick(5, 1))  # until the server has read what the kernel has
    trial.note("frames sent but for a byte", complete)
    trial.at_most("memory of the server", server.peak_rss(), MEMORY_MIB, "MiB")
    for code, count in sorted(hostile.errors().items()):
        trial.note(f"clients that were sent {code}", count)
    hostile.close()
    trial.unharmed(load, disturbed)
    _freed(trial, server, base)


def _freed(trial: Trial, server: Server, base: int) -> None:
    seconds = seconds_until(lambda: server.descriptors() <= base, trial.patience)
    trial.at_most("all slots free after", seconds, _FREE_SECONDS, "s")


def _non_readers(trial: Trial) -> None:
    settings = {"write_timeout": "1s"} if trial.fast else {}
    server = trial.server(**settings)
    base = server.descriptors()
    load = trial.load(server)
    disturbed = trial.settle()
    count = trial.pick(1000, 100)
    before = server.rss()
    hostile = Crowd()
    hostile.open(count, receive_buffer=4096)
    server.forget_peak()
    start = time.monotonic()
    hostile.send(question(Kind.SOURCE, size=_MIB, seed=7), 10)
    held = base + 1 + count // 10  # the load, and those that are not yet gone
    seconds = seconds_until(lambda: server.descriptors() <= held, trial.patience)
    growth = server.peak_rss() - before
    trial.at_most("memory for each", growth * _KIB / count, 256, "KiB")
    trial.at_most("memory of the server", server.peak_rss(), MEMORY_MIB, "MiB")
    trial.note("asked within", time.monotonic() - start - seconds, "s")
    trial.at_most("9 of 10 aborted after", seconds, 12, "s")
    hostile.close()
    trial.unharmed(load, disturbed)
    _freed(trial, server, base)


def _unread_echoes(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server)
    disturbed = trial.settle()
    hostile = Crowd()
    server.forget_peak()
    for _ in range(trial.pick(6, 2)):
        hostile.open(trial.pick(100, 50), receive_buffer=4096)
        hostile.send(unfinished_frame(_MIB), 2)
    seconds_until(lambda: not _is_busy(server), trial.patience)
    trial.at_most("memory of the server", server.peak_rss(), MEMORY_MIB, "MiB")
    for code, count in sorted(hostile.errors().items()):
        trial.note(f"clients that were sent {code}", count)
    hostile.close()
    trial.unharmed(load, disturbed)


def _holds(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server)
    disturbed = trial.settle()
    count = trial.pick(100, 15)
    before = server.rss()
    hostile = Crowd()
    hostile.open(count)
    server.forget_peak()
    hold = question(Kind.HOLD, seconds=600, speak=True)
    hostile.send(hold * 999, trial.pick(20, 5))
    seconds_until(lambda: not _is_busy(server), trial.patience)
    growth = server.peak_rss() - before
    trial.at_most("memory more than before", growth, 64, "MiB")
    for code, number in sorted(hostile.errors().items()):
        trial.note(f"clients that were sent {code}", number)
    hostile.close()
    trial.unharmed(load, disturbed)


def _is_busy(server: Server) -> bool:
    """Whether it still works on what it was sent, or waits for a CPU to do so."""
    start = server.cpu_seconds() + server.cpu_wait_seconds()
    time.sleep(0.5)
    return server.cpu_seconds() + server.cpu_wait_seconds() - start > 0.15


def _json_datagrams(trial: Trial) -> None:
    server = trial.server()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("198.18.1.1", 0))
    sock.settimeout(10)
    good = opening().ljust(OPENING_SIZE, b"\0")
    count = trial.pick(2000, 400)
    start = server.cpu_seconds()
    for _ in range(count):
        sock.sendto(good, (HOST, PORT))
        sock.recv(65536)
    good_seconds = (server.cpu_seconds() - start) / count
    hostile = MAGIC + serialize(Kind.OPEN, hostile_json(60 * _KIB))
    load = trial.load(server)
    disturbed = trial.settle()
    idle = server.cpu_seconds()
    time.sleep(1.0)
    load_seconds = server.cpu_seconds() - idle
    start, began, number = server.cpu_seconds(), time.monotonic(), trial.pick(400, 40)
    for index in range(number):
        sock.sendto(hostile, (HOST, PORT))
        time.sleep(max(0.0, began + (index + 1) / 40 - time.monotonic()))
    taken = time.monotonic() - began
    cost = (server.cpu_seconds() - start - load_seconds * taken) / number
    trial.note("CPU of a good question", good_seconds * 1e6, "µs")
    trial.note("CPU of a hostile datagram", cost * 1e6, "µs")
    ratio = cost / len(hostile) / (good_seconds / len(good))
    trial.at_most("CPU per byte, of a good question's", ratio, 3, "times")
    trial.unharmed(load, disturbed)


def _json_frames(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server)
    disturbed = trial.settle()
    idle = server.cpu_seconds()
    time.sleep(1.0)
    load_seconds = server.cpu_seconds() - idle
    good = Crowd("198.18.2")
    asked = question(Kind.LEDGER, conn_id="c" * 32)
    count = trial.pick(3000, 600)
    start, began = server.cpu_seconds(), time.monotonic()
    good.open(count // 300)
    for _ in range(300):
        for connection in good.sockets:
            connection.sendall(asked)
            crowd.receive_frame(connection)
    spent = server.cpu_seconds() - start - load_seconds * (time.monotonic() - began)
    good_seconds = spent / count
    good.close()
    hostile = serialize(Kind.LEDGER, hostile_json(58 * _KIB))
    number = trial.pick(200, 20)
    start, began = server.cpu_seconds(), time.monotonic()
    for _ in range(number):
        sender = Crowd()
        sender.open(1)
        sender.sockets[0].sendall(hostile)
        crowd.receive_frame(sender.sockets[0])
        sender.close()
        time.sleep(0.02)
    spent = server.cpu_seconds() - start - load_seconds * (time.monotonic() - began)
    trial.note("CPU of a good question", good_seconds * 1e6, "µs")
    trial.note("CPU of a hostile connection", 1e6 * spent / number, "µs")
    ratio = spent / number / len(hostile) / (good_seconds / len(asked))
    trial.at_most("CPU per byte, of a good question's", ratio, 3, "times")
    trial.unharmed(load, disturbed)


def _cut_off(trial: Trial) -> None:
    server = trial.server()
    load = trial.load(server)
    quiet = Crowd("198.18.2")
    quiet.open(50)
    base = server.descriptors()
    idle, asking = Crowd("198.18.1"), Crowd("198.18.3")
    idle.open(75)
    asking.open(75, receive_buffer=4096)
    disturbed = trial.settle()
    with faults.rule("-d", "198.18.3.0/24", "-j", "DROP"):
        asking.send(question(Kind.SOURCE, size=_MIB, seed=7), 5)
        with faults.silence("198.18.3.0/24"), faults.silence("198.18.1.0/24"):
            start = time.monotonic()
            half = seconds_until(
                lambda: server.descriptors() <= base + 75, trial.patience
            )
            whole = (
                seconds_until(lambda: server.descriptors() <= base, trial.patience)
                + half
            )
    trial.at_most("the first 75 slots free after", half, _FREE_SECONDS, "s")
    trial.at_most("all 150 slots free after", whole, _FREE_SECONDS, "s")
    time.sleep(max(0.0, start + 20 - time.monotonic()))
    alive = [sock for sock in quiet.sockets if _echoes(sock)]
    trial.at_least("silent but living clients, of 50, still served", len(alive), 50)
    trial.unharmed(load, disturbed)


def _echoes(sock: socket.socket) -> bool:
    try:
        sock.sendall(serialize(Kind.ECHO, b"x"))
        kind, payload = crowd.receive_frame(sock)
    except (OSError, EOFError):
        return False
    return (kind, payload) == (Kind.ECHO, b"x")


def _stopped_clients(trial: Trial) -> None:
    settings = {"write_timeout": "1s"} if trial.fast else {}
    server = trial.server(**settings)
    load = trial.load(server)
    base = server.descriptors()
    disturbed = trial.settle()
    stopped = Crowd()
    stopped.open(trial.pick(200, 40), receive_buffer=4096)
    # Nobody reads from here on, as if the process were stopped.
    stopped.send(question(Kind.SOURCE, size=256 * _KIB, seed=7) * 8, 5)
    seconds = seconds_until(lambda: server.descriptors() <= base, trial.patience)
    trial.at_most("slots free after", seconds, _FREE_SECONDS, "s")
    trial.unharmed(load, disturbed)


NOTICE: Final = "nobody else notices"

ROWS: Final = (
    Row(
        "unfinished-frames",
        "482 clients each send all but the last byte of a frame of 1 MiB",
        "bounded over all connections, refused with a reason, nobody else notices",
        _unfinished_frames,
    ),
    Row(
        "non-readers",
        "1,000 clients ask for 1 MiB each and do not read",
        "256 KiB each and bounded in all, aborted within 12 s",
        _non_readers,
    ),
    Row(
        "unread-echoes",
        "waves of 100 clients send frames of 1 MiB to echo, and read nothing",
        "bounded over all connections, nobody else notices",
        _unread_echoes,
    ),
    Row(
        "holds",
        "100 clients ask for 999 HOLDs each",
        "bounded in all (1.4 KB for each HOLD would be 140 MiB), nobody else notices",
        _holds,
    ),
    Row(
        "json-datagrams",
        "40 datagrams a second of 60 KiB JSON with 7,000 unknown fields, without a cookie",
        "CPU per byte at most 3 times that of a good question, nobody else notices",
        _json_datagrams,
    ),
    Row(
        "json-frames",
        "58 KiB of such JSON in a frame, 200 times",
        "CPU per byte at most 3 times that of a good question, nobody else notices",
        _json_frames,
    ),
    Row(
        "cut-off-clients",
        "150 clients whose packets are dropped from a moment on",
        "slots free within 15 s; clients that are silent, but alive, stay",
        _cut_off,
    ),
    Row(
        "stopped-clients",
        "200 clients that stop while answers wait for them",
        "slots free within 15 s, nobody else notices",
        _stopped_clients,
        fast=True,
    ),
)
