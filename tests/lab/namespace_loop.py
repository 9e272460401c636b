"""An event loop in a network namespace, in a thread of this process.

A socket belongs to the namespace of the thread that makes it. So a name server or
a proxy of a network costs a thread and no process, and is ready once it is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator

TIMEOUT_SECONDS = 10.0

Setup = Callable[[], Awaitable[None]]
"""Opens what it listens on, starts tasks in the loop, and returns."""


@contextlib.contextmanager
def loop_in_namespace(namespace: str, setup: Setup) -> Iterator[None]:
    """Run this setup in a loop in the namespace (a file of /run/netns)."""
    loop = _NamespaceLoop(namespace, setup)
    loop.thread.start()
    try:
        if not loop.is_ready.wait(TIMEOUT_SECONDS):
            raise TimeoutError(f"nothing settled in {namespace}")
        if loop.error is not None:
            raise loop.error
        yield
    finally:
        loop.stop()


class _NamespaceLoop:
    def __init__(self, namespace: str, settle: Setup) -> None:
        self.is_ready = threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True, name=namespace)
        self._namespace = namespace
        self._setup = settle
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End the loop, its tasks and the thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stopped.set)
        self.thread.join(TIMEOUT_SECONDS)

    def _run(self) -> None:
        try:
            with open(self._namespace, "rb") as file:  # noqa: PTH123 - a descriptor is wanted
                # This thread alone; Python 3.12, which the lab's image has.
                os.setns(file.fileno(), os.CLONE_NEWNET)
            asyncio.run(self._stay())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self.error = error
        finally:
            self.is_ready.set()

    async def _stay(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._setup()
        self.is_ready.set()
        await self._stopped.wait()


def bound_socket(kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    """Return a socket for a loop: of the address's family alone, and listening if TCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family is socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setblocking(False)
    sock.bind((host, port))
    if kind is socket.SOCK_STREAM:
        sock.listen(128)
    return sock
