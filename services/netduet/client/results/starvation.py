"""How starved an end was: what excuses the network for lateness and absence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netduet.client.results.instance import Instance

STARVED: Final = 0.5
"""Share of a missed deadline in which an end was not running that excuses the network."""


@dataclass(frozen=True, slots=True)
class Starvation:
    """The starvation of this client, in seconds; None where unknown.

    ``descriptors`` is how many files it may open, ``receive_buffer`` and
    ``send_buffer`` are the bytes of a new UDP socket's buffers.
    """

    stalls: int
    stalled: float
    throttled: float | None
    descriptors: int = 0
    receive_buffer: int = 0
    send_buffer: int = 0


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """A server's starvation: ``lost`` of the last ``window`` seconds, at least."""

    who: Instance
    window: float
    lost: float
