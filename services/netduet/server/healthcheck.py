"""The container's health check: one framed opening on loopback. Standard library only.

It stands alone because importing the command line costs ten times what the
whole check takes. Exit status 0 when a netduet answers, 1 otherwise.
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
"""Seconds for the connect, and for each wait for an answer."""


def check(host: str, port: int) -> str | None:
    """Open a framed connection; return what is wrong, None when all is well."""
    nonce = os.urandom(16).hex()
    opening = serialize(Kind.OPEN, b'{"version":1,"nonce":"%s"}' % nonce.encode())
    try:
        # Not create_connection: looking up even a literal address costs start-up.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect((host, port))
            sock.sendall(MAGIC + opening)
            answer = _receive(sock, len(MAGIC) + HEADER_SIZE)
            if not answer.startswith(MAGIC):
                return f"not a netduet: {answer[:32]!r}"
            length, kind, flags, _, _ = HEADER.unpack_from(answer, len(MAGIC))
            payload = _receive(sock, min(length, MAX_CONTROL))
            if kind == Kind.ERROR and b'"too_many_connections"' in payload:
                return None  # full is not ill: a restart would cut all it serves
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
    """Take host and port from the environment, as the server beside it does."""
    host = os.environ.get("NETDUET_SERVER_HOST") or "127.0.0.1"
    port = os.environ.get("NETDUET_SERVER_PORT") or ""
    any_address = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    # Kubernetes writes a service link of the same name (tcp://…): not the port.
    return any_address.get(host, host), int(port) if port.isdecimal() else PORT


def main() -> int:
    """Check once; say what is wrong in one line on stderr."""
    host, port = _target()
    problem = check(host, port)
    if problem is not None:
        print(f"unhealthy: {host}:{port}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
