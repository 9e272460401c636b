"""``netduet watch`` against real servers that stop and start."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from netduet.client.checks.base import CheckContext
from netduet.client.net.dial import Address, Resolution
from netduet.client.net.timeouts import Timeouts
from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.events import ProbeEvent
from netduet.client.outages.udp_probe import UdpProbe
from netduet.client.outages.udp_scheduler import UdpScheduler
from netduet.client.report.text import Line, plain
from netduet.client.results.instance import Instance
from netduet.client.results.target import parse_target
from netduet.client.watch.discovery import ResolvedTarget, TargetSet
from netduet.client.watch.metrics import WatchMetrics
from netduet.client.watch.monitor import Intervals, Monitor
from netduet.client.watch.notifier import Notifier
from netduet.client.watch.outage_tracker import QUIET_SECONDS
from netduet.client.watch.peer_identity import CONFIRM_SECONDS
from netduet.client.watch.scheduled_checks import QUESTIONS, check_load
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.proxies import forward_all, running_proxy
from tests.integration.servers import (
    TIMEOUT_SECONDS,
    NetduetCommand,
    RunningServer,
    ServerProcess,
    wait_until,
)
from tests.integration.test_admin import Got, free_port, page
from tests.unit.client.fake_server import (
    AcceptedConnection,
    FakeServer,
    welcome_and_wait,
)

TIMEOUTS = Timeouts(resolve=3.0, connect=3.0, answer=3.0)


@dataclass
class WatchProcess:
    """``netduet watch`` as a process; its lines are read by threads."""

    process: subprocess.Popen[str]
    admin: int = 0
    lines: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        """Begin to read."""
        self.threads = [
            threading.Thread(target=self._read, args=args, daemon=True)
            for args in (
                (self.process.stdout, self.lines),
                (self.process.stderr, self.logged),
            )
        ]
        for thread in self.threads:
            thread.start()

    def wait(self, words: str, *, logged: bool = False) -> str:
        """Return the first line that matches, once it is there."""
        lines = self.logged if logged else self.lines

        def found() -> str | None:
            return next((line for line in lines if re.search(words, line)), None)

        with self.changed:
            assert self.changed.wait_for(
                lambda: found() is not None, 3 * TIMEOUT_SECONDS
            ), f"no {words!r} in {self.lines} {self.logged}"
            return found() or ""

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Send a signal; return all output after an exit with 0."""
        self.process.send_signal(number)
        assert self.process.wait(TIMEOUT_SECONDS) == 0, self.logged
        for thread in self.threads:
            thread.join(TIMEOUT_SECONDS)
        return "".join(self.lines)

    def get(self, path: str) -> Got:
        """Ask the admin port for a page."""
        return page(self.admin, path)

    def _read(self, stream: Iterator[str], lines: list[str]) -> None:
        for line in stream:
            with self.changed:
                lines.append(line)
                self.changed.notify_all()


@pytest.fixture
def watch(netduet: NetduetCommand) -> Callable[..., WatchProcess]:
    """Start watches."""

    def start(*words: str, admin: int = 0) -> WatchProcess:
        port = ("--admin-port", str(admin)) if admin else ()
        return WatchProcess(netduet.start("watch", *words, *port), admin)

    return start


def test_outage_is_reported_from_start_to_end(
    watch: Callable[..., WatchProcess], serve_command: ServeCommand
) -> None:
    """A server is killed and restarted: both are reported and counted."""
    port = free_port()
    server = serve_command(port=port)
    admin = free_port()
    watching = watch(f"127.0.0.1:{port}", admin=admin)
    watching.wait(r"\+ +now watching ")
    samples = _until_counted(watching)
    assert samples["netduet_peer_up"] == 1
    server.process.send_signal(signal.SIGKILL)
    started = time.monotonic()
    watching.wait(r"OUT .*, #1\)")
    assert _samples(watching)["netduet_peer_up"] == 0
    server.finish()
    serve_command(port=port)
    line = watching.wait(r"BACK .*\(#1\)")
    assert "stream.restarted; the server's end" in line
    match = re.search(r"out for ([\d.]+) s", line)
    assert match is not None
    assert 0 < float(match[1]) <= time.monotonic() - started
    samples = _samples(watching)
    assert samples["netduet_peer_up"] == 1
    assert samples["netduet_outages_total"] == 1
    assert samples["netduet_peer_datagrams_lost_total"] > 0
    assert watching.get("/livez").status == watching.get("/readyz").status == 200
    assert json.loads(watching.get("/version").body)["service"] == "netduet-client"
    assert watching.get("/").status == 404
    summary = watching.stop()
    assert "Watched 1 peer for" in summary
    assert re.search(r"availability \d+\.\d+ %, 1 outage of", summary)
    assert "1 × stream.restarted, at the server's end:" in summary
    assert watching.logged == []


