"""The server's life cycle: start, signals, drain, exit; and a suspended process."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from netduet.server.drain import BUSY_SECONDS
from netduet.wire.frames import Kind, serialize
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.framed_client import (
    GREETING,
    HELLO,
    FramedClient,
    connect,
    exchange_greetings,
    opening,
    read_to_end,
)
from tests.integration.servers import TIMEOUT_SECONDS, ServerProcess


@dataclass
class Load:
    """Clients that talk to a server again and again, and what became of each try."""

    port: int
    fates: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _warm: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start four plain and four framed clients; return when all have had answers."""
        for name, client in (("plain", self._plain), ("framed", self._framed)) * 4:
            thread = threading.Thread(target=self._repeat, args=(name, client))
            thread.start()
            self._threads.append(thread)
        assert self._warm.wait(TIMEOUT_SECONDS)

    def join(self) -> None:
        """Wait until each client was refused because the listener is closed."""
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
        self._over.set()

    def _repeat(self, name: str, client: Callable[[socket.socket], None]) -> None:
        while not self._over.is_set():
            try:
                sock = connect(self.port)
            except ConnectionRefusedError:
                return
            with sock:
                try:
                    client(sock)
                except (OSError, EOFError) as error:
                    self.fates[f"{name}: {error!r}"] += 1
                else:
                    self.fates["answered"] += 1
            if self.fates["answered"] > 200:
                self._warm.set()

    def _plain(self, sock: socket.socket) -> None:
        sock.sendall(HELLO)
        if sock.recv(1024) != GREETING:
            raise EOFError("no greeting")

    def _framed(self, sock: socket.socket) -> None:
        sock.sendall(opening() + serialize(Kind.ECHO, b"x" * 100) * 3)
        sock.sendall(serialize(Kind.END))
        answer = read_to_end(sock)
        if answer.count(b"x" * 100) != 3:
            raise EOFError(f"answered {answer!r}")


@pytest.mark.parametrize("delay", ["0", "300ms"])
def test_sigterm_under_load_answers_all_it_accepted(
    serve_command: ServeCommand, delay: str
) -> None:
    """Under load in both dialects SIGTERM loses no connected client."""
    server = serve_command(shutdown_delay=delay)
    load = Load(server.port)
    load.start()
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    status = server.finish()
    seconds = time.monotonic() - start
    load.join()
    assert status == 0
    assert seconds < 5
    assert set(load.fates) == {"answered"}
    [stopped] = server.of("server.stopped")
    assert stopped["netduet.reset"] == 0
    assert stopped["netduet.accepted"] >= load.fates["answered"]


def test_accept_queue_is_served_before_the_listener_closes(
    serve_command: ServeCommand,
) -> None:
    """Connections queued when SIGTERM comes are all answered."""
    server = serve_command(backlog=1024)
    server.process.send_signal(signal.SIGSTOP)
    socks = [connect(server.port) for _ in range(500)]
    for sock in socks:
        sock.sendall(HELLO)
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGCONT)
    answers = Counter(read_to_end(sock) for sock in socks)
    for sock in socks:
        sock.close()
    assert answers == {GREETING: 500}
    assert server.finish() == 0


async def test_last_queued_connection_is_served(start_server: StartServer) -> None:
    """A connection that is queued at the stop is accepted and answered."""
    for _ in range(10):
        running = await start_server(drain_timeout=5.0)
        with connect(running.port) as sock:
            sock.sendall(HELLO)
            sock.shutdown(socket.SHUT_WR)
            await running.stop()
            assert read_to_end(sock) == GREETING
        assert len(running.lines.of("connection.closed")) == 1


def test_server_ends_by_itself_at_its_time_limit(serve_command: ServeCommand) -> None:
    """Until then it serves; it drains as after SIGTERM."""
    start = time.monotonic()
    server = serve_command(time_limit="1500ms")
    assert exchange_greetings(server.port) == GREETING
    assert server.finish() == 0
    assert time.monotonic() - start >= 1.5
    assert server.of("server.draining")


def test_shutdown_delay_accepts_connections(serve_command: ServeCommand) -> None:
    """During the delay new clients are served, afterwards they are refused."""
    server = serve_command(shutdown_delay="500ms")
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.wait("server.draining")
    while True:
        try:
            assert exchange_greetings(server.port) == GREETING
        except ConnectionRefusedError:
            break
    assert 0.5 <= time.monotonic() - start < 3
    assert server.finish() == 0


