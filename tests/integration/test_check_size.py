"""The check ``size`` against a real server on loopback, and faulty proxies."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from netduet.client.checks.base import CheckContext
from netduet.client.checks.runner import CheckRunner
from netduet.client.checks.size import trial
from netduet.client.checks.size.black_hole import MIN_COUNTED_BYTES
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Finding, Outcome
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.foreign_servers import Behaviour, foreign_server
from tests.integration.framed_client import connect
from tests.integration.servers import TIMEOUT_SECONDS

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)

Carry = Callable[[int, bytes], bytes | None]
"""From the bytes carried before and new ones to what goes on; None stops reading."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a trial up sooner: on loopback nothing is lost and has to be sent again."""
    monkeypatch.setattr(trial, "STALL_SECONDS", 0.6)
    monkeypatch.setattr(trial, "SEARCH_STALL_SECONDS", 0.4)


async def size(port: int) -> CheckResult:
    """Check the sizes of a server on loopback; return what came of it."""
    with capture_logs():
        async with StallMonitor() as stalls:
            target = Target("127.0.0.1", port)
            given = CheckContext(target, socket.AF_UNSPEC, "", TIMEOUTS)
            check_runner = CheckRunner(given, stalls, lambda _: None, ("size",))
            await check_runner.run()
    [result] = [
        check_result
        for check_result in check_runner.verdict().results
        if check_result.check == "size"
    ]
    return result


def whole(_: int, data: bytes) -> bytes:
    """Carry all."""
    return data


def changing(at: int) -> Carry:
    """Change one bit of one byte."""

    def carry(before: int, data: bytes) -> bytes:
        if not before <= at < before + len(data):
            return data
        changed = bytearray(data)
        changed[at - before] ^= 1
        return bytes(changed)

    return carry


def deaf(after: int) -> Carry:
    """Stop reading after this number of bytes."""

    def carry(before: int, data: bytes) -> bytes | None:
        return data if before < after else None

    return carry


def swallowing(after: int) -> Carry:
    """Keep reading, and forward only this number of bytes."""

    def carry(before: int, data: bytes) -> bytes:
        return data[: max(0, after - before)]

    return carry


def ending(after: int) -> Carry:
    """Raise after this number of bytes, so that the proxy closes both directions."""

    def carry(before: int, data: bytes) -> bytes:
        if before >= after:
            raise ConnectionError("enough")
        return data

    return carry


def proxy(port: int, over: socket.socket, up: Carry, down: Carry) -> Behaviour:
    """Forward both directions through these functions until the end."""

    def behave(client: socket.socket) -> None:
        with connect(port) as server, contextlib.suppress(OSError):
            ways = {client.fileno(): (client, server, up)}
            ways[server.fileno()] = (server, client, down)
            carried = dict.fromkeys(ways, 0)
            poll = select.poll()
            for descriptor in (*ways, over.fileno()):
                poll.register(descriptor, select.POLLIN)
            while True:
                for descriptor, event in poll.poll(TIMEOUT_SECONDS * 1000):
                    if descriptor not in ways or not event & select.POLLIN:
                        return
                    source, target, carry = ways[descriptor]
                    data = source.recv(65536)
                    out = carry(carried[descriptor], data) if data else b""
                    carried[descriptor] += len(data)
                    if out is None:
                        poll.modify(descriptor, 0)
                    elif data:
                        target.sendall(out)
                    else:
                        poll.unregister(descriptor)
                        target.shutdown(socket.SHUT_WR)

    return behave


@contextlib.contextmanager
def behind(port: int, up: Carry = whole, down: Carry = whole) -> Iterator[int]:
    """Give the port of a proxy before this port."""
    over, stopped = socket.socketpair()
    with over, stopped, foreign_server(proxy(port, over, up, down)) as server:
        try:
            yield server.port
        finally:
            stopped.shutdown(socket.SHUT_WR)


def only(result: CheckResult) -> Finding:
    """Return the only finding."""
    [finding] = result.findings
    return finding


async def test_healthy_path_passes(serve_command: ServeCommand) -> None:
    """All sizes arrive unchanged both ways, and the figures say what was tried."""
    result = await size(serve_command().port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())
    assert result.summary.endswith(
        "transfers of up to 1,048,576 bytes arrive in both directions"
    )
    assert result.figures["up_largest_passed"] == 1048576
    assert result.figures["down_largest_passed"] == 1048576


async def test_transparent_proxy_passes(serve_command: ServeCommand) -> None:
    """A proxy that forwards everything is no fault."""
    with behind(serve_command().port) as port:
        result = await size(port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())


async def test_small_frame_limit_is_respected(start_server: StartServer) -> None:
    """Larger sizes are not tried, and a note says so."""
    result = await size((await start_server(max_frame_size=2048)).port)
    assert (result.outcome, result.findings) == (Outcome.PASS, ())
    assert result.figures["up_largest_passed"] == 2048 + 16
    assert "more than 2,064 bytes to the server were not tried" in result.remarks[0]


@pytest.mark.parametrize(("way", "where"), [("up", "path →"), ("down", "path ←")])
async def test_altered_byte_is_located(
    serve_command: ServeCommand, way: str, where: str
) -> None:
    """One altered bit is enough; direction and offset are reported."""
    with behind(serve_command().port, **{way: changing(20_000)}) as port:
        finding = only(await size(port))
    assert (finding.failure, finding.where) == ("size.changed", where)
    changed_at = finding.figures["changed_at"]
    assert isinstance(changed_at, int)
    assert 18_000 < changed_at < 20_000  # what came before it: openings, headers


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("way", "behave", "limit", "where"),
    [
        ("up", deaf, 300_000, "path →"),
        ("up", swallowing, 300_000, "path →"),
        ("up", swallowing, 20_000, "path →"),
        ("down", deaf, 20_000, "path ←"),
        ("down", deaf, 300_000, "path ←"),
        ("down", swallowing, 300_000, "path ←"),
    ],
)
async def test_stopped_proxy_is_no_black_hole(
    serve_command: ServeCommand,
    way: str,
    behave: Callable[[int], Carry],
    limit: int,
    where: str,
) -> None:
    """All data was acknowledged or the window was closed: length is not the cause.

    If a proxy stops each time after as many bytes, the finding says so.
    """
    with behind(serve_command().port, **{way: behave(limit)}) as port:
        finding = only(await size(port))
    assert (finding.failure, finding.where) == ("size.stalled", where)
    if limit >= MIN_COUNTED_BYTES:
        assert "each time about" in finding.seen
    assert finding.missed_deadline is not None


@pytest.mark.parametrize("way", ["up", "down"])
async def test_closing_proxy_is_a_cut(serve_command: ServeCommand, way: str) -> None:
    """A connection that ends each time during a size is cut."""
    with behind(serve_command().port, **{way: ending(100_000)}) as port:
        finding = only(await size(port))
    assert finding.failure == "size.cut"
    assert "1,048,576 bytes" in finding.seen
