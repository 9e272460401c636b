"""Which routers answer on the way to an address: packets whose TTL ends on the way.

Needs no privilege: the kernel hands the "time exceeded" of a router to the socket whose
packet expired, datagrams as well as SYNs (ip(7), IP_TTL and IP_RECVERR; Linux 5.9 for
SYNs). All datagrams of a trace have one source port, so they belong to one flow, and all
take the path of that flow (Augustin et al., "Avoiding traceroute anomalies with Paris
traceroute", IMC 2006); each SYN has a port of its own.

It blocks, in a thread: at most 30 packets of each kind, twice for datagrams, in about a
second.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netduet.client.net.error_queue import (
    LEVEL,
    QueuedError,
    enable_error_queue,
    enable_ttl,
    read_error_queue,
    ttl_of,
)
from netduet.client.net.icmp_errors import is_time_exceeded
from netduet.net import kernel
from netduet.wire import datagram
from netduet.wire.frames import HEADER, HEADER_SIZE, MAGIC, Kind

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

MAX_HOPS: Final = 30
"""The largest TTL that is tried, as traceroute(8) has it."""

MAX_SECONDS: Final = 1.2
"""Maximum seconds of a trace."""

_WAVES: Final = (range(1, 7), range(7, 15), range(15, MAX_HOPS + 1))
"""TTLs of the SYNs that are sent together: few of them reach the target."""

_WAVE_SECONDS: Final = 0.4
_RESEND_SECONDS: Final = 0.5
"""Seconds after which datagrams that got no answer are sent again."""

_DATA_SECONDS: Final = 0.5
"""Seconds for the answers about data: the kernel sends it again after 0.2 s."""

_POLL_SECONDS: Final = 0.01
_MAX_SEND_TRIES: Final = 4
_RECEIVE_BYTES: Final = 65_535
_ANCILLARY_BYTES: Final = 256

# linux/in.h, linux/in6.h: IPV6_UNICAST_HOPS, IP_MTU_DISCOVER.
_TTL: Final = {socket.AF_INET: socket.IP_TTL, socket.AF_INET6: 16}
_MTU_DISCOVER: Final = {socket.AF_INET: 10, socket.AF_INET6: 23}
_PROBE: Final = 3
"""``IP_PMTUDISC_PROBE``: forbid fragmentation, whatever path MTU is known."""

_HEADER_BYTES: Final = {socket.AF_INET: 28, socket.AF_INET6: 48}
"""Bytes of the headers of IP and UDP."""

_QUOTED: Final = len(MAGIC) + HEADER_SIZE
"""Bytes of a datagram that an error must quote to show which one it is about."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A router, ``ttl`` hops away, that reported that a packet's TTL ended there."""

    ttl: int
    address: str

    def __str__(self) -> str:
        """Return it as verdicts name it: hop 3 (198.51.100.1)."""
        return f"hop {self.ttl} ({self.address})"


@dataclass(frozen=True, slots=True)
class Trace:
    """What answered packets with growing TTL.

    ``transport`` is ``tcp``, ``udp``, or ``data`` (of TCP, behind a handshake), ``size`` the bytes of each packet, 0 for small
    ones. ``hops`` are those that answered, the nearest first. ``reached`` is the
    smallest TTL with which the target, or something in its name, answered; None if
    nothing did. ``rejected_by`` is the other host that refused by ICMP, "" if none did,
    ``rejected_at`` the smallest TTL with which it did. ``answer_ttl`` is the TTL with
    which an answer of the target itself arrived, 0 if unknown.
    """

    transport: str
    hops: tuple[Hop, ...] = ()
    reached: int | None = None
    rejected_by: str = ""
    rejected_at: int = 0
    answer_ttl: int = 0
    size: int = 0

    @property
    def last(self) -> Hop | None:
        """The farthest hop that answered, None if none did."""
        return self.hops[-1] if self.hops else None


