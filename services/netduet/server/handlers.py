"""Control questions and their answers.

Each kind that is answered at once has one entry in ``Handlers.answers``. A new one is a
function here, a model in ``wire.messages`` and a feature in ``wire.frames``.
``delayed_handlers`` has the kinds that take time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from netduet import __version__
from netduet.net import counters, kernel
from netduet.net.tcp_info import accept_queue, tcp_info, tcp_settings
from netduet.wire import payload_pattern, token
from netduet.wire.frames import FEATURES, VERSION, Kind
from netduet.wire.messages import (
    Endpoint,
    HostReport,
    Inspection,
    InspectQuestion,
    LedgerAnswer,
    LedgerQuestion,
    LimitsNotice,
    ListenerReport,
    Open,
    ServerReport,
    SinkAnswer,
    TokenAnswer,
    Welcome,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.runtime.stall_monitor import StallMonitor
    from netduet.server.address import Address
    from netduet.server.ledger import Ledger
    from netduet.wire.state_machine import Limits

_HOST_AGE: Final = 0.1
"""Maximum age, in seconds, of what is read of the host: it costs five files."""


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Which server answers; ``boot_id`` is random, in hex, new at each start."""

    service: str
    instance: str
    boot_id: str
    node: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The connection of a question: its descriptor, and its listener's."""

    descriptor: int
    listener: int | None


class Handlers:
    """The answers of one server."""

    def __init__(
        self,
        identity: ServerIdentity,
        limits: Limits,
        ledger: Ledger,
        stalls: StallMonitor,
        *,
        demands_token: bool = False,
    ) -> None:
        self.identity = identity
        self.question_bounds = limits.question_bounds
        """The bounds of the JSON of a question."""
        self._ledger = ledger
        self._stalls = stalls
        self._limits = LimitsNotice(
            max_frame=limits.max_frame,
            idle=limits.idle,
            frame=limits.frame,
            hold=limits.hold,
        )
        unwanted = set() if demands_token else {token.FEATURE}
        self._features = sorted(FEATURES.keys() - unwanted)
        self._host_read_at = self._counters_read_at = -_HOST_AGE
        self._tcp_settings = tcp_settings()
        self.listen_drops_before = kernel.listen_drops()
        """``kernel.listen_drops`` before this server listened."""
        self.answers: dict[Kind, Callable[[BaseModel, RequestOrigin], BaseModel]] = {
            Kind.REPORT: self._report,
            Kind.LEDGER: self._find,
            Kind.INSPECT: self._inspect,
            Kind.TOKEN: lambda *_: TokenAnswer(),  # the wire has judged the proof
        }
        """The handler of each control question that is answered at once."""

    def welcome(
        self,
        message: Open,
        conn_id: str,
        peer: Address,
        local: Address,
        certificate: str = "",
    ) -> Welcome:
        """Answer an opening; ``certificate`` is a fingerprint, "" without TLS."""
        return Welcome(
            version=VERSION,
            nonce=message.nonce,
            service=self.identity.service,
            instance=self.identity.instance,
            boot_id=self.identity.boot_id,
            conn_id=conn_id,
            software=f"netduet/{__version__}",
            features=self._features,
            limits=self._limits,
            peer=Endpoint(address=peer[0], port=peer[1]),
            local=Endpoint(address=local[0], port=local[1]),
            node=self.identity.node,
            zone=self.identity.zone,
            certificate=certificate,
        )

    def _report(self, _question: BaseModel, origin: RequestOrigin) -> ServerReport:
        info = tcp_info(origin.descriptor)
        drops = backlog = None
        if origin.listener is not None:
            drops = kernel.openings_dropped(origin.listener, self.listen_drops_before)
            backlog = accept_queue(origin.listener)
        return ServerReport(
            instance=self.identity.instance,
            connection=info,
            listener=ListenerReport(drops=drops, backlog=backlog),
            host=self._host_report(time.monotonic()),
            tcp_settings=self._tcp_settings,
        )

    def _host_report(self, now: float) -> HostReport:
        """Return a report of limited age: many questions must not stall the server."""
        if now >= self._host_read_at + _HOST_AGE:
            self._host_read_at = now
            self._host = HostReport(
                stalls=self._stalls.count,
                stalled=self._stalls.total,
                throttled=self._stalls.throttled(),
                cpu_pressure=self._stalls.cpu_pressure(),
            )
        return self._host

    def sink(self, payload: bytes) -> SinkAnswer:
        """Answer a SINK: what arrived of it."""
        changed_at = payload_pattern.changed_at(payload)
        return SinkAnswer(received=len(payload), changed_at=changed_at)

    def _inspect(self, question: BaseModel, origin: RequestOrigin) -> Inspection:
        asked = cast("InspectQuestion", question)
        entry = self._ledger.find(asked.conn_id)
        info = found = None
        if entry is not None and entry.descriptor is not None:
            info = tcp_info(entry.descriptor())
            # What is known of another connection must fit through a path that large
            # packets do not pass, so only a question about itself gets the counters.
            if entry.descriptor() == origin.descriptor:
                found = self._recent_counters(time.monotonic())
        window = asked.window
        recent = self._stalls.recent(*(() if window is None else (window,)))
        return Inspection(
            instance=self.identity.instance,
            connection=info,
            window=recent.window,
            stalled=recent.stalled,
            throttled=recent.throttled,
            counters=found,
        )

    def _recent_counters(self, now: float) -> dict[str, int]:
        """Return the counters that are not 0, of limited age as a host report is."""
        if now >= self._counters_read_at + _HOST_AGE:
            self._counters_read_at = now
            read = counters.read().items()
            self._counters = {name: count for name, count in read if count}
        return self._counters

    def _find(self, question: BaseModel, _origin: RequestOrigin) -> LedgerAnswer:
        # The wire has decoded the question by its kind.
        conn_id = cast("LedgerQuestion", question).conn_id
        entry = self._ledger.find(conn_id)
        return LedgerAnswer(
            instance=self.identity.instance,
            entry=None if entry is None else entry.message(time.monotonic()),
        )


def new_id() -> str:
    """Return 128 random bits in hex, for a ``conn_id`` or a ``boot_id``."""
    return secrets.token_hex(16)
