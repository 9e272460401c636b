"""The admin port of a real server, queried as by a probe or Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import re
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from netduet import __version__
from netduet.net.bind import bind
from netduet.runtime import admin_http
from netduet.runtime.admin_http import MAX_CONNECTIONS
from netduet.wire.udp_stream import NO_COOKIE
from tests.integration.conftest import ServeCommand
from tests.integration.framed_client import (
    GREETING,
    FramedClient,
    connect,
    exchange_greetings,
)
from tests.integration.servers import TIMEOUT_SECONDS, ServerProcess
from tests.integration.test_server_streams import Bare

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PLAIN = "text/plain"

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Got:
    """An answer over HTTP."""

    status: int
    type: str
    body: str


def page(port: int, path: str, accept: str = "*/*", method: str = "GET") -> Got:
    """Ask an admin port for a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, TIMEOUT_SECONDS)
    try:
        connection.request(method, path, headers={"Accept": accept})
        answer = connection.getresponse()
        kind = answer.getheader("content-type", "")
        return Got(answer.status, kind, answer.read().decode())
    finally:
        connection.close()


def free_port() -> int:
    """Return a port that nothing had a moment ago, and that no connection is given.

    Those above are handed out to connections of other tests at any time.
    """
    least = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]
    for _ in range(100):
        port = random.randrange(10_000, int(least))
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                sock = stack.enter_context(socket.socket(type=kind))
                sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@dataclass
class Observed:
    """A server with its admin port."""

    command: ServerProcess
    port: int

    def get(self, path: str, accept: str = "*/*", method: str = "GET") -> Got:
        """Ask for a page."""
        return page(self.port, path, accept, method)

    def samples(self) -> Samples:
        """Return all metrics, by name and labels."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").body)
            for sample in family.samples
        }


@pytest.fixture
def observed(serve_command: ServeCommand) -> Iterator[Callable[..., Observed]]:
    """Start servers that have an admin port."""

    def start(**settings: object) -> Observed:
        port = free_port()
        return Observed(serve_command(admin_port=port, **settings), port)

    return start


def named(samples: Samples, name: str, **labels: str) -> float:
    """Return the value of one metric."""
    return samples[name, frozenset(labels.items())]


def test_probes_of_a_listening_server_succeed(
    observed: Callable[..., Observed],
) -> None:
    """It is live and ready, names its version, and has no other page."""
    server = observed(service="billing", instance="b1", node="n1", zone="z1")
    assert server.get("/livez").status == 200
    assert server.get("/readyz").status == 200
    assert json.loads(server.get("/version").body) == {
        "version": __version__,
        "protocol": 1,
        "service": "billing",
        "instance": "b1",
        "node": "n1",
        "zone": "z1",
    }
    for path in ("/", "/metrics/", "/readyz/x", "/%00"):
        got = server.get(path)
        assert (got.status, got.body) == (
            404,
            "there is /livez, /readyz, /metrics, /version\n",
        )
    assert server.get("/livez", method="HEAD").body == ""
    assert server.get("/livez", method="POST").status == 405


def test_readiness_ends_before_the_drain(
    observed: Callable[..., Observed],
) -> None:
    """After SIGTERM it is live and not ready, and still answers new clients."""
    server = observed(shutdown_delay="1h")
    server.command.process.send_signal(signal.SIGTERM)
    assert server.command.wait("server.draining") is not None
    assert server.get("/readyz").status == 503
    assert server.get("/livez").status == 200
    assert exchange_greetings(server.command.port) == GREETING
    assert server.command.stop() == 0


def test_metrics_match_what_happened(observed: Callable[..., Observed]) -> None:
    """Connections by dialect and end, bytes also of open ones, and limits."""
    server = observed(first_byte_timeout="1s", log_level="debug")
    exchange_greetings(server.command.port)
    with connect(server.command.port) as sock:
        assert sock.recv(1) == b""  # it said nothing, and its time is over
    for count in (1, 2):
        server.command.closed_line(count)
    with FramedClient(server.command.port) as peer:
        peer.echo(b"x" * 100)
        samples = server.samples()
    ended = "netduet_connections_ended_total"
    plain = {"dialect": "plain", "ended": "greeted", "by": "server"}
    silent = {"dialect": "none", "ended": "limit.first_byte", "by": "server"}
    assert named(samples, ended, **plain) == 1
    assert named(samples, ended, **silent) == 1
    assert named(samples, "netduet_limits_reached_total", limit="first_byte") == 1
    assert named(samples, "netduet_connections") == 1
    assert named(samples, "netduet_received_frames_total") == 2
    assert named(samples, "netduet_received_bytes_total") > 100
    assert named(samples, "netduet_socket_drops_total", transport="tcp") == 0


def test_recent_clients_exclude_loopback(observed: Callable[..., Observed]) -> None:
    """A health check of this host does not show that others reach the server."""
    server = observed()
    clients = "netduet_clients_recently"
    with FramedClient(server.command.port):
        assert named(server.samples(), clients) == 0
        with (
            FramedClient(server.command.port, source="127.0.0.2"),
            FramedClient(server.command.port, source="127.0.0.3"),
        ):
            assert named(server.samples(), clients) == 2


def test_metrics_count_streams(observed: Callable[..., Observed]) -> None:
    """The number of streams, their limit, and how often it was reached."""
    server = observed(max_streams=2)

    def streams() -> list[float]:
        samples = server.samples()
        refused = "netduet_stream_requests_refused_total"
        return [
            named(samples, "netduet_streams"),
            named(samples, "netduet_streams_limit"),
            named(samples, refused, limit="total"),
            named(samples, refused, limit="client"),
        ]

    assert streams() == [0, 2, 0, 0]
    bare = Bare(server.command.port)
    with bare.sock:
        for flow in (1, 2, 3):
            bare.flow, bare.cookie = flow, NO_COOKIE
            bare.learn()
            bare.ask(0)
        while b"too_many_connections" not in bare.sock.recv(2048):
            pass
        assert streams() == [2, 2, 1, 0]


def test_metrics_follow_the_conventions(observed: Callable[..., Observed]) -> None:
    """Every metric has a help text, a base unit in its name, and few label values."""
    server = observed()
    text = server.get("/metrics").body
    families = list(text_string_to_metric_families(text))
    ours = [metric for metric in families if metric.name.startswith("netduet_")]
    assert len(ours) >= 10
    for family in ours:
        assert family.documentation.endswith(".")
        assert re.fullmatch(r"netduet(_[a-z]+)+", family.name)
        assert len(family.samples) <= 3
    assert {"process_resident_memory_bytes", "process_cpu_seconds"} <= {
        metric.name for metric in families
    }


def test_metrics_have_the_requested_format(
    observed: Callable[..., Observed],
) -> None:
    """Prometheus text, or OpenMetrics, which a strict parser accepts."""
    server = observed()
    assert server.get("/metrics", PLAIN).type.startswith("text/plain; version=0.0.4")
    got = server.get("/metrics", OPENMETRICS)
    assert got.type.startswith("application/openmetrics-text; version=1")
    assert list(openmetrics.text_string_to_metric_families(got.body))


def test_admin_port_in_use_is_a_one_line_error(
    serve_command: ServeCommand,
) -> None:
    """The server exits with 2, and names the port and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = serve_command(admin_port=port)
        assert server.finish() == 2
    error_line = server.stderr_text()
    assert error_line.count("\n") == 1
    assert f"127.0.0.1, port {port}: another process is already using it" in error_line