def test_idle_peers_are_told_of_the_drain(serve_command: ServeCommand) -> None:
    """Idle framed peers get ``draining``, and the server does not wait for them."""
    server = serve_command(drain_timeout="20s", log_level="debug")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(FramedClient(server.port)) for _ in range(10)]
        silent = stack.enter_context(connect(server.port))
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert {peer.error()["code"] for peer in peers} == {"draining"}
        assert read_to_end(silent) == b""
    assert server.finish() == 0
    assert time.monotonic() - start < 5
    [stopped] = server.of("server.stopped")
    assert (stopped["netduet.drained"], stopped["netduet.reset"]) == (11, 0)
    ends = {line["netduet.ended"] for line in server.of("connection.closed")}
    assert ends == {"drained"}


def test_drain_waits_for_busy_peers(serve_command: ServeCommand) -> None:
    """A peer in the middle of a conversation may finish it during the drain."""
    server = serve_command(drain_timeout="1h")
    with FramedClient(server.port) as peer:
        server.process.send_signal(signal.SIGTERM)
        server.wait("server.draining")
        start = time.monotonic()
        while time.monotonic() < start + BUSY_SECONDS / 3:
            assert peer.echo(b"x" * 1000) == b"x" * 1000
        peer.end()
    assert server.finish() == 0
    [stopped] = server.of("server.stopped")
    assert (stopped["netduet.drained"], stopped["netduet.reset"]) == (0, 0)


def ask_without_end(peer: FramedClient, question: bytes) -> tuple[int, int, str]:
    """Keep four questions under way until an ERROR comes.

    Returns:
        how many were asked and answered, and the code of the error.

    """
    asked = answered = 0
    while True:
        while asked < answered + 4:
            with contextlib.suppress(ConnectionError):  # the answers tell
                peer.sock.sendall(question)
            asked += 1
        frame = peer.receive()
        if frame.kind == Kind.ERROR:
            assert read_to_end(peer.sock) == b""
            return asked, answered, json.loads(frame.payload)["code"]
        answered += 1


@pytest.mark.parametrize(
    "question",
    [
        serialize(Kind.ECHO, b"x" * 1000),
        serialize(Kind.SOURCE, b'{"size":1000000,"seed":1}'),
    ],
    ids=["echo", "source"],
)
def test_peers_that_never_stop_asking_are_told_of_the_drain(
    serve_command: ServeCommand, question: bytes
) -> None:
    """``draining`` follows the answers, without a reset, long before the drain is over.

    Meanwhile nobody else gets in.
    """
    server = serve_command(drain_timeout="1h")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(FramedClient(server.port)) for _ in range(5)]
        with ThreadPoolExecutor(len(peers)) as pool:
            ends = [pool.submit(ask_without_end, peer, question) for peer in peers]
            server.process.send_signal(signal.SIGTERM)
            while True:
                try:
                    assert exchange_greetings(server.port) == GREETING
                except OSError:
                    break
            for end in ends:
                asked, answered, code = end.result()
                assert code == "draining"
                assert asked - 4 <= answered
    assert server.finish() == 0
    [stopped] = server.of("server.stopped")
    assert (stopped["netduet.drained"], stopped["netduet.reset"]) == (5, 0)


def test_peer_in_steady_use_is_told_of_the_drain(serve_command: ServeCommand) -> None:
    """A connection with a request every half second gets ``draining``, and no reset.

    A watch keeps one like that for as long as the server lives.
    """
    server = serve_command(drain_timeout="20s")
    with FramedClient(server.port) as peer:
        assert peer.echo(b"x") == b"x"
        server.process.send_signal(signal.SIGTERM)
        server.wait("server.draining")
        for _ in range(20):
            readable, _, _ = select.select([peer.sock], [], [], 0.5)
            if readable:
                break
            peer.sock.sendall(serialize(Kind.ECHO, b"x"))
            assert peer.receive().payload == b"x"
        assert peer.error()["code"] == "draining"
    assert server.finish() == 0
    [stopped] = server.of("server.stopped")
    assert stopped["netduet.reset"] == 0


def test_client_that_never_closes_delays_the_exit_briefly(
    serve_command: ServeCommand,
) -> None:
    """A greeted client that stays connected silently is dropped soon."""
    server = serve_command(drain_timeout="20s")
    with connect(server.port) as sock:
        sock.sendall(HELLO)
        assert read_to_end(sock) == GREETING
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 4


def stuff(peer: FramedClient) -> None:
    """Ask without reading until the server no longer reads."""
    peer.sock.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while True:
            peer.sock.sendall(serialize(Kind.ECHO, bytes(100_000)))


