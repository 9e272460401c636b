"""What all connections of the client share: the socket, its ends, and its end."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from netduet.client.net.wakeup import Wakeup
from netduet.net import kernel
from netduet.net.tcp_info import tcp_info

if TYPE_CHECKING:
    from netduet.wire.messages import TcpInfo


class StreamConnection(asyncio.Protocol):
    """A TCP connection: the callbacks of the loop, and this kernel's view of it."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.is_closed = False
        self._wakeup = Wakeup()

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and both addresses."""
        self._transport = cast("asyncio.Transport", transport)
        # uvloop forgets both once the connection is closed.
        self._local_address = transport.get_extra_info("sockname")
        self._peer_address = transport.get_extra_info("peername")

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep the error."""
        self.error = exc
        self.is_closed = True
        self._wakeup.set()

    # For the checks

    def set_option(self, level: int, name: int, value: int) -> None:
        """Set an option of the socket, unless the connection is closed.

        Raises:
            OSError: the kernel refuses it.
        """
        if self._transport.is_closing():
            return  # uvloop would raise ValueError
        self._transport.get_extra_info("socket").setsockopt(level, name, value)

    def set_keepalive(self, interval: int | None, count: int | None = None) -> None:
        """Have the kernel probe each ``interval`` seconds of silence; None: not at all.

        It ends the connection after ``count`` probes without an answer; None keeps the
        kernel's number (tcp(7), TCP_KEEPCNT).

        Raises:
            OSError: the kernel refuses it.
        """
        is_on = interval is not None
        self.set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(is_on))
        if interval is None:
            return
        self.set_option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval)
        self.set_option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        if count is not None:
            self.set_option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)

    def info(self) -> TcpInfo | None:
        """Return this kernel's view of the connection."""
        if self.is_closed:
            return None
        return tcp_info(self._transport.get_extra_info("socket").fileno())

    def local(self) -> tuple[str, int]:
        """Return our own address and port."""
        return self._local_address[0], self._local_address[1]

    def reset(self) -> None:
        """Reset the connection."""
        if not self._transport.is_closing():
            kernel.reset_on_close(self._transport.get_extra_info("socket").fileno())
            self._transport.abort()

    def close(self) -> None:
        """Close at once.

        What this kernel has not sent yet would go on filling a slow path: it is dropped.
        """
        info = None if self._transport.is_closing() else self.info()
        if info is not None and info.notsent_bytes:
            self.reset()
        self._transport.abort()

    # Helpers

    def _retransmissions(self) -> int:
        info = self.info()
        return 0 if info is None else info.total_retrans

    def _acked_bytes(self) -> int | None:
        info = self.info()
        # The SYN counts as one byte (RFC 9293 §3.4).
        return None if info is None else max(0, info.bytes_acked - 1)
