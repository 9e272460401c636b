"""Outages: rules that apply for a time while a check runs.

They begin when the router has forwarded some datagrams of the check ``stream``, and a
second more has passed; so such a network runs that check alone.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from tests.lab.conditions import DOWN, PORT, UP, Way
from tests.lab.topology import Namespaces, Role

_FAMILIES: Final = ("iptables", "ip6tables")
_COUNTED: Final = f"-p udp --dport {PORT}"
_BEGUN: Final = 10
"""Datagrams that show that the stream is under way, or at least wanted."""

_LATER: Final = 1.0
_READ: Final = 0.05
"""Seconds that a tool takes to read what it is given, or more."""

_LOOK: Final = 0.05
_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Outage:
    """What is dropped, by matches of the router's FORWARD chain, and for how long.

    ``old``: what belongs to the TCP connections that are there when it begins. ``role``
    and ``chain`` are for what is dropped elsewhere.
    """

    matches: tuple[str, ...] = ()
    seconds: float = 1.5
    old: bool = False
    role: Role = "router"
    chain: str = "FORWARD"


@dataclass(slots=True)
class OutageTimes:
    """When the rules came into force and went, between two instants each."""

    start: tuple[float, float] = (0.0, 0.0)
    end: tuple[float, float] = (0.0, 0.0)
    failed: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it lasted, from the middle of one to the middle of the other."""
        return sum(self.end) / 2 - sum(self.start) / 2

    @property
    def uncertainty(self) -> float:
        """How far off that may be."""
        spans = (self.start, self.end)
        return sum(after - before for before, after in spans) / 2


def packets_dropped(*ways: Way, seconds: float = 1.5) -> Outage:
    """Drop all packets in these directions."""
    return Outage(tuple(f"-o {way}" for way in ways), seconds)


def new_connections_dropped(seconds: float = 1.5) -> Outage:
    """Drop SYNs."""
    return Outage((f"-o {UP} -p tcp --syn",), seconds)


def old_connections_dropped(seconds: float = 1.5) -> Outage:
    """Drop the packets of existing TCP connections."""
    return Outage((), seconds, old=True)


def client_output_dropped(seconds: float = 1.5) -> Outage:
    """Drop the output of the client's own host: its kernel reports send errors."""
    return Outage(("",), seconds, role="client", chain="OUTPUT")


BOTH: Final = (UP, DOWN)


@contextlib.contextmanager
def outage_during(
    namespaces: Namespaces, outage: Outage | None
) -> Iterator[OutageTimes]:
    """Have an outage while the block runs, if there is one to have."""
    happened, over = OutageTimes(), threading.Event()
    if outage is None:
        yield happened
        return
    for tool in _FAMILIES:
        _run(namespaces, tool, f"*mangle\n-A FORWARD {_COUNTED}\nCOMMIT\n")
    thread = threading.Thread(target=_cause, args=(namespaces, outage, happened, over))
    thread.start()
    try:
        yield happened
    finally:
        over.set()
        thread.join()


def _cause(
    namespaces: Namespaces, outage: Outage, happened: OutageTimes, over: threading.Event
) -> None:
    try:
        until = time.monotonic() + _TIMEOUT_SECONDS
        while _datagrams(namespaces) < _BEGUN and time.monotonic() < until:
            if over.wait(_LOOK):
                return
        if over.wait(_LATER):
            return
        matches = _ports(namespaces) if outage.old else outage.matches
        with _RuleChange(namespaces, outage, "-I", matches) as change:
            happened.start = change.make()
        until = sum(happened.start) / 2 + outage.seconds
        with _RuleChange(namespaces, outage, "-D", matches) as change:
            over.wait(until - time.monotonic())
            happened.end = change.make()
    except (OSError, subprocess.SubprocessError) as error:
        happened.failed.append(str(error))


class _RuleChange:
    """A change of both families' rules, by tools that wait for their last word only.

    A busy machine takes long to start a process: that is over when it matters.
    """

    def __init__(
        self, namespaces: Namespaces, outage: Outage, how: str, matches: tuple[str, ...]
    ) -> None:
        """Have the tools read all but the last word."""
        rule = f"{how} {outage.chain}"
        lines = "".join(f"{rule} {match} -j DROP\n" for match in matches)
        self._tools = [
            subprocess.Popen(
                namespaces.command(outage.role, f"{tool}-restore", "--noflush"),
                stdin=subprocess.PIPE,
                text=True,
            )
            for tool in _FAMILIES
        ]
        for tool in self._tools:
            assert tool.stdin is not None
            tool.stdin.write(f"*filter\n{lines}")
            tool.stdin.flush()
        time.sleep(_READ)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process."""
        for tool in self._tools:
            tool.kill()
            tool.communicate()

    def make(self) -> tuple[float, float]:
        """Change the rules; return when that began, and when those of IPv4 were done."""
        times = [time.monotonic()]
        for tool in self._tools:
            tool.communicate("COMMIT\n", timeout=10)
            times.append(time.monotonic())
            if tool.returncode:
                raise subprocess.CalledProcessError(tool.returncode, "iptables-restore")
        return times[0], times[1]


def _datagrams(namespaces: Namespaces) -> int:
    """Return how many datagrams the router has met on their way to the server."""
    counted = 0
    for tool in _FAMILIES:
        rules = _output(namespaces, "router", f"{tool}-save", "-c", "-t", "mangle")
        counted += sum(map(int, re.findall(r"^\[(\d+):\d+\] -A", rules, re.MULTILINE)))
    return counted


def _ports(namespaces: Namespaces) -> tuple[str, ...]:
    """Return what matches the client's connections that are there now."""
    sockets = _output(namespaces, "client", "ss", "-tnH", "state", "established")
    ports = re.findall(rf":(\d+)\s+\S+:{PORT}\b", sockets)
    listed = ",".join(dict.fromkeys(ports))
    return (f"-p tcp -m multiport --ports {listed}",)


def _run(namespaces: Namespaces, tool: str, script: str) -> None:
    subprocess.run(
        namespaces.command("router", f"{tool}-restore", "--noflush"),
        input=script,
        text=True,
        timeout=10,
        check=True,
    )


def _output(namespaces: Namespaces, role: str, *words: str) -> str:
    command = namespaces.command("client" if role == "client" else "router", *words)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=10, check=True
    ).stdout
