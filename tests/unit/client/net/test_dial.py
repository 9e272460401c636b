"""Resolving and connecting: classes of failures, and timeouts."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import threading

import pytest

from netduet.client.net.dial import (
    Address,
    Cause,
    classify,
    connect,
    has_route,
    in_thread,
    resolve,
)
from netduet.net import kernel
from tests.integration.servers import TIMEOUT_SECONDS, wait_until
from tests.unit.client.fake_server import FakeServer

LOCAL = Address(socket.AF_INET, "127.0.0.1", 1)


def error(number: int) -> OSError:
    """Return what the system raises for a number."""
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("raised", "cause", "detail"),
    [
        (
            error(errno.ECONNREFUSED),
            Cause.REFUSED,
            "ECONNREFUSED: Connection refused",
        ),
        (error(errno.ETIMEDOUT), Cause.TIMEOUT, "ETIMEDOUT: Connection timed out"),
        (
            error(errno.EHOSTUNREACH),
            Cause.UNREACHABLE,
            "EHOSTUNREACH: No route to host",
        ),
        (
            error(errno.ENETUNREACH),
            Cause.UNREACHABLE,
            "ENETUNREACH: Network is unreachable",
        ),
        (error(errno.EHOSTDOWN), Cause.UNREACHABLE, "EHOSTDOWN: Host is down"),
        (error(errno.ENETDOWN), Cause.UNREACHABLE, "ENETDOWN: Network is down"),
        (error(errno.ECONNRESET), Cause.RESET, "ECONNRESET: Connection reset by peer"),
        (
            error(errno.ECONNABORTED),
            Cause.RESET,
            "ECONNABORTED: Software caused connection abort",
        ),
        (error(errno.EPIPE), Cause.RESET, "EPIPE: Broken pipe"),
        (error(errno.EMFILE), Cause.OTHER, "EMFILE: Too many open files"),
        (error(errno.EACCES), Cause.OTHER, "EACCES: Permission denied"),
        (OSError(99999, "odd"), Cause.OTHER, "99999: Unknown error 99999"),
        (TimeoutError(), Cause.TIMEOUT, "no response in time"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            Cause.NOT_FOUND,
            "Name or service not known",
        ),
        (
            socket.gaierror(socket.EAI_NODATA, "No address"),
            Cause.NOT_FOUND,
            "No address",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure"),
            Cause.OTHER,
            "Temporary failure",
        ),
        (socket.gaierror(socket.EAI_FAIL, "Failure"), Cause.OTHER, "Failure"),
        (OSError("bare"), Cause.OTHER, "OSError: bare"),
        (ValueError("label too long"), Cause.OTHER, "ValueError: label too long"),
    ],
)
def test_errno_gives_failure_class_and_keeps_its_name(
    raised: BaseException, cause: Cause, detail: str
) -> None:
    """Each error is classified by its number, and its name is kept."""
    assert classify(raised) == (cause, detail)


# Calls that block


async def test_blocking_call_returns_from_its_thread() -> None:
    """The result is returned; an abandoned thread delays nobody."""
    thread = await in_thread(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


async def test_exception_of_blocking_call_reaches_the_caller() -> None:
    """An exception in the thread is raised at the call."""
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.parametrize("late", [lambda: None, lambda: 1 // 0], ids=["says", "raises"])
async def test_hanging_call_times_out(late: object) -> None:
    """A call that never ends is abandoned, and its late result is ignored."""
    held, threads = threading.Event(), []

    def hang() -> object:
        threads.append(threading.current_thread())
        held.wait(TIMEOUT_SECONDS)
        return late()  # type: ignore[operator]

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_thread(hang)
    held.set()
    await wait_until(lambda: not threads[0].is_alive())
    await asyncio.sleep(0)  # what the thread left for the loop is heard


def test_call_outliving_its_loop_raises_nothing() -> None:
    """A resolver that answers after the loop has closed raises in no thread."""
    held, threads = threading.Event(), []

    def hang() -> None:
        threads.append(threading.current_thread())
        held.wait(TIMEOUT_SECONDS)

    async def give_up() -> None:
        async with asyncio.timeout(0.01):
            await in_thread(hang)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    held.set()
    threads[0].join(TIMEOUT_SECONDS)
    assert not threads[0].is_alive()


# Names


@pytest.mark.parametrize(
    ("host", "family"),
    [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)],
)
async def test_address_resolves_to_itself(
    host: str, family: socket.AddressFamily
) -> None:
    """An IP address gives a single result, with the port that was asked for."""
    found = await resolve(host, 80, socket.AF_UNSPEC, TIMEOUT_SECONDS)
    assert (found.addresses, found.cause) == ((Address(family, host, 80),), None)


async def test_invalid_name_fails_to_resolve() -> None:
    """A name that DNS cannot encode is reported without an exception."""
    found = await resolve("a" * 64 + ".invalid", 80, socket.AF_UNSPEC, TIMEOUT_SECONDS)
    assert (found.addresses, found.cause) == ((), Cause.OTHER)
    assert found.detail.startswith("UnicodeError: ")


async def test_literal_of_other_family_fails_to_resolve() -> None:
    """An IPv4 address fails if only IPv6 is wanted."""
    found = await resolve("127.0.0.1", 80, socket.AF_INET6, TIMEOUT_SECONDS)
    assert found.addresses == ()
    assert found.cause is not None


async def test_slow_lookup_is_a_timeout() -> None:
    """The resolution reports the timeout with its whole duration."""
    found = await resolve("name.invalid", 80, socket.AF_UNSPEC, 0.0)
    assert (found.addresses, found.cause) == ((), Cause.TIMEOUT)
    assert found.start <= found.end


# Connections


async def test_listening_port_accepts() -> None:
    """A connection is made; its socket is the caller's, and no SYN was lost."""
    async with FakeServer(lambda accepted: accepted.wait_for_close()) as server:
        connected = await connect(server.address, TIMEOUT_SECONDS)
        assert connected.sock is not None
        with connected.sock as sock:
            assert sock.getpeername() == server.address.sockaddr
    assert (connected.cause, connected.detail, connected.lost_syns) == (None, "", 0)


