"""The container's health check: one framed opening on loopback. Standard library only.

It does not use the command line, whose import takes ten times as long as the whole
check. Exit status 0 when a netduet answers, 1 otherwise.

A server that is full, or has no descriptor left, closes a connection without a byte.
Then a datagram asks whether it is alive: that needs no descriptor.
"""

import contextlib
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
    try:
        # Not create_connection, which looks up even a literal address and is slow.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            plain.settimeout(TIMEOUT)
            plain.connect((host, port))
            try:
                with contextlib.ExitStack() as stack:
                    sock = _with_tls(plain, stack)
                    if sock is None:
                        return None  # mutual TLS: it asks whom it serves, so it lives
                    return _open(sock)
            except OSError as error:
                if not _is_cut(error):
                    raise
        return _check_datagram(family, host, port)
    except (OSError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"


def _open(sock: socket.socket) -> str | None:
    """Open and end; return the problem."""
    nonce = os.urandom(16).hex()
    opening = serialize(Kind.OPEN, b'{"version":1,"nonce":"%s"}' % nonce.encode())
    sock.sendall(MAGIC + opening)
    answer = _receive(sock, len(MAGIC) + HEADER_SIZE)
    if not any(answer):
        raise ConnectionAbortedError
    if not answer.startswith(MAGIC):
        return f"not a netduet server: {answer[:32]!r}"
    length, kind, flags, _, _ = HEADER.unpack_from(answer, len(MAGIC))
    payload = _receive(sock, min(length, MAX_CONTROL))
    if kind == Kind.ERROR and b'"too_many_connections"' in payload:
        return None  # full is not unhealthy: a restart would end all connections
    if kind != Kind.OPEN or flags != ANSWER or nonce.encode() not in payload:
        return f"no welcome: {payload[:256]!r}"
    sock.sendall(serialize(Kind.END))
    _receive(sock, HEADER_SIZE)
    return None


def _with_tls(sock: socket.socket, stack: contextlib.ExitStack) -> socket.socket | None:
    """Return the socket, with TLS if the environment says so, until the stack closes.

    None if the server refuses a client without a certificate that it knows. Its own
    certificate need not be valid for a loopback address, and is not verified.
    """
    certificate = os.environ.get("NETDUET_SERVER_TLS_CERT")
    if not certificate:
        return sock
    import ssl  # noqa: PLC0415 - it takes as long as the whole check

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    wrapped = context.wrap_socket(sock, do_handshake_on_connect=False)
    stack.enter_context(wrapped)
    try:
        wrapped.do_handshake()
        if os.environ.get("NETDUET_SERVER_TLS_CLIENT_CA"):
            wrapped.recv(1)  # in TLS 1.3 the alert follows the handshake
    except ssl.SSLError as error:
        if os.environ.get("NETDUET_SERVER_TLS_CLIENT_CA") and _is_alert(error.reason):
            return None
        raise
    return wrapped


def _is_alert(reason: str | None) -> bool:
    return "ALERT" in (reason or "")


def _is_cut(error: OSError) -> bool:
    """Return whether the peer ended the connection, with TLS or without."""
    return isinstance(error, ConnectionError) or type(error).__name__ == "SSLEOFError"


def _check_datagram(family: socket.AddressFamily, host: str, port: int) -> str | None:
    """Have a datagram echoed; return the problem, or None if the server answers."""
    payload = os.urandom(16)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect((host, port))
            sock.send(MAGIC + serialize(Kind.ECHO, payload))
            if sock.recv(2048) == MAGIC + serialize(Kind.ECHO, payload, flags=ANSWER):
                return None  # full is not unhealthy
            problem = "a wrong answer"
    except OSError as error:
        problem = f"{type(error).__name__}: {error}"
    return f"closed the connection without a byte; a datagram: {problem}"


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
