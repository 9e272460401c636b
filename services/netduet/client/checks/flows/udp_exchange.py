"""Exchanges of numbered datagrams from many source ports at once, in one thread.

Each port has a socket and a flow of its own, whose datagrams the server counts and
answers (COUNT). What is sent waits for what comes back: a window of ports grows with each
one that lost nothing, so that a slow link is not overrun.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import select
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netduet.client.checks.flows.plan import MAX_NEIGHBOURS, PATH_SHARE, patience
from netduet.client.net.udp_socket import UdpSocket
from netduet.wire import datagram
from netduet.wire.errors import RemoteError
from netduet.wire.frames import ANSWER, Kind
from netduet.wire.messages import Open, Welcome, decode, encode
from netduet.wire.udp_count import (
    CountAnswer,
    CountFlag,
    parse_answer,
)

if TYPE_CHECKING:
    from netduet.client.checks.flows.results import FlowPlan
    from netduet.client.net.dial import Address

SMALL_BYTES: Final = datagram.MIN_COUNT_SIZE
"""Size of the smallest datagram that is counted."""

_MIN_WINDOW_PORTS: Final = 4
_MAX_WINDOW_PORTS: Final = 64
_MAX_WINDOW_BYTES: Final = 48 * 1024
"""Bytes of full-size datagrams on their way: a socket's buffer holds 208 KiB, in which a
datagram takes up to twice its size (Linux's rmem_default)."""

_WINDOW_CUT: Final = 0.7
"""Factor by which the window shrinks when a part of a port's datagrams is lost."""

_ROUND_TRIPS_REMEMBERED: Final = 8
_HEADER_BYTES: Final = 28
"""Bytes of the headers of IPv4 and UDP."""
_PACKET_INTERVAL_SECONDS: Final = 0.0007
_MAX_UNANSWERED: Final = 64
"""Datagrams that may be on their way at once while many are exchanged."""

_QUERIES: Final = 4
"""Times that the server is asked for its count of a flow."""


@dataclass(slots=True)
class PortFlow:
    """The datagrams of one source port; ``waiting`` are those without an answer.

    ``order`` counts the ports of an exchange, in the order in which they began.
    ``received`` is the server's count of those that arrived, ``answered`` of its answers;
    None if it was not asked; ``highest`` the highest count in any answer. ``full`` are the
    numbers of the datagrams of full size.
    """

    port: int
    sock: UdpSocket
    order: int = 0
    number: int = field(default_factory=lambda: secrets.randbits(64))
    batches: deque[list[int]] = field(default_factory=deque)
    sent: int = 0
    waiting: dict[int, float] = field(default_factory=dict)
    arrived: set[int] = field(default_factory=set)
    full: set[int] = field(default_factory=set)
    received: int | None = None
    answered: int | None = None
    highest: int = 0
    welcome: Welcome | None = None
    nonce: str = ""

    @property
    def lost(self) -> int:
        """The datagrams that were not answered."""
        return self.sent - len(self.arrived)

    @property
    def deadline(self) -> float:
        """The time of the latest datagram that is not answered."""
        return max(self.waiting.values(), default=0.0)

    def send(self, size: int, *, is_full: bool = False) -> None:
        """Send the next datagram."""
        error = self.sock.send(datagram.count_question(self.number, self.sent, size))
        if error == "EMSGSIZE":
            return  # this kernel has learnt a smaller path MTU
        if is_full:
            self.full.add(self.sent)
        self.waiting[self.sent] = time.monotonic()
        self.sent += 1

    def ask_count(self) -> None:
        """Ask for the server's count."""
        self.sock.send(
            datagram.count_question(self.number, 0, SMALL_BYTES, CountFlag.QUERY)
        )

    def ask_welcome(self) -> None:
        """Ask who answers."""
        self.nonce = self.nonce or secrets.token_hex(16)
        opening = encode(Open(nonce=self.nonce))
        size = datagram.OPENING_SIZE
        self.sock.send(datagram.serialize(Kind.OPEN, opening, 1, size))

    def receive(self) -> Iterator[float]:
        """Take in what has arrived; yield the round trip of each answer."""
        for data in self.sock.receive():
            try:
                frame = datagram.parse(data)
                if frame is None or not frame.flags & ANSWER:
                    continue
                if frame.kind == Kind.OPEN:
                    welcome = decode(Welcome, frame.payload)
                    if welcome.nonce == self.nonce:
                        self.welcome = welcome
                    continue
            except RemoteError:
                continue
            answer = parse_answer(frame.payload) if frame.kind == Kind.COUNT else None
            if answer is not None and answer.flow == self.number:
                yield from self._take(answer)

    def _take(self, answer: CountAnswer) -> Iterator[float]:
        if answer.flags & CountFlag.QUERY:
            self.received, self.answered = answer.received, answer.number
            return
        self.highest = max(self.highest, answer.received)
        sent_at = self.waiting.pop(answer.sequence, None)
        if answer.sequence < self.sent:
            self.arrived.add(answer.sequence)
        if sent_at is not None:
            yield time.monotonic() - sent_at


class UdpExchange:
    """Exchanges datagrams with one address; each method opens and closes the sockets."""

    def __init__(self, address: Address, round_trip: float, plan: FlowPlan) -> None:
        """Prepare; ``round_trip`` is a first estimate, in seconds."""
        self._address = address
        self._plan = plan
        self._round_trips = deque([round_trip], _ROUND_TRIPS_REMEMBERED)

    def open(self, port: int, *, exact: bool = True) -> PortFlow | None:
        """Return a flow from this port; None if this host cannot use it.

        Unless it must be ``exact``, from the next one that is free.
        """
        for candidate in range(port, port + (1 if exact else MAX_NEIGHBOURS)):
            with contextlib.suppress(OSError):
                return PortFlow(candidate, UdpSocket(self._address, candidate))
        return None

    def path_mtu(self) -> tuple[int, int]:
        """Return the path MTU that this kernel assumes, at most 9,000, and the headers."""
        try:
            with UdpSocket(self._address) as sock:
                return min(sock.mtu or SMALL_BYTES, 9000), sock.headers
        except OSError:
            return 0, 0

    def exchange(
        self,
        ports: Sequence[int],
        batches: Sequence[Sequence[int]],
        full_size: int,
        *,
        exact: bool = True,
        window: float = _MIN_WINDOW_PORTS,
        goes_on: bool = False,
        share: float = PATH_SHARE,
    ) -> Generator[PortFlow | None]:
        """Exchange batches of datagrams (their sizes) from each port.

        Yields the flow of each port as it is done, in order of completion; None for one
        that this host cannot use. ``window`` ports begin at once; on a slow path, one
        after the other, so that they take a ``share`` of its rate. A batch leaves when
        the one before has been answered; one without any answer ends the port's
        exchange, unless it ``goes_on``.
        """
        left = deque(ports)
        active: dict[int, PortFlow] = {}
        poll = select.poll()
        opened = 0
        sent = sum(size + _HEADER_BYTES for sizes in batches for size in sizes)
        interval, next_start = self._plan.transit_seconds(sent, share), 0.0
        room = max(_MIN_WINDOW_PORTS, _MAX_WINDOW_BYTES // max(1, full_size))
        try:
            while left or active:
                while (
                    left
                    and len(active) < min(int(window), room)
                    and time.monotonic() >= next_start
                ):
                    next_start = time.monotonic() + interval
                    flow = self.open(left.popleft(), exact=exact)
                    if flow is None:
                        yield None
                        continue
                    opened += 1
                    flow.order = opened
                    flow.sock.set_fragmentation(allowed=False)
                    flow.batches.extend(list(sizes) for sizes in batches)
                    active[flow.sock.fileno()] = flow
                    poll.register(flow.sock, select.POLLIN)
                    _send_batch(flow, full_size)
                self._receive_once(poll, active, next_start if left else math.inf)
                for flow in self._finished(active, full_size, goes_on=goes_on):
                    poll.unregister(flow.sock)
                    del active[flow.sock.fileno()]
                    flow.sock.close()
                    window = _next_window(window, flow)
                    yield flow
        finally:
            for flow in active.values():
                flow.sock.close()

    def _receive_once(
        self, poll: select.poll, active: dict[int, PortFlow], until: float
    ) -> None:
        """Receive what arrives next, until then, or until a flow has waited enough."""
        ends = [flow.deadline + self._patience for flow in active.values()]
        now = time.monotonic()
        # A time that has passed is no reason to wake up: the window is full.
        ends += [until] if until > now and until < math.inf else []
        pause = min(ends, default=0.0) - now
        for descriptor, _ in poll.poll(max(1.0, 1000 * pause)):
            self._round_trips.extend(active[descriptor].receive())

    def _finished(
        self, active: dict[int, PortFlow], full_size: int, *, goes_on: bool
    ) -> list[PortFlow]:
        """Return the flows that are done; send the next batch of the others."""
        now, done = time.monotonic(), []
        for flow in active.values():
            if flow.waiting and flow.deadline + self._patience > now:
                continue
            if flow.batches and (flow.arrived or goes_on):
                _send_batch(flow, full_size)
            else:
                done.append(flow)
        return done

    def exchange_packets(
        self, ports: Sequence[int], order: Sequence[int]
    ) -> list[PortFlow]:
        """Send small datagrams from these ports by turns; return the flows.

        ``order`` are the indexes of ports, as often as each is to send. Then the server
        is asked for its counts, and who it is.
        """
        flows = [self.open(port) for port in ports]
        opened = [flow for flow in flows if flow is not None]
        poll = select.poll()
        by_descriptor = {flow.sock.fileno(): flow for flow in opened}
        for flow in opened:
            poll.register(flow.sock, select.POLLIN)
        interval = max(
            _PACKET_INTERVAL_SECONDS,
            self._plan.transit_seconds(SMALL_BYTES + _HEADER_BYTES, PATH_SHARE),
        )
        try:
            due = time.monotonic()
            for index in order:
                if (turn := flows[index]) is None:
                    continue
                turn.send(SMALL_BYTES)
                due = max(due + interval, time.monotonic() - 0.01)
                self._receive(poll, by_descriptor, due)
                self._let_answers_come(poll, by_descriptor)
            self._receive_until_quiet(poll, by_descriptor)
            for number in range(_QUERIES):
                unknown = [flow for flow in opened if flow.received is None]
                for flow in unknown:
                    flow.ask_count()
                    if number == 0 or flow.welcome is None:
                        flow.ask_welcome()
                if unknown:
                    until = time.monotonic() + self._patience
                    self._receive(poll, by_descriptor, until, for_counts=True)
        finally:
            for flow in opened:
                flow.sock.close()
        return opened

    def _let_answers_come(self, poll: select.poll, flows: dict[int, PortFlow]) -> None:
        """Wait while too many datagrams are on their way."""
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            oldest = time.monotonic() - self._patience
            recent = sum(
                sent_at > oldest
                for flow in flows.values()
                for sent_at in flow.waiting.values()
            )
            if recent <= _MAX_UNANSWERED:
                return
            self._receive(poll, flows, time.monotonic() + 0.01)

    def _receive_until_quiet(
        self, poll: select.poll, flows: dict[int, PortFlow]
    ) -> None:
        until = time.monotonic() + self._patience
        while any(flow.waiting for flow in flows.values()) and time.monotonic() < until:
            self._receive(poll, flows, min(until, time.monotonic() + 0.02))

    def _receive(
        self,
        poll: select.poll,
        flows: dict[int, PortFlow],
        until: float,
        *,
        for_counts: bool = False,
    ) -> None:
        """Receive until then; for counts, until all are known."""
        while True:
            pause = until - time.monotonic()
            for descriptor, _ in poll.poll(max(0.0, 1000 * pause)):
                self._round_trips.extend(flows[descriptor].receive())
            if for_counts and all(each.received is not None for each in flows.values()):
                return
            if time.monotonic() >= until:
                return

    @property
    def _patience(self) -> float:
        return patience(max(self._round_trips), self._plan)


def _send_batch(flow: PortFlow, full_size: int) -> None:
    for size in flow.batches.popleft():
        flow.send(size, is_full=size == full_size)


def _next_window(window: float, flow: PortFlow) -> float:
    """Return the window after a port: a dead one says nothing about the link's room."""
    if not flow.lost:
        return min(_MAX_WINDOW_PORTS, window + 1)
    if flow.arrived and flow.lost - len(flow.full - flow.arrived):
        return max(_MIN_WINDOW_PORTS, window * _WINDOW_CUT)
    return window
