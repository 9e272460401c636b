"""What the kernel reports of sockets, listeners and CPU limits.

Everything here works for an ordinary user without capabilities. Values that a kernel
does not report are None, not zero.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_SO_MEMINFO: Final = 55
_SO_BINDTOIFINDEX: Final = 62
_MAX_INTERFACE_INDEX: Final = 2**31 - 1
_MEMINFO: Final = struct.Struct("=9I")
_MEMINFO_DROPS: Final = 8
"""Index of the drops in SO_MEMINFO (SK_MEMINFO_DROPS)."""
_KEEPALIVE_PROBES: Final = 6
"""Number of keep-alive probes without an answer that prove a peer gone.

With 10 % of loss in each direction, one of 20,000 silent peers is taken for gone."""


def socket_drops(descriptor: int) -> int | None:
    """Return how many datagrams this socket has had no room for; None if unknown.

    SO_MEMINFO counts per socket (sock_diag(7), SK_MEMINFO_DROPS), unlike
    /proc/net/netstat, which counts per network namespace.
    """
    data = read_option(descriptor, socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    if data is None or len(data) < _MEMINFO.size:
        return None
    drops: int = _MEMINFO.unpack(data)[_MEMINFO_DROPS]
    return drops


def openings_dropped(descriptor: int, before: int | None) -> int | None:
    """Return how many SYNs a listening socket has dropped; None if unknown.

    The socket's own counter includes more: retransmitted SYNs after a lost answer, RSTs
    for connections that are gone (net/ipv4/tcp_minisocks.c, tcp_check_req; tcp_input.c,
    tcp_rcv_state_process). ListenDrops counts only dropped SYNs, but for the whole
    network namespace. So the result is the lesser of both; ``before`` is
    ``listen_drops`` when the socket was opened.
    """
    own = socket_drops(descriptor)
    if not own:
        return own
    now = listen_drops()
    return None if before is None or now is None else min(own, now - before)


def listen_drops() -> int | None:
    """Return how many SYNs this network namespace has dropped; None if unknown.

    TcpExt ListenDrops of /proc/net/netstat (Linux, networking/snmp_counter.rst).
    """
    rows = [line.split() for line in _lines(Path("/proc/net/netstat"))]
    for names, values in zip(rows[::2], rows[1::2], strict=False):
        if names[:1] == ["TcpExt:"] and "ListenDrops" in names:
            return int(values[names.index("ListenDrops")])
    return None


def ignore_new_connections(descriptor: int) -> bool:
    """Make a listening socket drop new SYNs but finish handshakes in progress.

    Clients retransmit the SYN a second later, to a closed port or to a successor, so
    closing the listener then resets no established connection. False when the kernel
    cannot (socket(7), SO_ATTACH_FILTER).
    """
    # bpf(2), classic: byte 13 of the TCP header holds the flags (RFC 9293 §3.1).
    code = b"".join(
        struct.pack("=HBBI", *step)
        for step in (
            (0x30, 0, 0, 13),  # ldb [13]
            (0x54, 0, 0, 0x12),  # and SYN|ACK
            (0x15, 0, 1, 0x02),  # SYN alone?
            (0x06, 0, 0, 0),  # drop
            (0x06, 0, 0, 0xFFFFFFFF),  # keep
        )
    )
    program = ctypes.create_string_buffer(code)
    value = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    try:
        with _borrowed(descriptor) as same:
            same.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)
    except OSError:
        return False
    return True


def refuse_new_connections(descriptor: int) -> bool:
    """Make a listening socket refuse new SYNs but finish handshakes in progress.

    It is bound to an interface that does not exist, so no new SYN matches it. A
    handshake keeps the interface that the socket had at its SYN (net/ipv4/tcp_ipv4.c,
    tcp_v4_syn_recv_sock: ``ir_iif``), and so does the resulting connection. False when
    the kernel cannot: Linux allows it to ordinary users since 5.7.
    """
    try:
        with _borrowed(descriptor) as same:
            same.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _MAX_INTERFACE_INDEX)
    except OSError:
        return False
    return True


def detect_dead_peers(sock: socket.socket, seconds: float) -> None:
    """Have the kernel end connections whose peer is gone, about ``seconds`` after its end.

    Keep-alive probes find a peer that is gone while nothing is under way, and
    TCP_USER_TIMEOUT one that acknowledges nothing, or keeps its window shut (tcp(7), RFC
    5482). Connections inherit both from the listening socket. A kernel without an option
    does without.
    """
    whole = math.ceil(seconds)
    idle = max(1, whole // 2)
    for level, name, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle),
        (
            socket.IPPROTO_TCP,
            socket.TCP_KEEPINTVL,
            max(1, (whole - idle) // _KEEPALIVE_PROBES),
        ),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, whole * 1000),
    ):
        with suppress(OSError):
            sock.setsockopt(level, name, value)


def set_keepalive(descriptor: int, *, is_on: bool) -> None:
    """Turn keep-alive probes on or off; a connection that is gone is left alone."""
    with suppress(OSError), _borrowed(descriptor) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(is_on))


def reset_on_close(descriptor: int) -> None:
    """Make closing this socket a reset (socket(7), SO_LINGER with zero).

    Raises:
        OSError: the descriptor is not a socket.
    """
    with _borrowed(descriptor) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))


def read_option(descriptor: int, level: int, name: int, size: int) -> bytes | None:
    """Return a socket option; None when the socket or the option does not exist."""
    try:
        with _borrowed(descriptor) as same:
            return same.getsockopt(level, name, size)
    except OSError:
        return None


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Wrap a descriptor as a socket: event loops give out only the number.

    It is not duplicated, so this works when no descriptor is free.
    """
    if descriptor < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    same = socket.socket(fileno=descriptor)
    try:
        yield same
    finally:
        same.detach()


