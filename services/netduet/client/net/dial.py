"""Resolving and connecting, and the one table of errno meanings.

Every failure keeps the name of its errno, which is the most useful result.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from netduet.client.net.icmp_errors import IcmpMeaning
from netduet.net.tcp_info import tcp_info
from netduet.net.time_span import Timed
from netduet.net.tls_layer import TlsFailedError

Result = TypeVar("Result")


UNROUTED: Final = "this host has no route there"


class Cause(StrEnum):
    """Why a name could not be resolved or an address not be reached."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NO_ROUTE = "no_route"
    RESET = "reset"
    NOT_FOUND = "not_found"
    NO_FAMILY = "no_family"
    TLS = "tls"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ErrnoMeaning:
    """The meaning of an errno.

    ``icmp`` is the ICMP error that the kernel maps to it, in the words of
    ``icmp_text``. ``remote``: on a UDP socket it reports that the network refused an
    earlier datagram. ``local``: this host's kernel did not send. ``no_route``:
    this host has no route, no address or no protocol of that family. ``no_port``: it
    has no local port left for that address.
    """

    cause: Cause
    icmp: IcmpMeaning = IcmpMeaning.OTHER
    icmp_text: str = ""
    remote: bool = False
    local: bool = False
    no_route: bool = False
    no_port: bool = False


_UNKNOWN_ERRNO: Final = ErrnoMeaning(Cause.OTHER)

_ERRNOS: Final = {
    errno.ECONNREFUSED: ErrnoMeaning(
        Cause.REFUSED, IcmpMeaning.PORT, "port unreachable", remote=True
    ),
    errno.ETIMEDOUT: ErrnoMeaning(Cause.TIMEOUT),
    errno.EHOSTUNREACH: ErrnoMeaning(
        Cause.UNREACHABLE,
        IcmpMeaning.HOST,
        "host unreachable, or prohibited",
        remote=True,
    ),
    errno.ENETUNREACH: ErrnoMeaning(
        Cause.UNREACHABLE,
        IcmpMeaning.HOST,
        "network unreachable",
        remote=True,
        local=True,
        no_route=True,
    ),
    errno.EHOSTDOWN: ErrnoMeaning(Cause.UNREACHABLE, remote=True),
    errno.ENETDOWN: ErrnoMeaning(Cause.UNREACHABLE, local=True),
    errno.ECONNRESET: ErrnoMeaning(Cause.RESET),
    errno.ECONNABORTED: ErrnoMeaning(Cause.RESET),
    errno.EPIPE: ErrnoMeaning(Cause.RESET),
    errno.EACCES: ErrnoMeaning(
        Cause.OTHER, IcmpMeaning.PROHIBITED, "prohibited", local=True
    ),
    errno.EPERM: ErrnoMeaning(Cause.OTHER, local=True),
    errno.EADDRNOTAVAIL: ErrnoMeaning(
        Cause.OTHER, local=True, no_route=True, no_port=True
    ),
    errno.EADDRINUSE: ErrnoMeaning(Cause.OTHER, local=True, no_port=True),
    errno.EAFNOSUPPORT: ErrnoMeaning(Cause.OTHER, no_route=True),
}
"""The one table of what errno values mean."""

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
        """The address as connect(2) takes it."""
        if self.family is socket.AF_INET6:
            # uvloop passes on the first two alone, so the scope is part of the host.
            host = self.host.partition("%")[0]
            host = f"{host}%{self.scope}" if self.scope else host
            return (host, self.port, 0, self.scope)
        return (self.host, self.port)

    @property
    def version(self) -> str:
        """``IPv4`` or ``IPv6``."""
        return "IPv6" if self.family is socket.AF_INET6 else "IPv4"

    def __str__(self) -> str:
        """Return it as a person types it."""
        host = f"[{self.host}]" if self.family is socket.AF_INET6 else self.host
        return f"{host}:{self.port}"


def ip_address(host: str, port: int) -> Address:
    """Return the address of an IP address in text, without a scope."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Address(family, host, port)


@dataclass(frozen=True, slots=True)
class Resolution(Timed):
    """The result of getaddrinfo(3). Times are monotonic seconds.

    ``is_empty``: the name exists, and has no address at all (EAI_NODATA).
    """

    addresses: tuple[Address, ...]
    cause: Cause | None
    detail: str
    start: float
    end: float
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class ConnectResult(Timed):
    """The result of a connection attempt. Times are monotonic seconds.

    ``lost_syns`` is the exact number of SYNs (or their answers) that were lost
    (tcpi_total_retrans), whether or not the attempt succeeded in the end. ``is_datagram``:
    it was a question over UDP instead, which was sent again ``lost_syns`` times.
    ``port`` is the local port, 0 if unknown.
    """

    address: Address
    sock: socket.socket | None
    cause: Cause | None
    detail: str
    lost_syns: int
    start: float
    end: float
    is_datagram: bool = False
    port: int = 0


Connect = Callable[[Address, float], Awaitable[ConnectResult]]
"""Makes one connection within so many seconds; never raises."""


def errno_name(number: int | None) -> str:
    """Return the name of an errno, or its number if it has none."""
    return errno.errorcode.get(number or 0, str(number))


def errno_meaning(error: int | str | None) -> ErrnoMeaning:
    """Return the meaning of an errno, given by number, name or ``errno_text``."""
    if isinstance(error, str):
        error = getattr(errno, error.partition(":")[0], None)
    return _UNKNOWN_ERRNO if error is None else _ERRNOS.get(error, _UNKNOWN_ERRNO)


def errno_text(error: int | str) -> str:
    """Return the name of an errno with the kernel's text for it."""
    number = getattr(errno, error, None) if isinstance(error, str) else error
    return (
        str(error) if number is None else f"{errno_name(number)}: {os.strerror(number)}"
    )


