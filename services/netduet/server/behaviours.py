"""What a peer may ask for, and what it is answered.

Each kind of control question has one row in ``Behaviours.answers``; a new one is
a function here, a model in ``wire.messages`` and a feature in ``wire.frames``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from netduet import __version__, kernel
from netduet.wire import patterns
from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import FEATURES, VERSION, Kind
from netduet.wire.messages import (
    CloseQuestion,
    Endpoint,
    HoldAnswer,
    HoldQuestion,
    HostReport,
    Inspection,
    InspectQuestion,
    LedgerAnswer,
    LedgerQuestion,
    LimitsNotice,
    ListenerReport,
    Open,
    Report,
    SinkAnswer,
    SourceQuestion,
    TcpInfo,
    Welcome,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from netduet.server.ledger import Ledger
    from netduet.stalls import StallWatch
    from netduet.wire.states import Limits

Address = tuple[str, int]

_HOST_AGE: Final = 0.1
"""Seconds for which a reading of the host serves all who ask: it costs five files."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: ``boot_id`` is new at each start, 128 random bits in hex."""

    service: str
    instance: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class Asker:
    """The connection on which a question came: its descriptor, and its listener's."""

    descriptor: int
    listener: int | None


class Behaviours:
    """The answers of one server."""

    def __init__(
        self, identity: Identity, limits: Limits, ledger: Ledger, stalls: StallWatch
    ) -> None:
        """Bind what the answers are made of."""
        self.identity = identity
        self._ledger = ledger
        self._stalls = stalls
        self._limits = LimitsNotice(
            max_frame=limits.max_frame,
            idle=limits.idle,
            frame=limits.frame,
            hold=limits.hold,
        )
        self._features = sorted(FEATURES)
        self._host_read_at = -_HOST_AGE
        self.answers: dict[Kind, Callable[[BaseModel, Asker], BaseModel | bytes]] = {
            Kind.REPORT: self._report,
            Kind.LEDGER: self._find,
            Kind.SOURCE: self._source,
            Kind.HOLD: self._hold,
            Kind.CLOSE: self._close,
            Kind.INSPECT: self._inspect,
        }
        """What answers each control question; data, where that is what it asks for.

        Raise RemoteError for a question that asks for more than the limits allow.
        """

    def welcome(
        self, message: Open, conn_id: str, peer: Address, local: Address
    ) -> Welcome:
        """Answer an opening."""
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
        )

    def _report(self, _question: BaseModel, asker: Asker) -> Report:
        info = kernel.tcp_info(asker.descriptor)
        drops = backlog = None
        if asker.listener is not None:
            drops = kernel.listener_drops(asker.listener)
            backlog = kernel.accept_queue(asker.listener)
        return Report(
            instance=self.identity.instance,
            connection=None if info is None else TcpInfo.model_validate(info),
            listener=ListenerReport(drops=drops, backlog=backlog),
            host=self._host_report(time.monotonic()),
        )

    def _host_report(self, now: float) -> HostReport:
        """Read anew only now and then: a burst of questions must not stall the rest."""
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
        """Answer a SINK: what of it arrived."""
        changed_at = patterns.changed_at(payload)
        return SinkAnswer(received=len(payload), changed_at=changed_at)

    def _source(self, question: BaseModel, _asker: Asker) -> bytes:
        asked = cast("SourceQuestion", question)
        return self._pattern(asked.size, asked.seed)

    def _hold(self, question: BaseModel, _asker: Asker) -> HoldAnswer:
        self._allow("seconds", cast("HoldQuestion", question).seconds)
        return HoldAnswer(spoke=False)

    def _close(self, question: BaseModel, _asker: Asker) -> bytes:
        asked = cast("CloseQuestion", question)
        self._allow("delay", asked.delay)
        return self._pattern(asked.size, asked.seed)

    def _allow(self, field: str, seconds: float) -> None:
        limit = self._limits.hold or 0.0
        if seconds > limit:
            message = f"{field} of {seconds:g} s: at most {limit:g} here"
            facts: dict[str, int | str] = {"field": field, "limit": int(limit)}
            raise RemoteError(Code.BAD_MESSAGE, message, facts)

    def _pattern(self, size: int, seed: int) -> bytes:
        if size > self._limits.max_frame:
            limit = self._limits.max_frame
            message = f"a pattern of {size} bytes: at most {limit} here"
            raise RemoteError(Code.TOO_LARGE, message, {"length": size, "limit": limit})
        return patterns.make(size, seed)

    def _inspect(self, question: BaseModel, _asker: Asker) -> Inspection:
        entry = self._ledger.find(cast("InspectQuestion", question).conn_id)
        info = None
        if entry is not None and entry.descriptor is not None:
            info = kernel.tcp_info(entry.descriptor())
        lately = self._stalls.lately()
        return Inspection(
            instance=self.identity.instance,
            connection=None if info is None else TcpInfo.model_validate(info),
            window=lately.window,
            stalled=lately.stalled,
            throttled=lately.throttled,
        )

    def _find(self, question: BaseModel, _asker: Asker) -> LedgerAnswer:
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
