"""Peers that are gone without a word, and those that are only silent."""

from __future__ import annotations

import contextlib
import socket

from netduet.wire.frames import Kind, serialize
from tests.integration.conftest import ServeCommand
from tests.integration.framed_client import FramedClient, opening, reset
from tests.integration.segment_filter import cut_off


def test_cut_off_peers_leave_and_silent_ones_stay(serve_command: ServeCommand) -> None:
    """The kernel asks a silent peer whether it is there, unless it asked for silence.

    A probe would keep alive on the way what a HOLD is to find forgotten.
    """
    server = serve_command(write_timeout="100ms", log_level="debug")
    with contextlib.ExitStack() as stack:
        held, silent, again, gone = (
            stack.enter_context(FramedClient(server.port)) for _ in range(4)
        )
        for peer in (held, again):
            assert peer.ask(Kind.HOLD, seconds=600, speak=False) == {"spoke": False}
        assert again.ask(Kind.LEDGER, conn_id="0" * 32)["entry"] is None
        for peer in (held, again, gone):
            cut_off(peer.sock)
        server.closed_line(2)
        lines = server.of("connection.closed")
        assert {line["client.port"] for line in lines} == {
            peer.sock.getsockname()[1] for peer in (again, gone)
        }
        assert {
            (line["netduet.ended"], line["netduet.ended_by"], line["error.type"])
            for line in lines
        } == {("unreachable", "client", "ETIMEDOUT")}
        assert silent.echo(b"is here") == b"is here"
        reset(held.sock)


def test_peer_that_stops_reading_leaves_before_its_idle_time(
    serve_command: ServeCommand,
) -> None:
    """So few answers wait that all of them are in the kernel's buffer."""
    server = serve_command(write_timeout="100ms", log_level="debug")
    with socket.socket() as sock, FramedClient(server.port) as reader:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(opening() + serialize(Kind.ECHO, bytes(20_000)))
        line = server.closed_line()
        assert line["client.port"] == sock.getsockname()[1]
        assert line["netduet.ended"] == "unreachable"
        assert reader.echo(b"is here") == b"is here"
        reader.end()
