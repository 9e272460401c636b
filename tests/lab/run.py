"""Inside the lab's container: makes networks, runs netduet, judges its verdicts.

Prints one JSON line a network, in the order in which they are done. Arguments:
names, or nothing for all of NETWORKS; ``--representative``; ``--at-once N`` side by
side; ``--load N`` processes that burn CPU meanwhile; ``--repeat N`` times each;
``--profile P`` of `netduet check` instead of a network's own.
"""

from __future__ import annotations

import argparse
import compileall
import concurrent.futures
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

import netduet
from tests.lab import outages
from tests.lab.conditions import Condition, through_proxy
from tests.lab.expectation import VERDICT, Report, cells, complaints
from tests.lab.middleboxes import Middlebox
from tests.lab.nameserver import NameServer
from tests.lab.namespace_loop import loop_in_namespace
from tests.lab.networks import ALL, NETWORKS, Network
from tests.lab.topology import (
    OTHERS4,
    ROUTER4,
    SECOND_RESOLVER4,
    SERVER4,
    SERVER6,
    Namespaces,
    topology,
)
from tests.lab.tunrouter import DEVICE, READY, arguments

Process = subprocess.Popen[bytes]

MAX_PARALLEL: Final = 3
"""Networks side by side: most of a check is waiting, and two cores are enough."""

_EXTRA_SECONDS: Final = 240.0
_TIMEOUT_SECONDS: Final = 20.0


