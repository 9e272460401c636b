"""The health check: one framed opening, in a separate process."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netduet.server import healthcheck
from netduet.server.admission import LOBBY
from netduet.wire.frames import PORT
from tests.integration.conftest import ServeCommand
from tests.integration.framed_client import (
    GREETING,
    FramedClient,
    connect,
    exchange_greetings,
)

SERVICES = Path(healthcheck.__file__).parents[2]


def run(
    *command: str, port: int | str | None = None, host: str | None = None
) -> tuple[int, str]:
    """Run the check with nothing but its variables; return its status and its words."""
    environment = {}
    if port is not None:
        environment["NETDUET_SERVER_PORT"] = str(port)
    if host is not None:
        environment["NETDUET_SERVER_HOST"] = host
    done = subprocess.run(
        [sys.executable, *(command or ("-m", "netduet.server.healthcheck"))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Serve one client that is answered with these bytes, whatever it says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1024)
                with contextlib.suppress(OSError):  # it need not read it all
                    sock.sendall(answer)
                    sock.shutdown(socket.SHUT_WR)
                    sock.recv(1024)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("host", [None, "0.0.0.0", "::"])
def test_answering_server_is_healthy(
    serve_command: ServeCommand, host: str | None
) -> None:
    """Status 0 without output, and the server does not log it."""
    server = serve_command(host=host or "")
    assert run(port=server.port, host=host) == (0, "")
    assert server.stop() == 0
    assert server.of("connection.closed") == server.of("run.finished") == []


def test_health_check_runs_as_a_single_file(serve_command: ServeCommand) -> None:
    """It needs no site module, no packages and no current directory."""
    server = serve_command()
    code = (
        f"import sys; sys.path.append({str(SERVICES)!r}); "
        "from netduet.server.healthcheck import main; status = main(); "
        "heavy = {'pydantic', 'asyncio', 'structlog', 're', 'typing'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(status)"
    )
    assert run("-I", "-S", "-c", code, port=server.port) == (0, "")


def test_frozen_server_is_unhealthy(serve_command: ServeCommand) -> None:
    """A stopped process whose kernel still accepts is unhealthy."""
    server = serve_command()
    server.process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    status, words = run(port=server.port)
    server.process.send_signal(signal.SIGCONT)
    assert status == 1
    assert "TimeoutError" in words
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("udp", [True, False])
def test_full_server_is_healthy(serve_command: ServeCommand, *, udp: bool) -> None:
    """A server at its limit must not be restarted for it, whoever fills the lobby."""
    server = serve_command(max_connections=1, udp=udp)
    with FramedClient(server.port, source="127.0.0.2"):
        assert run(port=server.port) == (0, "")
        with contextlib.ExitStack() as stack:
            for _ in range(LOBBY):
                stack.enter_context(connect(server.port, source="127.0.0.2"))
            assert run(port=server.port) == (0, "")


def test_server_without_a_free_descriptor_is_healthy(
    serve_command: ServeCommand,
) -> None:
    """It can accept nobody, and answers a datagram; a restart would end all it serves.

    It says so once, and serves again as soon as a descriptor is free.
    """
    server = serve_command(first_byte_timeout="1h")
    process = server.process.pid
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(FramedClient(server.port))
        used = [int(path.name) for path in Path(f"/proc/{process}/fd").iterdir()]
        descriptors = max(used) + 1
        _, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (descriptors, hard))
        with connect(server.port) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(GREETING)
            assert sock.recv(1024) == b""
        assert run(port=server.port) == (0, "")
        assert peer.echo(b"x") == b"x"
        resource.prlimit(process, resource.RLIMIT_NOFILE, (descriptors + 8, hard))
        assert exchange_greetings(server.port) == GREETING
    assert server.stop() == 0
    assert server.of("runtime.exception") == []


def test_closed_port_is_unhealthy() -> None:
    """Status 1 and one line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    status, words = run(port=port)
    assert status == 1
    assert words.startswith(f"unhealthy: 127.0.0.1:{port}: ConnectionRefusedError")
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        GREETING,
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x9eNDT\r\n\x1a\n" + bytes(16),
        b"\x9eNDT\r\n\x1a\n\x00\x00\x00\x02\x01\x01\0\0" + bytes(8) + b"{}",
    ],
)
def test_foreign_server_is_unhealthy(answer: bytes) -> None:
    """Any other answer gives status 1 and one line."""
    with answering(answer) as port:
        status, words = run(port=port)
    assert status == 1
    assert words.startswith("unhealthy: ")
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "port"),
    [
        ("tcp://10.0.0.1:12345", PORT),
        ("", PORT),
        (None, PORT),
        ("8080", 8080),
        ("99999", 99999),
    ],
)
def test_port_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str | None, port: int
) -> None:
    """A Kubernetes service link of the same name is not taken for the port."""
    monkeypatch.delenv("NETDUET_SERVER_HOST", raising=False)
    monkeypatch.delenv("NETDUET_SERVER_PORT", raising=False)
    if value is not None:
        monkeypatch.setenv("NETDUET_SERVER_PORT", value)
    assert healthcheck._target() == ("127.0.0.1", port)


def test_invalid_port_is_a_one_line_error() -> None:
    """A port out of range gives status 1 and no traceback."""
    status, words = run(port=99999)
    assert status == 1
    assert len(words.splitlines()) == 1