@dataclass(slots=True)
class _Answers:
    """The answers so far, by TTL."""

    target: str
    hops: dict[int, str] = field(default_factory=dict)
    reached: int | None = None
    rejected_by: str = ""
    rejected_at: int = 0
    answer_ttl: int = 0

    def add_error(
        self, ttl: int, error: QueuedError, family: socket.AddressFamily
    ) -> None:
        """Record an ICMP error about the packet with this TTL."""
        if error.local or not error.offender:
            return
        if is_time_exceeded(family, error.kind):
            self.hops.setdefault(ttl, error.offender)
        elif error.offender == self.target:
            self.answer_ttl = self.answer_ttl or error.ttl
            self.reach(ttl)
        elif not error.mtu and (not self.rejected_at or ttl < self.rejected_at):
            self.rejected_by, self.rejected_at = error.offender, ttl

    def reach(self, ttl: int) -> None:
        """Record that the target answered the packet with this TTL."""
        self.reached = ttl if self.reached is None else min(self.reached, ttl)

    @property
    def end(self) -> int | None:
        """The TTL beyond which there are no routers to find, None while unknown."""
        return self.rejected_at or self.reached

    def is_open(self, ttl: int) -> bool:
        """Whether the packet with this TTL may still bring news."""
        before_end = self.end is None or ttl < self.end
        return before_end and ttl not in self.hops

    def trace(self, transport: str, size: int = 0) -> Trace:
        """Return the result."""
        hops = tuple(
            Hop(ttl, address)
            for ttl, address in sorted(self.hops.items())
            if self.reached is None or ttl < self.reached
        )
        return Trace(
            transport,
            hops,
            self.reached,
            self.rejected_by,
            self.rejected_at,
            self.answer_ttl,
            size,
        )


def trace_datagrams(address: Address, size: int = 0, source_port: int = 0) -> Trace:
    """Trace the path of datagrams whose packets have ``size`` bytes (0: small ones).

    They must not be fragmented. They are netduet's ECHO, which its server answers and
    other programs ignore. ``source_port`` is that of the flow to be followed, 0 for any.
    Never raises.
    """
    answers = _Answers(address.host.partition("%")[0])
    with contextlib.suppress(OSError):
        _send_and_listen(address, size, source_port, answers)
    return answers.trace("udp", size)


def _send_and_listen(
    address: Address, size: int, source_port: int, answers: _Answers
) -> None:
    family = address.family
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        enable_error_queue(sock, family)
        enable_ttl(sock, family)
        sock.setsockopt(LEVEL[family], _MTU_DISCOVER[family], _PROBE)
        if source_port:
            sock.bind(("", source_port))
        sock.connect(address.sockaddr)
        length = max(0, size - _HEADER_BYTES[family])
        token = secrets.token_bytes(8)
        start = time.monotonic()
        for after in (0.0, _RESEND_SECONDS):
            _listen(sock, family, answers, start + after)
            for ttl in range(1, MAX_HOPS + 1):
                if answers.is_open(ttl):
                    data = datagram.serialize(Kind.ECHO, token, ttl, length)
                    sock.setsockopt(LEVEL[family], _TTL[family], ttl)
                    _send(sock, data, family, answers)
        _listen(sock, family, answers, start + MAX_SECONDS)


def _send(
    sock: socket.socket, data: bytes, family: socket.AddressFamily, answers: _Answers
) -> None:
    for _ in range(_MAX_SEND_TRIES):
        try:
            sock.send(data)
        except OSError:  # an error about an earlier one: this one has not been sent
            _read(sock, family, answers)
        else:
            return


def _listen(
    sock: socket.socket, family: socket.AddressFamily, answers: _Answers, until: float
) -> None:
    """Take answers until then, or until there can be no news."""
    while time.monotonic() < until:
        _read(sock, family, answers)
        if answers.end is not None and not any(
            answers.is_open(ttl) for ttl in range(1, answers.end)
        ):
            return
        time.sleep(_POLL_SECONDS)


def _read(sock: socket.socket, family: socket.AddressFamily, answers: _Answers) -> None:
    for error in read_error_queue(sock, family):
        ttl = _ttl_of_quoted(error.payload)
        if ttl:
            answers.add_error(ttl, error, family)
    for _ in range(MAX_HOPS):
        try:
            data, ancillary, _, _ = sock.recvmsg(_RECEIVE_BYTES, _ANCILLARY_BYTES)
        except OSError:
            return
        ttl = _ttl_of_quoted(data)
        if ttl:
            answers.answer_ttl = ttl_of(ancillary, family)
            answers.reach(ttl)