async def test_closed_port_refuses() -> None:
    """A port that is bound and does not listen answers with a reset."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        connected = await connect(
            Address(socket.AF_INET, "127.0.0.1", port), TIMEOUT_SECONDS
        )
    assert (connected.sock, connected.cause) == (None, Cause.REFUSED)
    assert connected.detail == "ECONNREFUSED: Connection refused"


async def test_lost_syns_are_counted_until_the_timeout() -> None:
    """If SYNs are lost, the attempt times out and reports more than one SYN."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        assert kernel.ignore_new_connections(deaf.fileno())
        port = deaf.getsockname()[1]
        # The kernel sends a SYN again after a second.
        connected = await connect(Address(socket.AF_INET, "127.0.0.1", port), 1.5)
    assert (connected.sock, connected.cause) == (None, Cause.TIMEOUT)
    assert connected.lost_syns >= 1


async def test_family_missing_on_this_host_is_no_route() -> None:
    """What cannot be tried is kept apart from what failed, without waiting."""
    absent = Address(socket.AF_IPX, "127.0.0.1", 80)
    assert not has_route(absent)
    connected = await connect(absent, TIMEOUT_SECONDS)
    assert (connected.sock, connected.cause) == (None, Cause.NO_ROUTE)
    assert connected.seconds == 0


def test_loopback_has_a_route() -> None:
    """Looking up a route needs no listener."""
    assert has_route(LOCAL)


@pytest.mark.parametrize(
    ("address", "shown", "sockaddr", "version"),
    [
        (
            Address(socket.AF_INET, "192.0.2.1", 80),
            "192.0.2.1:80",
            ("192.0.2.1", 80),
            "IPv4",
        ),
        (
            Address(socket.AF_INET6, "2001:db8::1", 80),
            "[2001:db8::1]:80",
            ("2001:db8::1", 80, 0, 0),
            "IPv6",
        ),
        (
            Address(socket.AF_INET6, "fe80::1%eth0", 80, 2),
            "[fe80::1%eth0]:80",
            ("fe80::1%2", 80, 0, 2),
            "IPv6",
        ),
        (
            Address(socket.AF_INET6, "fe80::1", 80, 2),
            "[fe80::1]:80",
            ("fe80::1%2", 80, 0, 2),
            "IPv6",
        ),
    ],
)
def test_link_local_address_keeps_its_interface(
    address: Address, shown: str, sockaddr: tuple[str | int, ...], version: str
) -> None:
    """The scope is also part of the host, for loops that pass on nothing else."""
    assert (str(address), address.sockaddr, address.version) == (
        shown,
        sockaddr,
        version,
    )


async def test_name_without_that_family_differs_from_unknown_name() -> None:
    """A name that only has addresses of the other family does exist."""
    found = await resolve("::1", 80, socket.AF_INET, TIMEOUT_SECONDS)
    assert found.cause is Cause.NO_FAMILY
    assert "::1" in found.detail


async def test_cancelled_connect_closes_its_socket() -> None:
    """A socket left open would be a ResourceWarning, and so an error."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        name = full.getsockname()
        with socket.create_connection(name):  # the queue has no more room
            connecting = connect(Address(socket.AF_INET, *name), TIMEOUT_SECONDS)
            task = asyncio.ensure_future(connecting)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            del task, connecting
            gc.collect()