def parse_words(words: list[str]) -> argparse.Namespace:
    """Return the options and the names of networks that a command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--representative", action="store_true")
    parser.add_argument("--at-once", type=int, default=MAX_PARALLEL)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--profile")
    parser.add_argument("names", nargs="*")
    return parser.parse_args(words)


def main() -> None:
    """Run the networks that are asked for."""
    asked = parse_words(sys.argv[1:])
    # An engine mounts it read-only for all that are not privileged.
    subprocess.run(["mount", "-o", "remount,rw", "/proc/sys"], check=True)
    # Once, or each client and server would compile the project for itself.
    compileall.compile_dir(Path(netduet.__file__).parent, quiet=2)
    networks = asked.repeat * [ALL[name] for name in asked.names] or [
        network
        for network in NETWORKS
        if network.representative or not asked.representative
    ]
    if asked.profile:
        profile = ("--profile", asked.profile)
        networks = [
            replace(
                declared,
                flags=(*declared.flags, *profile),
                seconds=declared.seconds + _EXTRA_SECONDS,
            )
            for declared in networks
        ]
    # The slow ones first, so that none is left alone at the end.
    networks.sort(key=lambda declared: bool(declared.starved), reverse=True)
    with contextlib.ExitStack() as stack:
        for _ in range(asked.load):
            burning = [sys.executable, "-c", "while True: pass"]
            stack.enter_context(_process(burning))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(asked.at_once))
        running = [
            pool.submit(examine, declared, n) for n, declared in enumerate(networks)
        ]
        for done in concurrent.futures.as_completed(running):
            print(json.dumps(done.result()), flush=True)


def examine(network: Network, number: int) -> dict[str, Any]:
    """Make a network, check it, remove it; return what came of it. Never raises."""
    start = time.monotonic()
    result: dict[str, Any] = {"network": network.name, "cells": {}, "wrong": {}}
    result["kernel"] = platform.release()
    try:
        with contextlib.ExitStack() as stack:
            namespaces = stack.enter_context(
                topology(number, _conditions(network), network.resolv)
            )
            result["made_seconds"] = round(time.monotonic() - start, 3)
            start_services(stack, network, namespaces)
            happened = stack.enter_context(
                outages.outage_during(namespaces, network.outage)
            )
            report, stderr = check(network, namespaces)
            if happened.failed:
                raise RuntimeError(f"the outage: {happened.failed}")  # noqa: TRY301 - told below
        result["report"] = report
        result["said"] = stderr[-4000:]
        if not report:
            result["wrong"] = {VERDICT: f"netduet printed no report: {stderr[-1000:]}"}
        else:
            result["cells"] = cells(report)
            result["wrong"] = complaints(network.expect, report)
            for place_in_line, (target, expect) in enumerate(network.also, 1):
                about = complaints(expect, report, place_in_line)
                wrong = {check: f"{target}: {what}" for check, what in about.items()}
                result["wrong"] = wrong | result["wrong"]
    except Exception:  # noqa: BLE001 - told with the network that it befell
        result["wrong"] = {VERDICT: f"the lab itself failed: {traceback.format_exc()}"}
    result["seconds"] = round(time.monotonic() - start, 3)
    return result


def _conditions(network: Network) -> tuple[Condition, ...]:
    if network.proxy is None:
        return network.conditions
    return (*network.conditions, through_proxy())


def start_services(
    stack: contextlib.ExitStack, network: Network, namespaces: Namespaces
) -> None:
    """Start the services of a network; return when they listen."""
    servers = (SERVER4, *OTHERS4)[: network.servers]

    async def in_router() -> None:
        await NameServer.open(network.names, ROUTER4)
        if network.further_names is not None:
            await NameServer.open(network.further_names, SECOND_RESOLVER4)
        if network.proxy is not None:
            await Middlebox(network.proxy, (*servers, SERVER6)).open()

    stack.enter_context(loop_in_namespace(namespaces.path("router"), in_router))
    if network.impairments is not None:
        stack.enter_context(_tun_router(namespaces, arguments(*network.impairments)))
    if callable(network.server):
        foreign_server = Middlebox(network.server, ())
        stack.enter_context(
            loop_in_namespace(namespaces.path("server"), foreign_server.open)
        )
    elif network.server is not None:
        rhythm = network.rhythm if network.starved == "server" else None
        _serve(stack, namespaces, network, servers, rhythm)
    if network.background:
        busy = [sys.executable, "-m", "netduet", "check", "--checks", "load"]
        words = [*busy, "--profile", "soak", SERVER4]
        stack.enter_context(_process(namespaces.unprivileged_command("client", *words)))


def _serve(
    stack: contextlib.ExitStack,
    namespaces: Namespaces,
    network: Network,
    addresses: tuple[str, ...],
    rhythm: tuple[float, float] | None,
) -> None:
    """Start the servers; one alone listens on every address."""
    several = len(addresses) > 1
    started = []
    flags = network.server if isinstance(network.server, tuple) else ()
    limit = ["prlimit", f"--nofile={network.descriptors}"] * bool(network.descriptors)
    for number, address in enumerate(addresses, 1):
        own = [] if "--instance" in flags else ["--instance", f"lab-{number}"]
        own += ["--host", address] * several
        words = [*limit, sys.executable, "-m", "netduet", "serve", *own, *flags]
        started.append(
            stack.enter_context(
                _process(namespaces.unprivileged_command("server", *words))
            )
        )
    for server in started:
        _wait_for(server, b'"server.ready"')
        if rhythm is not None:
            stack.enter_context(_starved(server, *rhythm))


def check(network: Network, namespaces: Namespaces) -> tuple[Report, str]:
    """Run the client to its end; return its report ({} without one), and stderr."""
    netduet = [sys.executable, "-m", "netduet", "check", "--json"]
    command = [*netduet, "--expect-service", "netduet", *network.flags]
    further = [target for target, _ in network.also]
    line = namespaces.unprivileged_command("client", *command, network.target, *further)
    with (
        _process(line, stderr=subprocess.PIPE) as client,
        contextlib.ExitStack() as stack,
    ):
        if network.starved == "client":
            stack.enter_context(_starved(client, *network.rhythm))
        try:
            out, err = client.communicate(timeout=network.seconds)
        except subprocess.TimeoutExpired:
            return {}, f"no verdict in {network.seconds:g} s"
    report: Report = json.loads(out) if out else {}
    return report, err.decode(errors="replace").strip()


@contextlib.contextmanager
def _process(command: list[str], stderr: int | None = None) -> Iterator[Process]:
    """Run a process, with no more than it needs to know; end it at the end."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stderr is None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(_TIMEOUT_SECONDS)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _wait_for(process: Process, word: bytes) -> None:
    """Read what a process prints until the word is there; afterwards, drop the rest."""
    assert process.stdout is not None
    timer = threading.Timer(_TIMEOUT_SECONDS, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            if word in line:
                break
        else:
            raise RuntimeError(
                f"{process.args!r} ended, or took over {_TIMEOUT_SECONDS} s"
            )
    finally:
        timer.cancel()
    threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()


def _drain(pipe: IO[bytes]) -> None:
    """Keep a pipe from filling up."""
    with contextlib.suppress(ValueError, OSError):  # closed under its reader
        while pipe.read1(65536):  # type: ignore[attr-defined]  # a buffered reader has it
            pass


@contextlib.contextmanager
def _tun_router(namespaces: Namespaces, words: list[str]) -> Iterator[None]:
    """Lead all that is forwarded through a router in user space."""
    name = namespaces.namespace("router")
    lines = [
        f"tuntap add mode tun name {DEVICE}",
        f"link set {DEVICE} up txqueuelen 5000",
    ]
    for family in ("-4", "-6"):
        lines += [f"{family} route add default dev {DEVICE} table 100"]
        lines += [
            f"{family} rule add iif {device} lookup 100"
            for device in ("to_client", "to_server")
        ]
    command = [sys.executable, "-m", "tests.lab.tunrouter", *words]
    with _process(namespaces.command("router", *command)) as process:
        for line in lines:
            subprocess.run(
                ["ip", "-n", name, *line.split()], check=True, timeout=_TIMEOUT_SECONDS
            )
        _wait_for(process, READY.encode())
        yield


@contextlib.contextmanager
def _starved(process: Process, runs: float, stops: float) -> Iterator[None]:
    """Stop and continue a process periodically, as a CPU limit does."""
    over = threading.Event()

    def cycle() -> None:
        while not over.wait(runs):
            process.send_signal(signal.SIGSTOP)
            over.wait(stops)
            process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=cycle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