def classify(error: BaseException) -> tuple[Cause, str]:
    """Return the class of an error, and the error's name."""
    if isinstance(error, TimeoutError) and not error.errno:
        return Cause.TIMEOUT, "no response in time"
    if isinstance(error, socket.gaierror):
        missing = error.errno in _NO_SUCH_NAME
        return Cause.NOT_FOUND if missing else Cause.OTHER, str(error.strerror)
    if isinstance(error, TlsFailedError):
        return Cause.TLS, f"TLS failed: {error}"
    if isinstance(error, OSError) and error.errno is not None:
        return errno_meaning(error.errno).cause, errno_text(error.errno)
    return Cause.OTHER, f"{type(error).__name__}: {error}"


async def in_thread(call: Callable[[], Result]) -> Result:
    """Run a blocking call in its own daemon thread.

    Not in the loop's executor: a hanging resolver would fill it, and would delay the
    end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def set_result(method: Callable[[Any], None], value: object) -> None:
        if not future.done():
            method(value)

    def run() -> None:
        method: Callable[[Any], None] = future.set_result
        value: object
        try:
            value = call()
        except Exception as error:  # noqa: BLE001 - passed to the caller
            method, value = future.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(set_result, method, value)

    threading.Thread(target=run, daemon=True, name="resolver").start()
    return await future


async def resolve(
    host: str, port: int, family: socket.AddressFamily, timeout: float
) -> Resolution:
    """Resolve a name as every program on this host does; never raises."""
    start = time.monotonic()

    def ask() -> list[Any]:
        # Without AI_ADDRCONFIG: addresses of families that this host lacks are evidence
        # too.
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)

    try:
        async with asyncio.timeout(timeout):
            found = await in_thread(ask)
    except (OSError, UnicodeError) as error:
        cause, detail = classify(error)
        end = time.monotonic()
        if cause is Cause.NOT_FOUND and family is not socket.AF_UNSPEC:
            left = timeout - (end - start)
            other = await resolve(host, port, socket.AF_UNSPEC, left)
            if other.addresses:
                cause = Cause.NO_FAMILY
                detail += (
                    f"; it has {', '.join(address.host for address in other.addresses)}"
                )
        is_empty = cause is Cause.NOT_FOUND and _is_empty(error)
        return Resolution((), cause, detail, start, end, is_empty)
    addresses = tuple(
        dict.fromkeys(
            Address(
                family,
                name[0],
                port,
                name[3] if len(name) > 2 else 0,  # noqa: PLR2004
            )
            for family, _, _, _, name in found
        )
    )
    return Resolution(addresses, None, "", start, time.monotonic())


def _is_empty(error: BaseException) -> bool:
    empty = getattr(socket, "EAI_NODATA", None)
    return isinstance(error, socket.gaierror) and error.errno == empty


def has_route(address: Address) -> bool:
    """Return whether this host has a route to an address; sends nothing."""
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
            probe.connect(address.sockaddr)
    except OSError as error:
        return not errno_meaning(error.errno).no_route
    return True


async def connect(address: Address, timeout: float, port: int = 0) -> ConnectResult:
    """Make one connection; never raises. The caller must close the socket.

    ``port`` is the local port to connect from, 0 for the kernel's choice. If that port is
    in use, the result is an error of this host (``errno_meaning``: ``no_port``).
    """
    start = time.monotonic()
    if not has_route(address):
        detail = UNROUTED
        return ConnectResult(address, None, Cause.NO_ROUTE, detail, 0, start, start)
    sock = None
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if port:
            # A closed connection of ours from that port does not block it (socket(7)).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", port))
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except OSError as error:
        end = time.monotonic()
        cause, detail = classify(error)
        lost = 0
        if sock is not None:
            lost = lost_syns(sock)
            port = port or local_port(sock)
            sock.close()
        return ConnectResult(address, None, cause, detail, lost, start, end, port=port)
    except BaseException:  # cancelled: no one else closes the socket
        if sock is not None:
            sock.close()
        raise
    end = time.monotonic()
    return ConnectResult(
        address, sock, None, "", lost_syns(sock), start, end, port=local_port(sock)
    )


def local_port(sock: socket.socket) -> int:
    """Return the local port of a socket, 0 if it has none."""
    try:
        return int(sock.getsockname()[1])
    except OSError:
        return 0


def lost_syns(sock: socket.socket) -> int:
    """Return how many SYNs of a new connection were retransmitted."""
    info = tcp_info(sock.fileno())
    return 0 if info is None else info.total_retrans
