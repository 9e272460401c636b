"""Resolving and connecting: what each failure is called, and that nothing hangs."""

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
from tests.integration.running import PATIENCE, until
from tests.unit.client.far_end import FarEnd

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
def test_failure_has_a_class_and_keeps_its_name(
    raised: BaseException, cause: Cause, detail: str
) -> None:
    """Each error is classed by its number, and its own name is never lost."""
    assert classify(raised) == (cause, detail)


# Calls that block


async def test_blocking_call_is_answered_from_a_thread() -> None:
    """What it returns is returned; the thread holds nobody up who leaves before it."""
    thread = await in_thread(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


async def test_blocking_call_that_raises_raises() -> None:
    """What goes wrong in the thread goes wrong where the call was made."""
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.parametrize("late", [lambda: None, lambda: 1 // 0], ids=["says", "raises"])
async def test_call_that_hangs_is_given_up(late: object) -> None:
    """Nobody waits for a call that never ends, and its late answer disturbs nobody."""
    held, threads = threading.Event(), []

    def hang() -> object:
        threads.append(threading.current_thread())
        held.wait(PATIENCE)
        return late()  # type: ignore[operator]

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_thread(hang)
    held.set()
    await until(lambda: not threads[0].is_alive())
    await asyncio.sleep(0)  # what the thread left for the loop is heard


def test_call_that_outlives_its_loop_disturbs_nobody() -> None:
    """A resolver that answers when the report is long out raises in no thread."""
    held, threads = threading.Event(), []

    def hang() -> None:
        threads.append(threading.current_thread())
        held.wait(PATIENCE)

    async def give_up() -> None:
        async with asyncio.timeout(0.01):
            await in_thread(hang)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    held.set()
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()


# Names


@pytest.mark.parametrize(
    ("host", "family"),
    [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)],
)
async def test_address_resolves_to_itself(
    host: str, family: socket.AddressFamily
) -> None:
    """An address is found once, with the port that was asked for."""
    found = await resolve(host, 80, socket.AF_UNSPEC, PATIENCE)
    assert (found.addresses, found.cause) == ((Address(family, host, 80),), None)


async def test_name_that_no_resolver_takes_is_a_failure() -> None:
    """A name that cannot be written in DNS is told of and raises nothing."""
    found = await resolve("a" * 64 + ".invalid", 80, socket.AF_UNSPEC, PATIENCE)
    assert (found.addresses, found.cause) == ((), Cause.OTHER)
    assert found.detail.startswith("UnicodeError: ")


async def test_address_of_another_family_is_a_failure() -> None:
    """Where IPv6 alone is wanted an IPv4 address is none."""
    found = await resolve("127.0.0.1", 80, socket.AF_INET6, PATIENCE)
    assert found.addresses == ()
    assert found.cause is not None


async def test_look_up_that_takes_too_long_is_a_timeout() -> None:
    """When patience is over the resolution says so, from its begin to its end."""
    found = await resolve("name.invalid", 80, socket.AF_UNSPEC, 0.0)
    assert (found.addresses, found.cause) == ((), Cause.TIMEOUT)
    assert found.start <= found.end


# Connections


async def test_listener_accepts() -> None:
    """A connection is made; its socket is the caller's, and no SYN was lost."""
    async with FarEnd(lambda taken: taken.waits()) as far:
        dialled = await connect(far.address, PATIENCE)
        assert dialled.sock is not None
        with dialled.sock as sock:
            assert sock.getpeername() == far.address.sockaddr
    assert (dialled.cause, dialled.detail, dialled.lost_syns) == (None, "", 0)


async def test_port_without_a_listener_refuses() -> None:
    """A port that is bound and does not listen answers with a reset."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        dialled = await connect(Address(socket.AF_INET, "127.0.0.1", port), PATIENCE)
    assert (dialled.sock, dialled.cause) == (None, Cause.REFUSED)
    assert dialled.detail == "ECONNREFUSED: Connection refused"


async def test_dead_address_times_out_and_its_lost_syns_are_counted() -> None:
    """Where SYNs vanish the attempt ends with patience, and says that more than one was sent."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        assert kernel.ignore_new_connections(deaf.fileno())
        port = deaf.getsockname()[1]
        # The kernel sends a SYN again after a second.
        dialled = await connect(Address(socket.AF_INET, "127.0.0.1", port), 1.5)
    assert (dialled.sock, dialled.cause) == (None, Cause.TIMEOUT)
    assert dialled.lost_syns >= 1


async def test_family_that_this_host_lacks_is_no_route() -> None:
    """What cannot even be tried is kept apart from what failed; nothing was waited for."""
    absent = Address(socket.AF_IPX, "127.0.0.1", 80)
    assert not has_route(absent)
    dialled = await connect(absent, PATIENCE)
    assert (dialled.sock, dialled.cause) == (None, Cause.NO_ROUTE)
    assert dialled.seconds == 0


def test_loopback_has_a_route() -> None:
    """The look for a route needs nobody who listens."""
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
            ("fe80::1%eth0", 80, 0, 2),
            "IPv6",
        ),
    ],
)
def test_address_is_shown_as_typed_and_given_as_the_kernel_takes_it(
    address: Address, shown: str, sockaddr: tuple[str | int, ...], version: str
) -> None:
    """An interface of a link-local address is kept for the kernel."""
    assert (str(address), address.sockaddr, address.version) == (
        shown,
        sockaddr,
        version,
    )


async def test_address_of_another_family_is_told_from_a_name_that_is_unknown() -> None:
    """A name that has addresses, but none of the family asked for, does exist."""
    found = await resolve("::1", 80, socket.AF_INET, PATIENCE)
    assert found.cause is Cause.NO_FAMILY
    assert "::1" in found.detail


async def test_connect_that_is_cancelled_leaves_no_socket() -> None:
    """Told to stop while it waits, a connection attempt closes what it opened.

    A socket that is left open is a warning when it is collected, and so an error.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        name = full.getsockname()
        with socket.create_connection(name):  # the queue has no more room
            connecting = connect(Address(socket.AF_INET, *name), PATIENCE)
            task = asyncio.ensure_future(connecting)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            del task, connecting
            gc.collect()
