"""Does the same data pass when its bytes are changed?

A device may drop or reset what it finds in the data: an inspecting firewall, a virus
scanner, a broken network card. The kernel at the other end acknowledges any bytes,
whatever its program makes of them.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netduet.client.net.run_id import run_id
from netduet.net.tcp_info import bytes_acked
from netduet.wire.connection import SEND_EOF, Connection
from netduet.wire.messages import Open
from netduet.wire.state_machine import Limits, Role

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

TRIAL_COUNT: Final = 5
"""Connections with either data: that all of one kind fail and all of the other pass is
chance once in 252 times (R. A. Fisher's exact test)."""

_SECONDS: Final = 1.5
"""Seconds for each: the kernel sends data again after about 0.2, 0.6 and 1.4 s."""

_POLL_SECONDS: Final = 0.05
_MASK: Final = 0x5A
_SYN_BYTES: Final = 1
"""The SYN counts as one byte (RFC 9293 §3.4)."""


@dataclass(frozen=True, slots=True)
class ContentTrial:
    """How often the same ``size`` bytes were acknowledged, and changed ones.

    Either was sent on ``count`` connections.
    """

    size: int
    count: int
    same_passed: int
    changed_passed: int

    @property
    def depends_on_content(self) -> bool:
        """Whether only changed bytes pass."""
        return not self.same_passed and self.changed_passed == self.count


async def try_opening(address: Address) -> ContentTrial:
    """Send netduet's opening, and as many changed bytes, on connections by turns."""
    wire = Connection(Role.CLIENT, Limits(), 0.0)
    wire.open(Open(nonce=secrets.token_hex(16)), 0.0, run_id())
    data = b"".join(out for out in wire.data_to_send() if out != SEND_EOF)
    changed = bytes(byte ^ _MASK for byte in data)
    passed = await asyncio.gather(
        *(
            _passes(address, each)
            for _ in range(TRIAL_COUNT)
            for each in (data, changed)
        )
    )
    return ContentTrial(len(data), TRIAL_COUNT, sum(passed[::2]), sum(passed[1::2]))


async def _passes(address: Address, data: bytes) -> bool:
    """Return whether the other kernel acknowledges all of the data."""
    loop = asyncio.get_running_loop()
    with socket.socket(address.family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(_SECONDS):
                await loop.sock_connect(sock, address.sockaddr)
                await loop.sock_sendall(sock, data)
                while bytes_acked(sock.fileno()) < len(data) + _SYN_BYTES:  # noqa: ASYNC110 - the kernel is asked, no flag
                    await asyncio.sleep(_POLL_SECONDS)
        except OSError:
            return False
    return True
