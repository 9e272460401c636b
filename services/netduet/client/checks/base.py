"""What a check is, and what it is given."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from netduet.client.net.timeouts import Timeouts
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.target import Expect, Target

if TYPE_CHECKING:
    from netduet.client.results.verdict import Judgement

Measurement = TypeVar("Measurement")


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What a person may set for single checks. Each field is the setting of its name.

    ``max_loss`` is a share of datagrams, ``idle_rungs`` are seconds of silence (empty:
    those of the profile), ``expect_instances`` is a number (0: not said),
    ``max_uneven`` how many times the others' average one of them may get,
    ``min_rate`` is in bit/s (0: not judged), ``max_outage`` and ``stream_time`` are
    seconds (0: of the profile).
    """

    max_loss: float = 0.02
    idle_rungs: tuple[float, ...] = ()
    expect_instances: int = 0
    max_uneven: float = 2.0
    min_rate: float = 0.0
    max_outage: float = 0.5
    stream_time: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check may use: the target, the bounds, what was measured before it.

    ``control`` is another target that was reached from here before, "" for none.
    """

    target: Target
    family: socket.AddressFamily
    expect_service: str
    timeouts: Timeouts
    profile: str = "quick"
    options: CheckOptions = field(default_factory=CheckOptions)
    measured: dict[type, object] = field(default_factory=dict)
    control: str = ""

    def earlier(self, kind: type[Measurement]) -> Measurement:
        """Return the measurement of a check that this one needs.

        Raises:
            KeyError: that check did not run: a defect of the order of checks.

        """
        return cast("Measurement", self.measured[kind])


@dataclass(frozen=True, slots=True)
class Check(Generic[Measurement]):
    """A check; ``needs`` names those without which it has nothing to go on.

    ``after`` names those that it waits for where they run: when one of them blocks,
    what this one would measure follows from it.

    One that fills the path is ``heavy``: no two of these run at the same time.
    ``failures`` are the classes of failure that it finds, in the catalogue's order.
    ``judges`` says of which targets it has anything to say, by what is expected of them.
    """

    name: str
    question: str
    needs: tuple[str, ...]
    measure: Callable[[CheckContext], Awaitable[Measurement]]
    judge: Callable[[Measurement], Judgement]
    failures: tuple[Failure, ...] = ()
    heavy: bool = False
    after: tuple[str, ...] = ()
    judges: tuple[Expect, ...] = (Expect.OPEN,)


DEFECT: Final = Failure(
    "check.defect",
    "the check itself failed",
    "The check raised an error that is no finding about the network.",
    Location.CLIENT,
    ("a defect of netduet",),
    ("report it, with the log that this command writes to stderr",),
    severity=Severity.PROBE,
)
"""What is reported when a check raises an error of its own."""