def _ttl_of_quoted(data: bytes) -> int:
    """Return the TTL that a datagram of ours was sent with, which is its frame's id."""
    if len(data) < _QUOTED or not data.startswith(MAGIC):
        return 0  # some routers quote the first 8 bytes behind the IP header alone
    frame_id: int = HEADER.unpack_from(data, len(MAGIC))[-1]
    return frame_id if frame_id <= MAX_HOPS else 0


def trace_syns(address: Address) -> Trace:
    """Trace the path of connection attempts. Never raises.

    A connection that is made is closed at once.
    """
    answers = _Answers(address.host.partition("%")[0])
    silent_waves = 0
    for wave in _WAVES:
        found = len(answers.hops)
        _connect_wave(address, wave, answers)
        silent_waves = 0 if len(answers.hops) > found else silent_waves + 1
        if answers.end is not None or silent_waves > 1:
            break
    return answers.trace("tcp")


def trace_data(address: Address, syns: Trace) -> Trace:
    """Trace the path of data on connections, whose handshake passes. Never raises.

    The kernel reports that the TTL of data ended on the way, but not where: the
    addresses are those of the trace of the SYNs.
    """
    answers = _Answers(address.host.partition("%")[0])
    with contextlib.ExitStack() as stack:
        pending = {}
        for hop in syns.hops:
            sock = _connected(address)
            if sock is not None:
                stack.callback(sock.close)
                with contextlib.suppress(OSError):
                    _send_with_ttl(sock, address.family, hop.ttl)
                    pending[hop] = sock
        until = time.monotonic() + _DATA_SECONDS
        while pending and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            for hop, sock in list(pending.items()):
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    answers.hops[hop.ttl] = hop.address
                    del pending[hop]
    return answers.trace("data")


def _connected(address: Address) -> socket.socket | None:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    sock.settimeout(_WAVE_SECONDS)
    try:
        sock.connect(address.sockaddr)
    except OSError:
        sock.close()
        return None
    return sock


def _send_with_ttl(sock: socket.socket, family: socket.AddressFamily, ttl: int) -> None:
    """Send a few bytes that are not to arrive; an ICMP error then ends the connection."""
    kernel.reset_on_close(sock.fileno())
    enable_error_queue(sock, family)
    sock.setsockopt(LEVEL[family], _TTL[family], ttl)
    sock.send(MAGIC)


def _connect_wave(address: Address, ttls: range, answers: _Answers) -> None:
    family = address.family
    with contextlib.ExitStack() as stack:
        pending: dict[int, socket.socket] = {}
        for ttl in ttls:
            with contextlib.suppress(OSError):
                sock = socket.socket(family, socket.SOCK_STREAM)
                stack.callback(sock.close)
                sock.setblocking(False)
                enable_error_queue(sock, family)
                sock.setsockopt(LEVEL[family], _TTL[family], ttl)
                if sock.connect_ex(address.sockaddr) in {0, errno.EINPROGRESS}:
                    pending[ttl] = sock
        until = time.monotonic() + _WAVE_SECONDS
        while time.monotonic() < until:
            for ttl, sock in list(pending.items()):
                if _take_answer(ttl, sock, family, answers):
                    del pending[ttl]
            if not any(answers.is_open(ttl) for ttl in pending):
                break
            time.sleep(_POLL_SECONDS)


def _take_answer(
    ttl: int, sock: socket.socket, family: socket.AddressFamily, answers: _Answers
) -> bool:
    """Record the answer to a SYN; return whether there is one."""
    # The queue first: reading the error would not show who sent it.
    errors = [error for error in read_error_queue(sock, family) if not error.local]
    for error in errors:
        answers.add_error(ttl, error, family)
    if errors:
        return True
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number == errno.ECONNREFUSED:  # no ICMP error is queued: it was a reset
        answers.reach(ttl)
    elif not number:
        try:
            sock.getpeername()
        except OSError:
            return False
        answers.reach(ttl)
    return True
