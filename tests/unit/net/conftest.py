"""A TCP connection on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """Return a listener, and both ends of a connection to it."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=8) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        yield listener, client, server