def test_instance_of_a_peer_and_its_successor_are_reported(
    watch: Callable[..., WatchProcess], serve_command: ServeCommand
) -> None:
    """Lines and metrics have instance, node and zone; outages keep the old one."""
    port = free_port()
    server = serve_command(port=port, instance="web-1", node="n1", zone="z")
    watching = watch(
        *("--node", "n0", "--zone", "z", f"127.0.0.1:{port}"), admin=free_port()
    )
    watching.wait(r"WATCH .* \(up to 8 addresses per name\), from n0 in z")
    watching.wait(rf"IS    127.0.0.1:{port} is instance web-1 on n1 in z")
    [labels] = _labels(watching, "netduet_peer_info")
    assert labels == {
        "target": f"127.0.0.1:{port}",
        "peer": f"127.0.0.1:{port}",
        "instance_name": "web-1",
        "node": "n1",
        "zone": "z",
    }
    [labels] = _labels(watching, "netduet_build_info")
    assert (labels["node"], labels["zone"]) == ("n0", "z")
    _until_counted(watching)
    server.process.send_signal(signal.SIGKILL)
    watching.wait(rf"OUT   127.0.0.1:{port} \(web-1 on n1 in z\): ")
    server.finish()
    serve_command(port=port, instance="web-2", node="n2")
    # Not proven, where this machine itself did not run for much of it.
    watching.wait(rf"(BACK|\?) +127.0.0.1:{port} \(web-1 on n1 in z\): .*\(#1\)")
    watching.wait(rf"IS    127.0.0.1:{port} is instance web-2 on n2$")
    [labels] = _labels(watching, "netduet_peer_info")
    assert (labels["instance_name"], labels["node"], labels["zone"]) == (
        *("web-2", "n2"),
        "",
    )
    summary = watching.stop()
    words = [
        line[21:].split()[0] for line in summary.splitlines() if line[19:20] == "Z"
    ]
    ends = {"BACK", "?"}
    assert [text for text in words if text not in ends] == [
        "WATCH",
        "+",
        "IS",
        "OUT",
        "IS",
    ]


def _labels(watching: WatchProcess, name: str) -> list[dict[str, str]]:
    """Return the labels of each value of a metric, which are 1."""
    families = text_string_to_metric_families(watching.get("/metrics").body)
    samples = [
        sample
        for family in families
        for sample in family.samples
        if sample.name == name
    ]
    assert {sample.value for sample in samples} == {1}
    return [sample.labels for sample in samples]