def test_admin_port_is_off_by_default(serve_command: ServeCommand) -> None:
    """By default a server has one port, and no HTTP."""
    server = serve_command()
    assert server.of("admin.listening") == []
    assert server.wait("server.ready") is not None


def test_silent_connections_use_up_neither_port(
    observed: Callable[..., Observed],
) -> None:
    """The admin port keeps a bounded number of them, and answers whoever asks."""
    server = observed()
    descriptors = Path(f"/proc/{server.command.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            for _ in range(MAX_CONNECTIONS):
                stack.enter_context(connect(server.port))
            assert server.get("/livez").status == 200
        assert exchange_greetings(server.command.port) == GREETING
        # Those of the last moments may not be closed yet.
        assert len(list(descriptors.iterdir())) <= before + 2 * MAX_CONNECTIONS
        assert server.command.stop() == 0
    assert server.command.of("runtime.message") == []


@pytest.mark.parametrize("request_part", [b"", b"GET /livez HTTP/1.1\r\nHost: "])
async def test_connection_without_a_whole_request_is_closed(
    monkeypatch: pytest.MonkeyPatch, request_part: bytes
) -> None:
    """Its bytes extend no deadline; a connection that asks again is kept."""
    monkeypatch.setattr(admin_http, "_REQUEST_SECONDS", 1)
    sockets = bind("127.0.0.1", 0, udp=False)
    pages = {"/livez": admin_http.probe(lambda: True, "ok", "")}
    async with admin_http.admin_port(sockets.tcp, pages):
        reader, writer = await asyncio.open_connection("127.0.0.1", sockets.port)
        writer.write(request_part)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(request_part and b"x")
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1), 0.1)
        writer.close()


async def test_end_of_the_admin_port_waits_for_nobody() -> None:
    """A second signal must end the process at once, whoever is connected."""
    sockets = bind("127.0.0.1", 0, udp=False)
    async with admin_http.admin_port(sockets.tcp, {}):
        reader, writer = await asyncio.open_connection("127.0.0.1", sockets.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        turns = asyncio.create_task(_count_turns())
    turns.cancel()
    assert await turns < 100
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


async def _count_turns() -> int:
    turns = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            turns += 1
            await asyncio.sleep(0)
    return turns
