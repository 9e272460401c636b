"""Runs many UDP streams in one thread, at a constant cost per stream.

The thread sends the datagrams in the order in which they are due, and passes on what it
receives.
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

from netduet.client.outages.udp_probe import LATE_SECONDS, UdpProbe

if TYPE_CHECKING:
    from netduet.client.net.udp_socket import UdpSocket

_MAX_EVENTS: Final = 4096
_MAX_WAIT_SECONDS: Final = 1.0


class UdpScheduler:
    """The running streams. Use as a context manager."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._queue: list[tuple[float, int, UdpProbe]] = []
        self._flows: dict[int, tuple[UdpProbe, UdpSocket]] = {}
        self._numbers = itertools.count()
        self._requests: list[tuple[UdpProbe, UdpSocket, float | None]] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._wake_sender, self._wake_receiver = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._thread = threading.Thread(target=self._run, daemon=True, name="streams")

    def __enter__(self) -> Self:
        self._poll.register(self._wake_receiver.fileno(), select.EPOLLIN)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End all streams and the thread."""
        self._stopped = True
        self._wake()
        self._thread.join()
        self._poll.close()
        self._wake_sender.close()
        self._wake_receiver.close()

    def add(self, probe: UdpProbe, sock: UdpSocket, period: float) -> None:
        """Add a stream, which starts after a random part of a period."""
        self._request(probe, sock, random.uniform(0.0, period))  # noqa: S311 - a spread

    def remove(self, probe: UdpProbe, sock: UdpSocket) -> None:
        """End a stream without further events, and close its socket."""
        self._request(probe, sock, None)

    def _request(self, probe: UdpProbe, sock: UdpSocket, wait: float | None) -> None:
        with self._lock:
            self._requests.append((probe, sock, wait))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a wake-up is already pending
            self._wake_sender.send(b"!")

    # In the thread

    def _run(self) -> None:
        while not self._stopped:
            self._apply_requests()
            due = self._run_due()
            before = time.monotonic()
            ready = self._poll.poll(max(0.0, due - before), _MAX_EVENTS)
            on_time = time.monotonic() - max(due, before) < LATE_SECONDS
            for descriptor, _ in ready:
                flow = self._flows.get(descriptor)
                if flow is None:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_receiver.recv(4096)
                    continue
                probe, sock = flow
                probe.receive(sock.receive(), time.monotonic(), on_time=on_time)
        self._apply_requests()
        for probe, sock in list(self._flows.values()):
            self._close(probe, sock)

    def _run_due(self) -> float:
        """Run each stream that is due once; return when the next one is due."""
        due = self._queue
        for _ in range(len(due)):
            if due[0][0] > (now := time.monotonic()):
                break
            _, number, probe = due[0]
            heapq.heapreplace(due, (probe.step(now), number, probe))
        return due[0][0] if due else time.monotonic() + _MAX_WAIT_SECONDS

    def _apply_requests(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, []
        for probe, sock, wait in requests:
            if wait is None:
                self._close(probe, sock)
                continue
            start = time.monotonic() + wait
            probe.start(start)
            self._flows[sock.fileno()] = probe, sock
            self._poll.register(sock.fileno(), select.EPOLLIN)
            heapq.heappush(self._queue, (start, next(self._numbers), probe))

    def _close(self, probe: UdpProbe, sock: UdpSocket) -> None:
        if self._flows.pop(sock.fileno(), None) is None:
            return
        probe.request_stop()
        self._poll.unregister(sock.fileno())
        sock.close()
        self._queue = [entry for entry in self._queue if entry[2] is not probe]
        heapq.heapify(self._queue)