def _samples(
    watching: WatchProcess, combine: Callable[[list[float]], float] = sum
) -> dict[str, float]:
    """Return the metrics by their names alone, those of several labels combined."""
    found: dict[str, list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(watching.get("/metrics").body):
        if family.name.startswith("netduet_"):
            assert family.documentation.endswith(".")
            for sample in family.samples:
                found[sample.name].append(sample.value)
    return {name: combine(values) for name, values in found.items()}


def _until_counted(watching: WatchProcess) -> dict[str, float]:
    """Return the metrics when streams and connections of every peer work."""
    end = time.monotonic() + TIMEOUT_SECONDS
    needed = (
        "netduet_peer_datagrams_total",
        "netduet_peer_connections_total",
        "netduet_peer_round_trip_seconds_count",
    )
    while time.monotonic() < end:
        samples = _samples(watching, min)
        if all(samples.get(name, 0) > 5 or "connections" in name for name in needed):
            return _samples(watching)
    raise AssertionError(samples)


def test_json_logs_have_the_same_events(
    watch: Callable[..., WatchProcess], serve_command: ServeCommand
) -> None:
    """With --json, stderr has everything as JSON lines, and stdout is empty."""
    port = free_port()
    server = serve_command(port=port, instance="web-1", node="n1")
    words = (f"127.0.0.1:{port}", "--json", "--node", "n0")
    watching = watch(*words, admin=free_port())
    watching.wait("peer.added", logged=True)
    known = json.loads(watching.wait("peer.identified", logged=True))
    assert known["netduet.peer.instance"] == "web-1"
    assert known["netduet.peer.node"] == "n1"
    assert "netduet.peer.zone" not in known
    _until_counted(watching)
    server.process.send_signal(signal.SIGKILL)
    server.finish()
    started = json.loads(watching.wait("outage.began", logged=True))
    assert started["k8s.node.name"] == "n0"
    assert started["netduet.outage"] == 1
    assert started["server.port"] == port
    assert started["error.type"] in ("watch.refused", "stream.outage")
    assert started["netduet.peer.node"] == "n1"
    assert started["netduet.diagnosis"]
    assert watching.stop(signal.SIGINT) == ""
    still_open = json.loads(watching.wait("outage.open", logged=True))
    assert "netduet.end" not in still_open
    assert still_open["netduet.begin"] == started["netduet.begin"]
    assert still_open["netduet.duration_s"] > 0
    assert not any("outage.ended" in line for line in watching.logged)
    summary = json.loads(watching.wait("watch.stopped", logged=True))
    # A busy machine may starve this end, and then the outage proves nothing.
    assert summary["netduet.outages"] + summary["netduet.unproven"] == 1
    assert (summary["netduet.availability"] < 1) == bool(summary["netduet.outages"])
    assert summary["netduet.open_outages"] == summary["netduet.outages"]
    assert summary["netduet.never_reached"] == []


def test_unknown_name_is_reported_and_looked_up_again(
    watch: Callable[..., WatchProcess],
) -> None:
    """It is reported once, nothing is claimed, and the watch is not ready."""
    watching = watch("nowhere.invalid:1", admin=free_port())
    watching.wait(r"NAME .*nowhere.invalid:1 (has no address yet|does not resolve)")
    assert watching.get("/readyz").status == 503
    assert watching.get("/livez").status == 200
    summary = watching.stop()
    assert "availability 0.000 %" in summary
    assert "nowhere.invalid:1: never reached, since it never had an address" in summary


def test_server_that_never_answered_is_out(watch: Callable[..., WatchProcess]) -> None:
    """Its host refuses."""
    watching = watch(f"127.0.0.1:{free_port()}", admin=free_port())
    line = watching.wait("OUT ")
    assert "the expected server has not responded there yet" in line
    assert "ECONNREFUSED" in line
    for name in (
        "netduet_peer_down_seconds_total",
        "netduet_target_down_seconds_total",
        "netduet_ongoing_outage_seconds",
    ):
        assert 0 < _samples(watching)[name] < _samples(watching)[name]
    summary = watching.stop()
    assert " (ongoing, " in summary
    assert re.search(r"127\.0\.0\.1:\d+: never reached, 0\.000 %", summary)
    assert "1 × watch.never_reached, at the server's end:" in summary


def test_server_started_after_the_watch_is_found(
    watch: Callable[..., WatchProcess], serve_command: ServeCommand
) -> None:
    """The time before it was no network outage."""
    port = free_port()
    watching = watch(f"127.0.0.1:{port}")
    watching.wait("OUT ")
    serve_command(port=port)
    assert "first response since the watch began" in watching.wait("BACK ")
    assert "1 × watch.never_reached" in watching.stop()


def test_outage_of_all_peers_at_once_is_reported(
    watch: Callable[..., WatchProcess], serve_command: ServeCommand
) -> None:
    """Three hosts go silent together: a line points at this end."""
    port = free_port()
    server = serve_command(port=port, host="0.0.0.0")
    addresses = (f"127.0.0.{host}:{port}" for host in (1, 2, 3))
    watching = watch(*addresses, admin=free_port())
    for host in (1, 2, 3):
        watching.wait(rf"IS .*127\.0\.0\.{host}:")
    _until_counted(watching)  # the streams show later that the server was paused
    server.process.send_signal(signal.SIGSTOP)
    try:
        line = watching.wait("ALL ")
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert "all 3 peers are out at the same time" in line
    assert "what they share: this client" in line
    for number in (1, 2, 3):
        watching.wait(rf"BACK .*\(#{number}\).*\[watch\.paused; the server's end\]")
    assert watching.stop().count("ALL ") == 1


def test_blocked_target_is_rejected(netduet: NetduetCommand) -> None:
    """One line says which command to use."""
    done = netduet.run("watch", "db:1=blocked")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "netduet check" in done.stderr


def test_admin_port_in_use_is_a_one_line_error(netduet: NetduetCommand) -> None:
    """The watch exits with 2, and names the port and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = netduet.run("watch", "127.0.0.1:1", "--admin-port", port)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"port {port}: another process is already using it" in done.stderr


def test_watch_has_only_its_own_flags(netduet: NetduetCommand) -> None:
    """Flags of single checks are not among them, nor the reverse."""
    watch = netduet.run("watch", "--help").stdout
    check = netduet.run("check", "--help").stdout
    assert "--watch-neighbours" in watch
    assert "--admin-port" in watch
    assert "--junit" not in watch
    assert "--watch-neighbours" not in check
    assert "--admin-port" not in check


# Parts, in the test's own loop


class Scripted(TargetSet):
    """Chooses what the test says, whatever names say."""

    async def look_up(self, *_: object) -> list[ResolvedTarget]:
        """Choose from the next scripted answer."""
        return []


@dataclass
class Answered(TargetSet):
    """A target set with scripted DNS answers; the last one repeats."""

    script: list[tuple[Address, ...]] = field(default_factory=list)

    async def look_up(self, *_: object) -> list[ResolvedTarget]:
        """Take an answer as a resolver's."""
        addresses = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return self.update(
            [Resolution(addresses, None, "", 0.0, 0.0)], time.monotonic()
        )


@contextlib.asynccontextmanager
async def watching_of(
    *addresses: Address,
    targets: TargetSet | None = None,
    names: float = 1.0,
    datagrams: float = 0.02,
) -> AsyncIterator[tuple[Monitor, list[str]]]:
    """Watch these addresses or targets; yield the monitor and its output."""
    lines: list[str] = []

    def write(new_lines: Iterable[Line]) -> None:
        lines.extend(plain(line) for line in new_lines)

    target = parse_target("pair:1", 1)
    if targets is None:
        targets = Scripted((ResolvedTarget(target, resolved=True),), "me", 8)
        targets.chosen = dict.fromkeys(addresses, str(target))
    context = CheckContext(target, socket.AF_UNSPEC, "netduet", TIMEOUTS)
    async with StallMonitor() as stalls:
        paces = Intervals(datagrams, 1.0, names)
        watching = Monitor(
            targets, paces, context, stalls, notifier=Notifier(write), history=10
        )
        running = asyncio.create_task(watching.run())
        try:
            yield watching, lines
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def at(host: str, port: int) -> Address:
    """Return an address of loopback."""
    return Address(socket.AF_INET, host, port)


async def test_peers_follow_their_name(start_server: StartServer) -> None:
    """A new address is watched, a removed one is dropped, and both are reported."""
    running = await start_server(host="0.0.0.0")
    address, second = at("127.0.0.1", running.port), at("127.0.0.2", running.port)
    async with watching_of(address) as (watching, lines):
        await wait_until(lambda: address in watching.peers)
        watching.targets.chosen = {address: "pair:1", second: "pair:1"}
        await wait_until(lambda: second in watching.peers)
        peer = watching.peers[second]
        await wait_until(lambda: peer.totals().down.sent > 3)
        watching.targets.chosen = {second: "pair:1"}
        await wait_until(lambda: address not in watching.peers)
        assert peer.totals().up.lost == 0
    output = "\n".join(lines)
    assert f"now watching 2 addresses: {address} (pair:1), {second} (pair:1)" in output
    assert f"-     {address} (here) is no longer watched: replaced" in output
    assert watching.availability.summary(time.monotonic()).outages == 0


def told_once(watching: Monitor) -> bool:
    """Tell whether there was one outage; none is proven where this machine stood still."""
    summary = watching.availability.summary(time.monotonic())
    return summary.outages + summary.unproven == 1


def answered(*script: tuple[Address, ...]) -> Answered:
    """Return the targets of a resolver with these scripted answers."""
    return Answered(
        (ResolvedTarget(parse_target("pair:1", 1)),), "me", 8, script=list(script)
    )


@contextlib.asynccontextmanager
async def two_of_a_name(
    first: RunningServer, second: RunningServer | ServerProcess
) -> AsyncIterator[tuple[Monitor, list[str], Answered]]:
    """Watch two servers of one name; begin when the second one's stream is there."""
    address, other = at("127.0.0.1", first.port), at("127.0.0.1", second.port)
    targets = answered((address, other))
    async with watching_of(targets=targets) as (watching, lines):
        await wait_until(lambda: len(watching.peers) == 2)
        await wait_until(lambda: watching.peers[other].totals().down.sent > 3)
        yield watching, lines, targets


async def test_answering_address_is_watched_between_partial_lookups(
    start_server: StartServer,
) -> None:
    """A resolver alternates between two addresses: both stay."""
    running = await start_server(host="0.0.0.0")
    address, second = at("127.0.0.1", running.port), at("127.0.0.2", running.port)
    targets = answered((address,), (second,), (address,), (second,))
    async with watching_of(targets=targets) as (watching, lines):
        await wait_until(lambda: set(watching.peers) == {address, second})
        started = dict(watching.peers)
        await wait_until(
            lambda: len(targets.script) == 1 and set(targets.absent_since) == {address}
        )
        before = started[address].totals().down.sent
        await wait_until(lambda: started[address].totals().down.sent > before + 10)
        assert watching.peers == started
        assert not any(line[21:22] == "-" for line in lines)


async def test_server_removed_from_its_name_has_no_outage(
    start_server: StartServer,
) -> None:
    """A pod leaves DNS first and ends afterwards."""
    stays, leaves = await start_server(), await start_server()
    async with two_of_a_name(stays, leaves) as (watching, lines, targets):
        address, second = targets.script[0]
        peer = watching.peers[second]
        await wait_until(lambda: peer.instance is not None)
        targets.script = [(address,)]
        await wait_until(lambda: peer.absent_since is not None)
        await leaves.stop()
        await wait_until(lambda: second not in watching.peers)
        targets.script = [(address,)]
        assert second not in targets.chosen
    reported = [line[21:].split()[0] for line in lines if f" {second} " in line]
    assert reported == ["+", "IS", "-"]
    assert watching.availability.summary(time.monotonic()).outages == 0


async def test_killed_server_that_its_name_drops_meanwhile_is_an_outage(
    start_server: StartServer, serve_command: ServeCommand
) -> None:
    """The outage began before: it is reported, and then that the server has left."""
    stays, killed = await start_server(), serve_command(host="127.0.0.1")
    address, second = at("127.0.0.1", stays.port), at("127.0.0.1", killed.port)
    targets = answered((address, second))
    async with watching_of(targets=targets) as (watching, lines):
        await wait_until(lambda: len(watching.peers) == 2)
        peer = watching.peers[second]
        await wait_until(lambda: peer.instance is not None)
        await wait_until(lambda: peer.keepalive_probe.detector.answered > 3)
        before = peer.last_problem
        killed.process.kill()
        await wait_until(lambda: peer.last_problem > before)
        targets.script = [(address,)]
        await targets.look_up(socket.AF_UNSPEC, TIMEOUT_SECONDS)
        peer.absent_since = targets.absent_since[second]
        await wait_until(lambda: second not in watching.peers)
    assert watching.availability.summary(time.monotonic()).outages == 1
    assert any(" LEFT " in line and f" {second} " in line for line in lines)


async def test_address_from_a_stale_cache_is_no_outage(
    start_server: StartServer,
) -> None:
    """Nothing ever answered there, and soon DNS does not have it any more."""
    running = await start_server()
    address, stale = at("127.0.0.1", running.port), at("127.0.0.1", free_port())
    targets = answered((address, stale))
    async with watching_of(targets=targets) as (watching, lines):
        await wait_until(lambda: len(watching.peers) == 2)
        attempts = watching.peers[stale].connect_probe.tracker
        await wait_until(lambda: attempts.failed > 4)
        targets.script = [(address,)]
        await wait_until(lambda: watching.peers[stale].absent_since is not None)
    assert not any(" OUT " in line for line in lines)
    summary = watching.availability.summary(time.monotonic())
    assert (summary.outages, summary.never_reached) == (0, ())


async def test_own_stall_removes_no_peer(serve_command: ServeCommand) -> None:
    """What this end missed while it did not run says nothing about a peer."""
    running = serve_command(host="0.0.0.0")
    address, second = at("127.0.0.1", running.port), at("127.0.0.2", running.port)
    targets = answered((address, second))
    async with watching_of(targets=targets) as (watching, _):
        await wait_until(lambda: len(watching.peers) == 2)
        peer = watching.peers[second]
        await wait_until(lambda: peer.keepalive_probe.detector.answered > 3)
        targets.script = [(address,)]
        await wait_until(lambda: peer.absent_since is not None)
        before = peer.last_problem
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not peer.keepalive_probe.detector.unanswered:  # noqa: ASYNC110 - seen in that very turn
                await asyncio.sleep(0)
        time.sleep(1.0)  # noqa: ASYNC251 - the loop stands still: that is the fault
        await wait_until(lambda: peer.last_problem > before)
        assert not peer.should_drop
        assert watching.peers[second] is peer


async def test_open_outage_of_a_removed_server_is_reported(
    start_server: StartServer, serve_command: ServeCommand
) -> None:
    """It was killed before its name dropped it: a line says so, and it is removed."""
    stays, leaves = await start_server(), serve_command()
    async with two_of_a_name(stays, leaves) as (watching, lines, targets):
        address, second = targets.script[0]
        peer = watching.peers[second]
        leaves.process.send_signal(signal.SIGKILL)
        await wait_until(lambda: peer.outage_tracker.ongoing is not None)
        targets.script = [(address,)]
        await wait_until(lambda: second not in watching.peers)
        instance = Instance("client")
        metrics = WatchMetrics(watching, watching._stalls, instance).collect()
        remembered = {
            (family.name, sample.labels.get("peer", ""))
            for family in metrics
            for sample in family.samples
            if sample.value and sample.name.endswith("_total")
        }
    leaves.finish()
    assert any("[watch.stale_dns; the server's end]" in line for line in lines)
    assert told_once(watching)
    if watching.availability.summary(time.monotonic()).outages:
        assert ("netduet_peer_down_seconds", str(second)) in remembered
        assert ("netduet_target_outages", "") in remembered


async def test_outage_of_a_peer_no_longer_chosen_is_not_late_removal(
    serve_command: ServeCommand,
) -> None:
    """Other peers are chosen, and the name still has the address."""
    running = serve_command()
    address = at("127.0.0.1", running.port)
    async with watching_of(address) as (watching, lines):
        await wait_until(lambda: address in watching.peers)
        peer = watching.peers[address]
        await wait_until(lambda: peer.totals().down.sent > 3)
        running.process.send_signal(signal.SIGKILL)
        await wait_until(lambda: peer.outage_tracker.ongoing is not None)
        watching.targets.targets[0].addresses = (address,)
        watching.targets.chosen = {}
        await wait_until(lambda: not watching.peers)
    running.finish()
    assert not any("watch.stale_dns" in line for line in lines)
    assert told_once(watching)


async def test_announced_leave_is_no_outage_whatever_dns_says(
    start_server: StartServer,
) -> None:
    """The name still has the address of a server that drained: one line, once."""
    stays, leaves = await start_server(), await start_server()
    async with two_of_a_name(stays, leaves) as (watching, lines, targets):
        address, second = targets.script[0]
        await wait_until(lambda: watching.peers[second].instance is not None)
        await leaves.stop()
        await wait_until(lambda: second not in watching.peers)
        for script in ((address,), (address, second)):  # two resolvers disagree
            targets.script = [script, script, script]
            await wait_until(lambda: len(targets.script) == 1)
        assert set(watching.peers) == {address}
        await start_server(port=leaves.port)
        await wait_until(lambda: second in watching.peers)
        await wait_until(lambda: watching.peers[second].instance is not None)
    reported = [line[21:] for line in lines if f" {second} " in line]
    words = [line.split()[0] for line in reported]
    assert words == ["+", "IS", "-", "+", "IS"]
    assert "it shut down, as it announced" in reported[2]
    assert watching.availability.summary(time.monotonic()).outages == 0


@pytest.mark.parametrize("udp", [True, False])
async def test_announced_replacement_is_no_outage(
    start_server: StartServer, *, udp: bool
) -> None:
    """Another process answers at once: a line says so, also if only TCP gets through."""
    drain = {"drain_timeout": 5.0, "udp": udp}
    running = await start_server(**drain)
    address = at("127.0.0.1", running.port)
    async with watching_of(address, datagrams=0.05) as (watching, lines):
        await wait_until(lambda: address in watching.peers)
        peer = watching.peers[address]
        await wait_until(lambda: peer.keepalive_probe.detector.answered > 2)
        await wait_until(lambda: not udp or peer.totals().down.sent > 3)
        await running.stop()
        await start_server(port=running.port, **drain)
        await wait_until(lambda: any("the server before it shut" in x for x in lines))
        assert watching.peers[address] is peer
    assert not any(" OUT " in line or " BACK " in line for line in lines), lines
    assert watching.availability.summary(time.monotonic()).outages == 0


async def test_kill_during_the_shutdown_of_another_is_reported(
    start_server: StartServer, serve_command: ServeCommand
) -> None:
    """The announced leave of one server hides no crash of another."""
    leaves, crashes = await start_server(), serve_command()
    async with two_of_a_name(leaves, crashes) as (watching, lines, targets):
        first, second = targets.script[0]
        await wait_until(lambda: watching.peers[first].totals().down.sent > 3)
        crashes.process.send_signal(signal.SIGKILL)
        await leaves.stop()
        await wait_until(lambda: first not in watching.peers)
        crashed = watching.peers[second]
        await wait_until(lambda: crashed.outage_tracker.ongoing is not None)
    crashes.finish()
    assert any(f"OUT   {second} " in line for line in lines)
    assert not any(f"OUT   {first} " in line for line in lines)


async def test_new_instance_is_reported_after_the_outage(
    start_server: StartServer,
) -> None:
    """The outage is that of the previous instance."""
    running = await start_server(instance="web-1")
    address = at("127.0.0.1", running.port)
    async with watching_of(address) as (watching, _):
        await wait_until(lambda: address in watching.peers)
        peer = watching.peers[address]
        await wait_until(lambda: peer.instance is not None)
    now = peer.last_problem = time.monotonic()
    other = Instance("web-2")
    peer.identity.record(other, now - CONFIRM_SECONDS)
    assert peer.take_identity_change(now + 1.0) == ()
    assert peer.instance == Instance("web-1")
    assert peer.take_identity_change(now + QUIET_SECONDS + 0.1) == (
        other,
    )  # floats: not just HOLD
    assert peer.instance == other


async def test_balancer_is_reported_once_as_several(start_server: StartServer) -> None:
    """Each connection reaches another instance: no peer is named."""
    behind = [
        await start_server(instance=name, node=f"n-{name}", udp=False) for name in "abc"
    ]
    turns = itertools.cycle([forward_all(running.port) for running in behind])

    def by_turns(client: socket.socket) -> None:
        next(turns)(client)

    async with (
        running_proxy(by_turns) as port,
        watching_of(at("127.0.0.1", port)) as (watching, lines),
    ):
        several = re.compile(r"IS .* is several instances, including ")
        await wait_until(lambda: any(map(several.search, lines)))
        (peer,) = watching.peers.values()
        assert peer.instance is None
        before = peer.connect_probe.tracker.started
        await wait_until(lambda: peer.connect_probe.tracker.started > before + 6)
    assert "\n".join(lines).count(" is several instances, ") == 1
    assert "\n".join(lines).count(" is instance ") == 1


async def until_line(lines: list[str], words: str) -> None:
    """Wait for a line with these words, which takes several measurements."""
    async with asyncio.timeout(4 * TIMEOUT_SECONDS):
        while not any(words in line for line in lines):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_part_of_the_new_connections_fails(start_server: StartServer) -> None:
    """Two of three backends are dead: a state with a share, and no outage."""
    running = await start_server(udp=False)
    forward = forward_all(running.port)
    healthy = threading.Event()
    numbers = itertools.count()

    def behaviour(client: socket.socket) -> None:
        if healthy.is_set() or next(numbers) % 3 == 0:
            forward(client)
        else:
            client.close()

    async with (
        running_proxy(behaviour) as port,
        watching_of(at("127.0.0.1", port)) as (watching, lines),
    ):
        await until_line(lines, " PARTIAL ")
        (peer,) = watching.peers.values()
        assert 0.5 < peer.partial_failures.share < 0.8
        metrics = WatchMetrics(watching, watching._stalls, Instance("client")).collect()
        values = {
            sample.name: sample.value for family in metrics for sample in family.samples
        }
        healthy.set()
        await until_line(lines, " BACK ")
    assert 0.5 < values["netduet_peer_failing_ratio"] < 0.8
    assert values["netduet_peer_up"] == 1
    assert values["netduet_peer_partial_seconds_total"] > 0
    assert values["netduet_target_partial_failures_total"] == 1
    summary = watching.availability.summary(time.monotonic())
    assert (summary.outages, summary.partial.count) == (0, 1)
    (back,) = [line for line in lines if " BACK " in line]
    assert re.search(r"partial failure of [\d.]+ s .*\[watch\.partial; ", back)
    assert not any(" OUT " in line for line in lines)


async def test_outage_triggers_an_early_lookup(
    serve_command: ServeCommand,
) -> None:
    """However long the interval, the name may have dropped the peer."""
    server = serve_command()
    address = at("127.0.0.1", server.port)
    async with watching_of(address, names=3600.0) as (watching, lines):
        await wait_until(lambda: address in watching.peers)
        peer = watching.peers[address]
        await wait_until(lambda: peer.totals().down.sent > 3)
        watching.targets.chosen = {}
        server.process.send_signal(signal.SIGKILL)
        await wait_until(lambda: not watching.peers)
    server.finish()
    assert any(" LEFT " in line and "watch.stale_dns" in line for line in lines)
    assert not any(" BACK " in line for line in lines)


async def test_outage_without_datagrams_is_reported_once(
    serve_command: ServeCommand,
) -> None:
    """The old connection breaks first, and new ones fail later."""
    server = serve_command(udp="false")
    address = at("127.0.0.1", server.port)
    async with watching_of(address) as (watching, lines):
        await wait_until(lambda: address in watching.peers)
        peer = watching.peers[address]
        await wait_until(
            lambda: (
                peer.keepalive_probe.connections
                and peer.totals().connections_started > 1
            )
        )
        server.process.send_signal(signal.SIGKILL)
        await wait_until(lambda: peer.outage_tracker.ongoing is not None)
    server.finish()
    assert not any("keeps working" in line or " BACK " in line for line in lines), lines
    assert watching.availability.summary(time.monotonic()).outages == 1


async def test_outage_of_the_old_connection_waits_for_new_ones(
    start_server: StartServer,
) -> None:
    """The old one stalls at once; whether new ones work is known later."""
    running = await start_server()
    async with watching_of(at("127.0.0.1", running.port)) as (watching, _):
        await wait_until(lambda: len(watching.peers) == 1)
        (peer,) = watching.peers.values()
        await wait_until(lambda: peer.connect_probe.tracker.last_success > 0)
        now = time.monotonic()
        pauses = peer.keepalive_probe.detector
        pauses._sent.appendleft(now - 1.0)
        peer.connect_probe.tracker.last_success = now - 2.0
        assert peer._probe_state(now).stall is None
        peer.connect_probe.tracker.last_success = now - 0.5
        assert peer._probe_state(now).stall is not None


async def test_scheduled_checks_find_a_wrong_service(
    start_server: StartServer,
) -> None:
    """A server of another service answers every stream."""
    running = await start_server(service="billing")
    address = at("127.0.0.1", running.port)
    async with watching_of(address) as (watching, lines):
        await wait_until(
            lambda: any("identity.other_service" in line for line in lines)
        )
        assert watching.availability.findings["identity.other_service"] == 1
    assert watching.availability.summary(time.monotonic()).outages == 0


class Nat(asyncio.DatagramProtocol):
    """Hands datagrams on, each client's from a port of its own; the first client's die.

    After so many datagrams none of its own come through, and none to it.
    """

    def __init__(self, server: int, after: int) -> None:
        """Say where to, and when the first flow dies."""
        self._server, self._after = server, after
        self._behind: dict[object, asyncio.DatagramTransport] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the side that clients see."""
        self.front = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand a client's datagram on."""
        task = asyncio.create_task(self._hand_on(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def dead(self, client: object) -> bool:
        """Tell whether this client's flow has died."""
        self._count += 1
        return self._count > self._after and client == next(iter(self._behind))

    def close(self) -> None:
        """Close all sockets."""
        for transport in (self.front, *self._behind.values()):
            transport.close()

    async def _hand_on(self, data: bytes, client: tuple[str, int]) -> None:
        if client not in self._behind:
            nat = self

            class Back(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, _: object) -> None:
                    if not nat.dead(client):
                        nat.front.sendto(data, client)

            loop = asyncio.get_running_loop()
            server = ("127.0.0.1", self._server)
            made, _ = await loop.create_datagram_endpoint(Back, remote_addr=server)
            if client in self._behind:
                made.close()
            self._behind.setdefault(client, made)
        if not self.dead(client):
            self._behind[client].sendto(data)


async def test_dead_flow_is_restarted_from_another_port(
    start_server: StartServer,
) -> None:
    """Datagrams do not pass while connections work; from another port they do."""
    datagrams = await start_server()
    loop = asyncio.get_running_loop()
    _, nat = await loop.create_datagram_endpoint(
        lambda: Nat(datagrams.port, 200), local_addr=("127.0.0.1", free_port())
    )
    port = nat.front.get_extra_info("sockname")[1]
    try:
        await start_server(port=port, udp=False)
        async with watching_of(at("127.0.0.1", port)) as (watching, lines):
            await until_line(lines, "watch.stuck_flow")
            (peer,) = watching.peers.values()
            before = peer.totals().down.sent
            await wait_until(lambda: peer.totals().down.sent > before + 10)
    finally:
        nat.close()
    summary = watching.availability.summary(time.monotonic())
    assert summary.counts == {("watch.stuck_flow", "both"): 1}


async def test_light_load_of_a_healthy_server_passes(start_server: StartServer) -> None:
    """All data comes back, and nothing is found."""
    running = await start_server()
    assert await check_load(at("127.0.0.1", running.port), TIMEOUTS) is None


async def test_failed_light_load_is_reported() -> None:
    """A server that welcomes, and then does not answer or closes."""

    def leaves(accepted: AcceptedConnection) -> None:
        accepted.send_welcome()
        accepted.read_frame()

    for script, silence in ((welcome_and_wait, True), (leaves, False)):
        async with FakeServer(script) as server:
            found = await check_load(server.address, Timeouts(3.0, 3.0, 0.1))
        assert found is not None
        assert found.failure == "watch.load"
        assert f"of {QUESTIONS} requests" in found.seen
        assert (found.missed_deadline is not None) is silence


async def test_many_streams_share_a_thread(start_server: StartServer) -> None:
    """Each is its own stream at the server; one that is added ends on its own."""
    running = await start_server(host="0.0.0.0")
    events: list[ProbeEvent] = []
    flows = []
    with UdpScheduler() as scheduler:
        for number in range(1, 9):
            sock = UdpSocket(at(f"127.0.0.{number}", running.port))
            flows.append((UdpProbe(sock, 0.02, events.append), sock))
            scheduler.add(*flows[-1], 0.02)
        await wait_until(
            lambda: all(probe.tracker.down.sent > 10 for probe, _ in flows)
        )
        assert threading.active_count() < 8
        scheduler.remove(*flows[0])
        await wait_until(lambda: flows[0][1].fileno() < 0)
        before = flows[1][0].tracker.down.sent
        await wait_until(lambda: flows[1][0].tracker.down.sent > before + 10)
    assert all(sock.fileno() < 0 for _, sock in flows)
    assert events == []
    assert all(probe.tracker.up.lost == 0 for probe, _ in flows)
