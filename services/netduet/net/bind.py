"""Binds one port on every requested address, and explains errors."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final

_TRIES: Final = 16
"""Ports tried when any free one will do: it must be free in every address family."""

_NO_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class BindError(Exception):
    """An address that cannot be listened on; the message names it and a remedy."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Bound sockets, all on one port; ``absent`` are families this host lacks."""

    port: int
    tcp: list[socket.socket]
    udp: list[socket.socket]
    absent: list[str]

    def close(self) -> None:
        """Close all of them."""
        for sock in (*self.tcp, *self.udp):
            sock.close()


def bind(host: str, port: int, *, udp: bool) -> Sockets:
    """Bind the port on every address of the host ("" means every address).

    Raises:
        BindError: the host has no address here, or the port is taken or forbidden.
    """
    for left in range(_TRIES, 0, -1):
        try:
            return _bind_all(_addresses(host), port, udp=udp)
        except OSError as error:
            if port == 0 and left > 1 and error.errno == errno.EADDRINUSE:
                continue
            raise BindError(reason(error, host, port)) from None
    raise AssertionError  # the last try returned or raised


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if not host:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104 - every address is the documented default
    found = socket.getaddrinfo(
        host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys((info[0], str(info[4][0])) for info in found))


def _bind_all(
    addresses: list[tuple[socket.AddressFamily, str]], port: int, *, udp: bool
) -> Sockets:
    sockets = Sockets(port, [], [], [])
    kinds = [(socket.SOCK_STREAM, sockets.tcp)]
    if udp:
        kinds.append((socket.SOCK_DGRAM, sockets.udp))
    try:
        for family, address in addresses:
            for kind, bound in kinds:
                try:
                    sock = _bind_one(family, kind, address, port)
                except OSError as error:
                    if error.errno in _NO_FAMILY and len(addresses) > 1:
                        sockets.absent.append(family.name)
                        break
                    raise
                bound.append(sock)
                port = sock.getsockname()[1]
    except OSError:
        sockets.close()
        raise
    if not sockets.tcp:
        raise OSError(errno.EADDRNOTAVAIL, "no address family supports this address")
    return Sockets(port, sockets.tcp, sockets.udp, sockets.absent)


def _bind_one(
    family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def reason(error: OSError, host: str, port: int) -> str:
    """Return one line: why an address cannot be listened on, and a remedy."""
    remedies = {
        errno.EADDRINUSE: "another process is already using it; stop it or use another port",
        errno.EACCES: "ports below 1024 require a privilege: use a higher one",
        errno.EADDRNOTAVAIL: "this host has no such address",
    }
    if isinstance(error, socket.gaierror):
        remedy = "this name does not resolve here"
    else:
        remedy = remedies.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {host or 'every address'}, port {port}: {remedy}"
