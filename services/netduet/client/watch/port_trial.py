"""Tries whether a UDP stream from another port is answered."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from netduet.client.net.udp_socket import UdpSocket
from netduet.client.outages.loss_tracker import LossTracker
from netduet.client.outages.udp_probe import UdpProbe

if TYPE_CHECKING:
    from netduet.client.net.dial import Address

RING_SIZE: Final = 4096
"""Datagrams whose time of sending is remembered: 32 KiB per peer."""

_TRIAL_SECONDS: Final = 1.0


def is_answered_from_new_port(address: Address, period: float) -> bool:
    """Return whether a stream from a new port is answered. Blocks for a second or two.

    Raises:
        OSError: no socket, or no route.
    """
    with UdpSocket(address) as sock:
        trial = UdpProbe(sock, period, lambda _: None, LossTracker(period, RING_SIZE))
        trial.run(_TRIAL_SECONDS, threading.Event())
        return trial.tracker.last_arrival is not None
