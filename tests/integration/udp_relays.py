"""UDP relays with one fault each, in a thread between client and server."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from netduet.wire import datagram
from netduet.wire.frames import Kind
from netduet.wire.udp_count import CountFlag, parse_answer

Fault = Callable[[int, bytes], list[bytes]]
"""What becomes of a datagram, by its number on this way: what is handed on for it."""


class Relay:
    """Hands datagrams on between one client and a server on loopback.

    Without a server's port it answers by itself: what ``up`` hands on goes back.
    """

    def __init__(
        self, port: int | None, up: Fault, down: Fault, *, elsewhere: bool = False
    ) -> None:
        """Bind, and begin; answer from ``elsewhere``, or from where it was asked."""
        self._back: socket.socket | None = None
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.port: int = self._front.getsockname()[1]
        self._answering = self._front
        if elsewhere:
            self._answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if port is not None:
            self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._back.connect(("127.0.0.1", port))
        self._up, self._down = up, down
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._end.close()
        self._thread.join()
        for sock in (self._front, self._answering, self._back, self._ended):
            if sock is not None:
                sock.close()

    def _run(self) -> None:
        sockets = [self._front, self._ended, *([self._back] if self._back else [])]
        client, ups, downs = None, 0, 0
        while self._ended not in (ready := select.select(sockets, [], [])[0]):
            if self._front in ready:
                data, client = self._front.recvfrom(65_535)
                for piece in self._up(ups, data):
                    self._to_server(piece, client)
                ups += 1
            if self._back is not None and self._back in ready:
                data = self._back.recv(65_535)
                for piece in self._down(downs, data):
                    self._answering.sendto(piece, client)
                downs += 1

    def _to_server(self, data: bytes, client: tuple[str, int]) -> None:
        if self._back is None:
            self._front.sendto(data, client)
        else:
            self._back.send(data)


def pass_all(_: int, data: bytes) -> list[bytes]:
    """Hand on all there is."""
    return [data]


def drop_all(_number: int, _data: bytes) -> list[bytes]:
    """Hand on nothing."""
    return []


def drop_every_tenth(number: int, data: bytes) -> list[bytes]:
    """Lose a tenth."""
    return [] if number % 10 == 9 else [data]


def duplicate_every_tenth(number: int, data: bytes) -> list[bytes]:
    """Hand a tenth on twice."""
    return [data, data] if number % 10 == 9 else [data]


def duplicate_all(_: int, data: bytes) -> list[bytes]:
    """Hand everything on twice."""
    return [data, data]


def delay_every_tenth() -> Fault:
    """Return a fault: a tenth is handed on behind the next one."""
    held: list[bytes] = []

    def fault(number: int, data: bytes) -> list[bytes]:
        if number % 10 == 9:
            held.append(data)
            return []
        late, held[:] = held[:], []
        return [data, *late]

    return fault


def hold_until_query() -> Fault:
    """Return a fault: answers are held until the first answer to a query."""
    held: list[bytes] = []
    asked = False

    def fault(_: int, data: bytes) -> list[bytes]:
        nonlocal asked
        frame = datagram.parse(data)
        answer = None if frame is None else parse_answer(frame.payload)
        if frame is None or frame.kind != Kind.COUNT or answer is None:
            return [data]
        asked = asked or bool(answer.flags & CountFlag.QUERY)
        if not asked:
            held.append(data)
            return []
        late, held[:] = held[:], []
        return [*late, data]

    return fault


def drop_longer_than(size: int) -> Fault:
    """Return a fault: what is longer vanishes."""
    return lambda _, data: [data] if len(data) <= size else []


def drop_from_number(number: int) -> Fault:
    """Return a fault: from this number on, nothing passes."""
    return lambda n, data: [data] if n < number else []


@contextmanager
def relay(
    port: int | None, up: Fault = pass_all, down: Fault = pass_all
) -> Iterator[int]:
    """Run a relay to a server's port; give the port to ask."""
    with closing(Relay(port, up, down)) as running:
        yield running.port


@contextmanager
def relay_answering_from_another_port(port: int) -> Iterator[int]:
    """Run a relay that hands answers on from another port than the one asked."""
    with closing(Relay(port, pass_all, pass_all, elsewhere=True)) as running:
        yield running.port
