"""What a check is, and what it is given."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from netduet.client.target import Target
    from netduet.client.verdict import Judgement

Measurement = TypeVar("Measurement")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    resolve: float
    connect: float
    answer: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a person may set for single checks. Each field is the setting of its name.

    ``max_loss`` is a share of datagrams, ``idle_rungs`` are seconds of silence (empty:
    those of the profile), ``max_outage`` and ``stream_time`` seconds (0: of the profile).
    """

    max_loss: float = 0.02
    idle_rungs: tuple[float, ...] = ()
    max_outage: float = 0.5
    stream_time: float = 0.0


@dataclass(frozen=True, slots=True)
class Context:
    """What a check may use: the target, the bounds, what was measured before it."""

    target: Target
    family: socket.AddressFamily
    expect_service: str
    patience: Patience
    profile: str = "quick"
    bounds: Bounds = field(default_factory=Bounds)
    measured: dict[type, object] = field(default_factory=dict)

    def earlier(self, kind: type[Measurement]) -> Measurement:
        """Return the measurement of a check that this one needs.

        Raises:
            KeyError: that check did not run: a defect of the order of checks.

        """
        return cast("Measurement", self.measured[kind])


@dataclass(frozen=True, slots=True)
class Check(Generic[Measurement]):
    """A check; ``needs`` names those without which it has nothing to go on.

    One that fills the path is ``heavy``: no two of these run at the same time.
    """

    name: str
    question: str
    needs: tuple[str, ...]
    measure: Callable[[Context], Awaitable[Measurement]]
    judge: Callable[[Measurement], Judgement]
    heavy: bool = False