def throttled_seconds() -> float | None:
    """Return how long this cgroup's CPU limit has throttled it; None if unknown.

    ``cpu.stat`` of cgroup v2 (throttled_usec) or v1 (throttled_time, ns).
    """
    for path, field, unit in (
        (_cgroup_v2() / "cpu.stat", "throttled_usec", 1e-6),
        (Path("/sys/fs/cgroup/cpu.stat"), "throttled_usec", 1e-6),
        (Path("/sys/fs/cgroup/cpu/cpu.stat"), "throttled_time", 1e-9),
        (Path("/sys/fs/cgroup/cpu,cpuacct/cpu.stat"), "throttled_time", 1e-9),
    ):
        for line in _lines(path):
            name, _, value = line.partition(" ")
            if name == field:
                return int(value) * unit
    return None


def cpu_pressure_seconds() -> float | None:
    """Return how long some task has waited for a CPU since boot; None if unknown.

    The ``some`` total of /proc/pressure/cpu (Linux, Documentation/accounting/psi).
    """
    for line in _lines(Path("/proc/pressure/cpu")):
        if line.startswith("some ") and "total=" in line:
            return int(line.rpartition("total=")[2]) * 1e-6
    return None


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 2**31 if hard == resource.RLIM_INFINITY else hard


def socket_limits() -> tuple[int, int, int]:
    """Return the limits of this process's sockets.

    They are the maximum number of descriptors, and the bytes of a new UDP socket's
    receive and send buffer (socket(7), rmem_default, wmem_default).
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sizes = [
            sock.getsockopt(socket.SOL_SOCKET, name)
            for name in (socket.SO_RCVBUF, socket.SO_SNDBUF)
        ]
    return soft, sizes[0], sizes[1]


def local_ports() -> tuple[int, int] | None:
    """Return the first and last local port of outgoing connections.

    net.ipv4.ip_local_port_range (ip(7)), also for IPv6; None if unknown.
    """
    words = " ".join(_lines(Path("/proc/sys/net/ipv4/ip_local_port_range"))).split()
    return (int(words[0]), int(words[1])) if len(words) > 1 else None


def time_wait() -> int | None:
    """Return how many TCP connections are in TIME_WAIT; None if unknown.

    /proc/net/sockstat (proc(5)): of this network namespace, both families.
    """
    for line in _lines(Path("/proc/net/sockstat")):
        words = line.split()
        if words[:1] == ["TCP:"] and "tw" in words:
            return int(words[words.index("tw") + 1])
    return None


def memory_limit() -> int | None:
    """Return the memory limit of this cgroup in bytes; None if there is none.

    ``memory.max`` of cgroup v2, or ``memory.limit_in_bytes`` of v1.
    """
    for path in (
        _cgroup_v2() / "memory.max",
        Path("/sys/fs/cgroup/memory.max"),
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ):
        for line in _lines(path):
            return int(line) if line.isdecimal() and int(line) < 2**60 else None
    return None


def _cgroup_v2() -> Path:
    for line in _lines(Path("/proc/self/cgroup")):
        if line.startswith("0::"):
            return Path("/sys/fs/cgroup") / line[4:]
    return Path("/sys/fs/cgroup")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []  # absent in many containers: the callers answer None
