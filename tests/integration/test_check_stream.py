"""The check ``stream`` against a real server, and through faulty relays."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from functools import partial

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.stream import CHECK
from netduet.client.checks.stream.measure import FEATURE, StreamPlan, watch
from netduet.client.net.dial import Address
from netduet.client.net.dialer import FramedDialer
from netduet.client.net.handshake import Handshake
from netduet.client.net.timeouts import Timeouts
from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.connect_probe import ConnectProbe
from netduet.client.outages.events import LossRun, ProbeEvent, ServerRestart
from netduet.client.outages.observations import Observations
from netduet.client.outages.udp_probe import UdpProbe
from netduet.client.results.target import parse_target
from netduet.runtime.stall_monitor import StallMonitor
from netduet.wire.udp_stream import StreamAnswer
from tests.integration.conftest import StartServer
from tests.integration.udp_relays import Fault, drop_all, pass_all, relay
from tests.unit.client.fake_server import make_welcome

TIMEOUTS = Timeouts(resolve=3.0, connect=3.0, answer=3.0)
PLAN = StreamPlan(1.0)


def address(port: int) -> Address:
    """Return a port of loopback."""
    return Address(socket.AF_INET, "127.0.0.1", port)


async def watched(port: int, features: tuple[str, ...] = (FEATURE,)) -> Observations:
    """Watch a port where, over TCP, a netduet was met."""
    target = parse_target(f"127.0.0.1:{port}", port)
    context = CheckContext(
        target, socket.AF_UNSPEC, "netduet", TIMEOUTS, options=CheckOptions()
    )
    opening = Handshake(welcome=make_welcome(features=list(features)))
    return await watch(context, IdentityAnswer(address(port), opening), PLAN)


def streamed(
    port: int, seconds: float, stop: threading.Event
) -> tuple[UdpProbe, list[ProbeEvent]]:
    """Stream to a port for so long; return what came of it."""
    events: list[ProbeEvent] = []
    with UdpSocket(address(port)) as sock:
        streaming = UdpProbe(sock, 0.02, events.append)
        streaming.run(seconds, stop)
    return streaming, events


def out_from(first: int, count: int) -> Fault:
    """Return a fault: from this number on, ``count`` datagrams are lost."""
    return lambda n, data: [] if first <= n < first + count else [data]


async def test_good_network_has_no_outage(start_server: StartServer) -> None:
    """On loopback nothing is lost, and every connection works."""
    running = await start_server()
    observations = await watched(running.port)
    judgement = CHECK.judge(AddressResults((observations,), CheckOptions()))
    assert judgement.findings == ()
    assert (observations.datagrams.up.lost, observations.datagrams.down.lost) == (0, 0)
    assert observations.datagrams.passed
    assert observations.long_lived.answered == observations.long_lived.asked > 0
    assert observations.long_lived.server_report is not None
    assert (
        observations.new_connections.failed,
        observations.new_connections.started + observations.new_connections.void > 0,
    ) == (0, True)


async def test_late_client_reports_no_silence(start_server: StartServer) -> None:
    """Datagrams that wait to be read are no silence."""
    running = await start_server()

    def stream() -> tuple[LossRun | None, LossRun | None]:
        with UdpSocket(address(running.port)) as sock:
            probe = UdpProbe(sock, 0.02, lambda _: None)
            due = time.monotonic()
            probe.start(due)
            while probe.tracker.last_arrival is None:
                due = probe.step(time.monotonic())
                probe.receive(sock.wait(0.02), time.monotonic(), on_time=True)
            due = probe.tracker.last_arrival + 2.0
            probe.start(due)
            for _ in range(20):
                due = probe.step(due)
            in_time = probe.ongoing
            probe.step(due + 1.0)
            return in_time, probe.ongoing

    in_time, late = await asyncio.to_thread(stream)
    assert in_time is not None
    assert in_time.where == "unknown"
    assert late is None


@pytest.mark.parametrize(
    ("up", "down", "where"),
    [
        (out_from(30, 30), pass_all, "path →"),
        (pass_all, out_from(30, 30), "path ←"),
    ],
)
async def test_outage_is_found_in_its_direction(
    start_server: StartServer, up: Fault, down: Fault, where: str
) -> None:
    """Thirty consecutive datagrams lost one way are an outage of that direction."""
    running = await start_server()
    with relay(running.port, up, down) as port:
        call = partial(streamed, port, 2.0, threading.Event())
        probe, events = await asyncio.to_thread(call)
    found = [event for event in events if isinstance(event, LossRun)]
    assert [(loss_run.where, loss_run.lost, loss_run.ended) for loss_run in found] == [
        (where, 30, True)
    ]
    tracker = probe.tracker
    lost = {"path →": tracker.up.lost, "path ←": tracker.down.lost}
    assert lost.pop(where) == 30
    assert set(lost.values()) == {0}


async def test_open_silence_has_no_direction(
    start_server: StartServer,
) -> None:
    """The end of the measurement reports it."""
    running = await start_server()
    with relay(running.port, pass_all, out_from(20, 100_000)) as port:
        call = partial(streamed, port, 1.0, threading.Event())
        _, events = await asyncio.to_thread(call)
    (loss_run,) = [event for event in events if isinstance(event, LossRun)]
    assert (loss_run.where, loss_run.ended) == ("unknown", False)


async def test_blocked_udp_leaves_tcp_results(
    start_server: StartServer,
) -> None:
    """Without UDP the check uses TCP, and says what it cannot see."""
    running = await start_server(udp=False)
    observations = await watched(running.port)
    judgement = CHECK.judge(AddressResults((observations,), CheckOptions()))
    assert judgement.findings == ()
    assert any("direction" in remark for remark in judgement.remarks)
    assert not observations.datagrams.passed


async def test_server_without_streams_is_not_asked(
    start_server: StartServer,
) -> None:
    """An older server is not mistaken for a network that drops datagrams."""
    running = await start_server()
    observations = await watched(running.port, features=())
    assert not observations.datagrams.supported
    assert any(
        "version" in remark
        for remark in CHECK.judge(
            AddressResults((observations,), CheckOptions())
        ).remarks
    )


async def test_no_datagram_passing_is_no_outage(
    start_server: StartServer,
) -> None:
    """If no datagram passes at all, no outage is reported."""
    running = await start_server()
    with relay(running.port, drop_all, pass_all) as port:
        call = partial(streamed, port, 0.5, threading.Event())
        streaming, events = await asyncio.to_thread(call)
    assert (streaming.answered, events) == (False, [])


async def test_stop_ends_an_endless_stream(start_server: StartServer) -> None:
    """A caller gets events during the stream, and stops it at any time."""
    running = await start_server()
    reported, stop = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def tell(_: ProbeEvent) -> None:
        loop.call_soon_threadsafe(reported.set)

    def stream(port: int) -> None:
        with UdpSocket(address(port)) as sock:
            UdpProbe(sock, 0.02, tell).run(float("inf"), stop)

    with relay(running.port, out_from(20, 20), pass_all) as port:
        task = asyncio.create_task(asyncio.to_thread(stream, port))
        async with asyncio.timeout(10):
            await reported.wait()
            stop.set()
            await task


async def test_restarted_server_is_recognised(start_server: StartServer) -> None:
    """The old server announces its drain; the new one has another boot id."""
    first = await start_server()
    events: asyncio.Queue[ProbeEvent] = asyncio.Queue()
    started, stop = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Watched(UdpProbe):
        def _handle_answer(
            self, answer: StreamAnswer | None, at: float, *, on_time: bool
        ) -> None:
            super()._handle_answer(answer, at, on_time=on_time)
            if self.tracker.acknowledged:
                loop.call_soon_threadsafe(started.set)

    def stream() -> None:
        def tell(event: ProbeEvent) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        with UdpSocket(address(first.port)) as sock:
            Watched(sock, 0.02, tell).run(float("inf"), stop)

    task = asyncio.create_task(asyncio.to_thread(stream))
    async with asyncio.timeout(10):
        await started.wait()
        await first.stop()
        await start_server(port=first.port)
        while not isinstance(event := await events.get(), ServerRestart):
            pass
        stop.set()
        await task
    assert event.boot_ids[0] != event.boot_ids[1]
    assert event.end_reason == "draining"


async def test_failed_sockets_do_not_count_against_the_network() -> None:
    """Connects that fail for lack of descriptors prove nothing about the path."""
    events: list[ProbeEvent] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with StallMonitor() as stalls:
        fresh = ConnectProbe(
            FramedDialer(address(1)), TIMEOUTS, 0.01, stalls, events.append
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            await fresh.run(0.2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert events == []
    assert fresh.tracker.started == 0
    assert fresh.tracker.void > 0
