"""Many streams of datagrams, one thread for all: what each costs does not grow.

The thread sends what is due, in the order in which it is, and hands on what comes.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from netduet.client.outages.udp_probe import LATE, UdpProbe

if TYPE_CHECKING:
    from netduet.client.net.udp_socket import UdpSocket

_AT_MOST: Final = 4096
_LONGEST: Final = 1.0


class UdpScheduler:
    """The streams that go on side by side. Use as a context manager."""

    def __init__(self) -> None:
        """Start with none."""
        self._poll = select.epoll()
        self._due: list[tuple[float, int, UdpProbe]] = []
        self._flows: dict[int, tuple[UdpProbe, UdpSocket]] = {}
        self._numbers = itertools.count()
        self._asked: list[tuple[UdpProbe, UdpSocket, float | None]] = []
        self._lock = threading.Lock()
        self._over = False
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._ours.setblocking(False)
        self._thread = threading.Thread(target=self._run, daemon=True, name="streams")

    def __enter__(self) -> Self:
        """Begin."""
        self._poll.register(self._theirs.fileno(), select.EPOLLIN)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them, and the thread."""
        self._over = True
        self._wake()
        self._thread.join()
        self._poll.close()
        self._ours.close()
        self._theirs.close()

    def add(self, streaming: UdpProbe, sock: UdpSocket, period: float) -> None:
        """Take a stream in, to begin within a period, as chance has it."""
        self._ask(streaming, sock, random.uniform(0.0, period))  # noqa: S311 - a spread

    def remove(self, streaming: UdpProbe, sock: UdpSocket) -> None:
        """End a stream, and close its socket; nothing is told of it any more."""
        self._ask(streaming, sock, None)

    def _ask(self, streaming: UdpProbe, sock: UdpSocket, wait: float | None) -> None:
        with self._lock:
            self._asked.append((streaming, sock, wait))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is awake, and has not looked
            self._ours.send(b"!")

    # In the thread

    def _run(self) -> None:
        while not self._over:
            self._change()
            due = self._turn()
            before = time.monotonic()
            ready = self._poll.poll(max(0.0, due - before), _AT_MOST)
            fair = time.monotonic() - max(due, before) < LATE
            for descriptor, _ in ready:
                flow = self._flows.get(descriptor)
                if flow is None:
                    with contextlib.suppress(BlockingIOError):
                        self._theirs.recv(4096)
                    continue
                streaming, sock = flow
                streaming.hear(sock.receive(), time.monotonic(), fair=fair)
        self._change()
        for streaming, sock in list(self._flows.values()):
            self._end(streaming, sock)

    def _turn(self) -> float:
        """Do what is due, each stream once; return when the next is."""
        due = self._due
        for _ in range(len(due)):
            if due[0][0] > (now := time.monotonic()):
                break
            _, number, streaming = due[0]
            heapq.heapreplace(due, (streaming.turn(now), number, streaming))
        return due[0][0] if due else time.monotonic() + _LONGEST

    def _change(self) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
        for streaming, sock, wait in asked:
            if wait is None:
                self._end(streaming, sock)
                continue
            start = time.monotonic() + wait
            streaming.start(start)
            self._flows[sock.fileno()] = streaming, sock
            self._poll.register(sock.fileno(), select.EPOLLIN)
            heapq.heappush(self._due, (start, next(self._numbers), streaming))

    def _end(self, streaming: UdpProbe, sock: UdpSocket) -> None:
        if self._flows.pop(sock.fileno(), None) is None:
            return
        streaming.leave()
        self._poll.unregister(sock.fileno())
        sock.close()
        self._due = [one for one in self._due if one[2] is not streaming]
        heapq.heapify(self._due)
