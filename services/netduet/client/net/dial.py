"""Resolving and connecting; the only place that turns an errno into a class.

The errno is the product here: every failure keeps its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from netduet.net import kernel

Result = TypeVar("Result")


UNROUTED: Final = "this host has no route there"


class Cause(StrEnum):
    """Why a name or an address could not be had."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NO_ROUTE = "no_route"
    RESET = "reset"
    NOT_FOUND = "not_found"
    NO_FAMILY = "no_family"
    OTHER = "other"


_BY_ERRNO: Final = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.ETIMEDOUT: Cause.TIMEOUT,
    errno.EHOSTUNREACH: Cause.UNREACHABLE,
    errno.ENETUNREACH: Cause.UNREACHABLE,
    errno.EHOSTDOWN: Cause.UNREACHABLE,
    errno.ENETDOWN: Cause.UNREACHABLE,
    errno.ECONNRESET: Cause.RESET,
    errno.ECONNABORTED: Cause.RESET,
    errno.EPIPE: Cause.RESET,
}

_NO_SUCH_NAME: Final = frozenset(
    {
        socket.EAI_NONAME,
        getattr(socket, "EAI_NODATA", socket.EAI_NONAME),
        getattr(socket, "EAI_ADDRFAMILY", socket.EAI_NONAME),
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """An address to connect to. ``scope`` is the interface of a link-local one."""

    family: socket.AddressFamily
    host: str
    port: int
    scope: int = 0

    @property
    def sockaddr(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """Return what connect(2) takes."""
        if self.family is socket.AF_INET6:
            return (self.host, self.port, 0, self.scope)
        return (self.host, self.port)

    @property
    def version(self) -> str:
        """Return ``IPv4`` or ``IPv6``."""
        return "IPv6" if self.family is socket.AF_INET6 else "IPv4"

    def __str__(self) -> str:
        """Return it as a person types it."""
        host = f"[{self.host}]" if self.family is socket.AF_INET6 else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What getaddrinfo(3) said. Times are monotonic seconds."""

    addresses: tuple[Address, ...]
    cause: Cause | None
    detail: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class ConnectResult:
    """What came of a connection attempt. Times are monotonic seconds.

    ``lost_syns`` counts exactly how many SYNs (or their answers) were lost
    (tcpi_total_retrans), whether or not the connection was made in the end.
    """

    address: Address
    sock: socket.socket | None
    cause: Cause | None
    detail: str
    lost_syns: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


def classify(error: BaseException) -> tuple[Cause, str]:
    """Return the class of a failure, and the error's own name."""
    if isinstance(error, TimeoutError) and not error.errno:
        return Cause.TIMEOUT, "no answer in time"
    if isinstance(error, socket.gaierror):
        missing = error.errno in _NO_SUCH_NAME
        return Cause.NOT_FOUND if missing else Cause.OTHER, str(error.strerror)
    if isinstance(error, OSError) and error.errno is not None:
        name = errno.errorcode.get(error.errno, str(error.errno))
        cause = _BY_ERRNO.get(error.errno, Cause.OTHER)
        return cause, f"{name}: {os.strerror(error.errno)}"
    return Cause.OTHER, f"{type(error).__name__}: {error}"


async def in_thread(call: Callable[[], Result]) -> Result:
    """Run a blocking call in a daemon thread of its own.

    Not the loop's executor: a resolver that hangs would fill it, and hold up the
    end of the process. Nobody waits for a thread that is given up.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(method: Callable[[Any], None], value: object) -> None:
        if not future.done():
            method(value)

    def run() -> None:
        method: Callable[[Any], None] = future.set_result
        value: object
        try:
            value = call()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            method, value = future.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, method, value)

    threading.Thread(target=run, daemon=True, name="resolver").start()
    return await future


async def resolve(
    host: str, port: int, family: socket.AddressFamily, patience: float
) -> Resolution:
    """Resolve a name as every program on this host does; never raises."""
    start = time.monotonic()

    def ask() -> list[Any]:
        # Without AI_ADDRCONFIG: an address of a family that this host lacks is
        # evidence too.
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)

    try:
        async with asyncio.timeout(patience):
            found = await in_thread(ask)
    except (OSError, UnicodeError) as error:
        cause, detail = classify(error)
        end = time.monotonic()
        if cause is Cause.NOT_FOUND and family is not socket.AF_UNSPEC:
            left = patience - (end - start)
            other = await resolve(host, port, socket.AF_UNSPEC, left)
            if other.addresses:
                cause = Cause.NO_FAMILY
                detail += (
                    f"; it has {', '.join(address.host for address in other.addresses)}"
                )
        return Resolution((), cause, detail, start, end)
    addresses = tuple(
        dict.fromkeys(
            Address(one[0], one[4][0], port, one[4][3] if len(one[4]) > 2 else 0)  # noqa: PLR2004
            for one in found
        )
    )
    return Resolution(addresses, None, "", start, time.monotonic())


def has_route(address: Address) -> bool:
    """Tell whether this host has a route to an address; nothing is sent."""
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
            probe.connect(address.sockaddr)
    except OSError as error:
        absent = (errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
        return error.errno not in absent
    return True


async def connect(address: Address, patience: float) -> ConnectResult:
    """Make one connection; never raises. The socket is the caller's to close."""
    start = time.monotonic()
    if not has_route(address):
        detail = UNROUTED
        return ConnectResult(address, None, Cause.NO_ROUTE, detail, 0, start, start)
    sock = None
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except OSError as error:
        end = time.monotonic()
        cause, detail = classify(error)
        lost = 0
        if sock is not None:
            lost = lost_syns(sock)
            sock.close()
        return ConnectResult(address, None, cause, detail, lost, start, end)
    except BaseException:  # told to stop: nobody else knows of the socket
        if sock is not None:
            sock.close()
        raise
    end = time.monotonic()
    return ConnectResult(address, sock, None, "", lost_syns(sock), start, end)


def lost_syns(sock: socket.socket) -> int:
    """Return how many SYNs of a fresh connection were sent again."""
    info = kernel.tcp_info(sock.fileno())
    lost = info["total_retrans"] if info is not None else 0
    return lost if isinstance(lost, int) else 0
