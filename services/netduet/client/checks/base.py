"""The interface of a check, and its inputs."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from netduet.client.net.timeouts import Timeouts
from netduet.client.protocols import find_protocol
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.needs import Requirements
from netduet.client.results.target import Expect, Target

if TYPE_CHECKING:
    from netduet.client.protocols.base import Protocol
    from netduet.client.results.verdict import Judgement

Measurement = TypeVar("Measurement")


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Settings of single checks; each field is the setting of its name.

    ``max_loss`` is a share of datagrams, ``idle_rungs`` are seconds of silence (empty:
    of the profile), ``expect_instances`` is a number (0: any), ``max_uneven`` is a
    multiple of the others' average, ``min_rate`` is in bit/s (0: none), ``max_outage``
    and ``stream_time`` are seconds (0: of the profile). ``tls``: connections to
    netduet servers speak TLS. ``tls_ca``, ``tls_cert`` and ``tls_key`` are files, "" for none; the others that begin with ``tls`` are explained
    by ``tls.results.TlsExpectation``.
    """

    max_loss: float = 0.02
    idle_rungs: tuple[float, ...] = ()
    expect_instances: int = 0
    max_uneven: float = 2.0
    min_rate: float = 0.0
    max_outage: float = 0.5
    stream_time: float = 0.0
    tls: bool = False
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_insecure: bool = False
    tls_fingerprint: tuple[str, ...] = ()
    tls_issuer: str = ""
    tls_min_days: int = 0
    expect_client_certificate: bool = False


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The inputs of a check: target, settings, and earlier measurements.

    ``expect_service`` is the service of the netduet server that is demanded (see
    ``identity.results``), ``expect_protocol`` the demanded protocol, "" for any.
    ``server_name`` is the name to use in greetings if the target is only its address.
    ``control`` is another target that was reached before, "" for none.
    ``requirements`` are what the applications need, none for a target to be blocked.
    """

    target: Target
    family: socket.AddressFamily
    expect_service: str
    timeouts: Timeouts
    profile: str = "quick"
    options: CheckOptions = field(default_factory=CheckOptions)
    measured: dict[type, object] = field(default_factory=dict)
    control: str = ""
    expect_protocol: str = ""
    server_name: str = ""
    requirements: Requirements = field(default_factory=Requirements)

    @property
    def demanded_protocol(self) -> Protocol | None:
        """The protocol that the target, or else the settings, demand; None for none."""
        return find_protocol(self.target.protocol or self.expect_protocol)

    def earlier(self, kind: type[Measurement]) -> Measurement:
        """Return the measurement of a check that this one needs.

        Raises:
            KeyError: that check did not run: a defect in the order of checks.
        """
        return cast("Measurement", self.measured[kind])


class PathUse(Enum):
    """How much of the path a check takes, and which others may run at the same time.

    On a slow path every check runs alone, but for those that are NEGLIGIBLE.
    """

    NEGLIGIBLE = "negligible"
    """It sends next to nothing."""
    LIGHT = "light"
    """It runs beside any other."""
    SENSITIVE = "sensitive"
    """It finds out what answers, and how reliably: while no other target's check fills
    the path."""
    CONNECTIONS = "connections"
    """It opens many connections: alone, or in quick beside its like of the same target."""
    FULL = "full"
    """It fills the path: alone."""


@dataclass(frozen=True, slots=True)
class Check(Generic[Measurement]):
    """A check. Without those that it ``needs`` it is skipped.

    ``after`` names checks that it waits for if they run; it is skipped when one of them
    blocks. It also waits for those in ``following``, whatever they come to. ``path_use``
    decides which others may run at the same time. ``failures`` are its failure classes,
    in the catalogue's order. ``judges`` are the expectations whose targets it judges.
    It is left out, unless a user names it, if it does not apply (``applies``) to what the
    checks before it have found.
    """

    name: str
    question: str
    needs: tuple[str, ...]
    measure: Callable[[CheckContext], Awaitable[Measurement]]
    judge: Callable[[Measurement], Judgement]
    failures: tuple[Failure, ...] = ()
    path_use: PathUse = PathUse.LIGHT
    after: tuple[str, ...] = ()
    judges: tuple[Expect, ...] = (Expect.OPEN,)
    following: tuple[str, ...] = ()
    applies: Callable[[CheckContext], bool] = lambda _: True


_MAX_SECONDS: Final = {"quick": 300.0, "full": 1800.0, "soak": 18_000.0}
"""Seconds that one check may take by profile: many times what any takes."""

_MAX_WAITS: Final = 60
"""Connections and answers in a row that a check may wait for beyond that."""


def max_seconds(context: CheckContext) -> float:
    """Return after how many seconds a check is ended, as a last resort.

    Each wait of a check has a bound of its own, whatever a server sends.
    """
    options, timeouts = context.options, context.timeouts
    asked_for = 3 * options.stream_time + 3 * sum(options.idle_rungs)
    waits = timeouts.resolve + timeouts.connect + timeouts.answer
    return _MAX_SECONDS[context.profile] + asked_for + _MAX_WAITS * waits


DEFECT: Final = Failure(
    "check.defect",
    "the check itself failed",
    "The check raised an error that says nothing about the network.",
    Location.CLIENT,
    ("a bug in netduet",),
    ("report it, with the log that this command writes to stderr",),
    severity=Severity.PROBE,
)
"""Reported when a check raises an exception."""

UNENDING: Final = Failure(
    "check.timeout",
    "the check did not end",
    "The check took many times as long as it may, and was ended. What it had measured is "
    "not reported.",
    Location.CLIENT,
    (
        "a server that sends without end what keeps the check busy",
        "a client that hardly gets any CPU",
        "a bug in netduet",
    ),
    (
        "run the check alone with --checks, from another host",
        "report it, with the log that this command writes to stderr",
    ),
    severity=Severity.PROBE,
)
"""Reported when a check has not ended after ``max_seconds``."""