def test_stuck_peers_are_reset_and_counted(serve_command: ServeCommand) -> None:
    """Peers that do not read within the drain time are reset; the others are told."""
    server = serve_command(drain_timeout="1s")
    with FramedClient(server.port) as peer:
        stuff(peer)
        with FramedClient(server.port) as reader:
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert reader.error()["code"] == "draining"
        assert server.finish() == 0
        assert time.monotonic() - start < 4
        with pytest.raises(ConnectionError):
            read_to_end(peer.sock)
    [stopped] = server.of("server.stopped")
    assert stopped["netduet.reset"] == 1


@pytest.mark.parametrize("delay", ["0", "1h"])
def test_second_signal_exits_at_once(serve_command: ServeCommand, delay: str) -> None:
    """A second SIGTERM ends the delay, and the wait for open connections."""
    server = serve_command(shutdown_delay=delay, drain_timeout="1h")
    with FramedClient(server.port) as peer:
        stuff(peer)
        server.process.send_signal(signal.SIGTERM)
        server.wait("server.draining")
        assert server.stop() == 0
        with pytest.raises(ConnectionError):
            read_to_end(peer.sock)
    [stopped] = server.of("server.stopped")
    assert stopped["netduet.reset"] == 1


def test_sigint_drains_like_sigterm(serve_command: ServeCommand) -> None:
    """Ctrl-C ends the server without a traceback."""
    server = serve_command()
    assert server.stop(signal.SIGINT) == 0
    assert server.stderr_text() == ""


def serve_in_vain(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a server that cannot start; return its error output."""
    return subprocess.run(
        [sys.executable, "-m", "netduet", "serve", *words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_port_in_use_is_a_one_line_error(serve_command: ServeCommand) -> None:
    """The line names the port; the exit status is 2."""
    server = serve_command()
    done = serve_in_vain("--host", "127.0.0.1", "--port", str(server.port))
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert str(server.port) in line
    assert "stop it or use another port" in line


def test_foreign_address_is_a_one_line_error() -> None:
    """An address that this host lacks gives one line and exit status 2."""
    done = serve_in_vain("--host", "192.0.2.1", "--port", "0")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "192.0.2.1" in line


def test_port_zero_is_the_same_port_everywhere(serve_command: ServeCommand) -> None:
    """A free port is the same for TCP and UDP, IPv4 and IPv6."""
    server = serve_command(host="")
    lines = server.of("server.listening")
    assert {line["server.port"] for line in lines} == {server.port}
    found = {(line["network.transport"], line["network.type"]) for line in lines}
    assert found == {(t, f) for t in ("tcp", "udp") for f in ("ipv4", "ipv6")}
    assert exchange_greetings(server.port) == GREETING
    with connect(server.port, "::1") as sock:
        sock.sendall(HELLO)
        assert read_to_end(sock) == GREETING
    line = server.closed_line(2)
    assert {line["network.type"] for line in server.of("connection.closed")} == {
        "ipv4",
        "ipv6",
    }
    assert line["network.transport"] == "tcp"


def _stop_for(command: ServerProcess, seconds: float) -> None:
    """Stop the process, and let it go on after a while; the while is the subject."""
    command.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    command.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("seconds", [0.55, 1.5])
def test_suspended_server_drops_no_active_peer(
    serve_command: ServeCommand, seconds: float
) -> None:
    """A server that did not run for longer than its deadlines drops no active peer."""
    server = serve_command(
        first_byte_timeout="500ms",
        opening_timeout="500ms",
        frame_timeout="500ms",
        idle_timeout="500ms",
    )
    hello = opening()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(server.port)) for _ in range(30)]
        started = [stack.enter_context(connect(server.port)) for _ in range(30)]
        framed = [stack.enter_context(FramedClient(server.port)) for _ in range(30)]
        for sock in started:
            sock.sendall(hello[:20])
        halves = serialize(Kind.ECHO, b"x" * 100)
        for peer in framed:
            peer.sock.sendall(halves[:50])
        server.process.send_signal(signal.SIGSTOP)
        for sock in silent:
            sock.sendall(HELLO)
        for sock in started:
            sock.sendall(hello[20:])
        for peer in framed:
            peer.sock.sendall(halves[50:])
        _stop_for(server, seconds)
        assert {read_to_end(sock) for sock in silent} == {GREETING}
        assert all(b"conn_id" in sock.recv(4096) for sock in started)
        assert {peer.receive().payload for peer in framed} == {b"x" * 100}
