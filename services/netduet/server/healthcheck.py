"""The container's health check: one framed opening on loopback. Standard library only.

It does not use the command line, whose import takes ten times as long as the whole
check. Exit status 0 when a netduet answers, 1 otherwise.
"""

import os
import socket
import sys

from netduet.wire.frames import (
    ANSWER,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    MAX_CONTROL,
    PORT,
    Kind,
    serialize,
)

TIMEOUT = 2.0
"""Seconds for the connect, and for each answer."""


def check(host: str, port: int) -> str | None:
    """Open a framed connection; return the problem, or None if the server answers."""
    nonce = os.urandom(16).hex()
    opening = serialize(Kind.OPEN, b'{"version":1,"nonce":"%s"}' % nonce.encode())
    try:
        # Not create_connection, which looks up even a literal address and is slow.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect((host, port))
            sock.sendall(MAGIC + opening)
            answer = _receive(sock, len(MAGIC) + HEADER_SIZE)
            if not answer.startswith(MAGIC):
                return f"not a netduet server: {answer[:32]!r}"
            length, kind, flags, _, _ = HEADER.unpack_from(answer, len(MAGIC))
            payload = _receive(sock, min(length, MAX_CONTROL))
            if kind == Kind.ERROR and b'"too_many_connections"' in payload:
                return (
                    None  # full is not unhealthy: a restart would end all connections
                )
            if kind != Kind.OPEN or flags != ANSWER or nonce.encode() not in payload:
                return f"no welcome: {payload[:256]!r}"
            sock.sendall(serialize(Kind.END))
            _receive(sock, HEADER_SIZE)
    except (OSError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            return data.ljust(size, b"\0")
        data += piece
    return data


def _target() -> tuple[str, int]:
    """Read host and port from the environment, as the server does."""
    host = os.environ.get("NETDUET_SERVER_HOST") or "127.0.0.1"
    port = os.environ.get("NETDUET_SERVER_PORT") or ""
    any_address = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    # Kubernetes sets a service link of the same name (tcp://…), which is not the port.
    return any_address.get(host, host), int(port) if port.isdecimal() else PORT


def main() -> int:
    """Check once; print the problem in one line on stderr."""
    host, port = _target()
    problem = check(host, port)
    if problem is not None:
        print(f"unhealthy: {host}:{port}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
