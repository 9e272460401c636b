"""A server that can no longer serve ends, so that it is started again."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from netduet.server.watchdog import EXIT_FAILED
from netduet.wire.frames import Kind, serialize
from tests.integration.conftest import ServeCommand
from tests.integration.framed_client import (
    GREETING,
    connect,
    exchange_greetings,
    opening,
)
from tests.integration.servers import TIMEOUT_SECONDS, ServerProcess

UNFINISHED = opening() + serialize(Kind.ECHO, bytes(1_000_000))[:-1]
MIB = 1024 * 1024


def set_limit(server: ServerProcess, limit: int, value: int) -> None:
    """Set the soft limit of a running process."""
    _, hard = resource.prlimit(server.process.pid, limit)
    resource.prlimit(server.process.pid, limit, (value, hard))


@contextlib.contextmanager
def clients_until_the_end(server: ServerProcess, data: bytes) -> Iterator[None]:
    """Connect and send, again and again, until the process has ended."""

    def connect_all() -> None:
        socks = []
        until = time.monotonic() + TIMEOUT_SECONDS
        while server.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError):
                sock = connect(server.port)
                socks.append(sock)
                sock.settimeout(0.2)
                sock.sendall(data)
        for sock in socks:
            sock.close()

    thread = threading.Thread(target=connect_all)
    thread.start()
    yield
    thread.join()


def failure_reasons(server: ServerProcess) -> list[str]:
    """Return why the server ended."""
    return [line["netduet.reason"] for line in server.of("server.failed")]


def test_server_without_memory_ends_with_one_line(serve_command: ServeCommand) -> None:
    """What else was lost with a failed allocation nobody can say."""
    server = serve_command()
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[0])
    used = pages * resource.getpagesize()
    set_limit(server, resource.RLIMIT_AS, used + 2 * MIB)
    with clients_until_the_end(server, UNFINISHED):
        assert server.finish() == EXIT_FAILED
    assert failure_reasons(server) == ["out of memory"]
    assert server.of("runtime.exception") == []


def test_exhausted_descriptors_are_one_line_and_pass(
    serve_command: ServeCommand,
) -> None:
    """Not even the descriptor that the loop keeps in reserve is free."""
    server = serve_command()
    before, _ = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    set_limit(server, resource.RLIMIT_NOFILE, 3)
    with connect(server.port):
        assert server.wait("server.descriptors_exhausted") is not None
        set_limit(server, resource.RLIMIT_NOFILE, before)
        assert exchange_greetings(server.port) == GREETING
    assert server.stop() == 0
    assert len(server.of("server.descriptors_exhausted")) == 1
    assert server.of("runtime.exception") == []
