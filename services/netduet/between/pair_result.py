"""What was measured between a client and a service, before it is judged. Values alone."""

from __future__ import annotations

from dataclasses import dataclass

from netduet.between.pairs import Route
from netduet.between.places import Place
from netduet.client.report.json_report import ReportDocument
from netduet.net.namespace.snapshot import Snapshot, compare


@dataclass(frozen=True, slots=True)
class PairResult:
    """What was measured between a client and a service, before it is judged."""

    client: Place
    service: Place
    route: Route
    port: int
    path: ReportDocument
    services: ReportDocument | None
    before: Snapshot
    after: Snapshot
    near: Snapshot | None
    """The client's namespace; None if it was not read."""
    ports_requested: bool = False
    """Whether the user named the ports of the service."""
    notes: tuple[str, ...] = ()
    restarted: bool = False

    @property
    def overflows(self) -> int:
        """Connections that found an accept queue beside the service full meanwhile."""
        return compare(self.before, self.after).overflows or 0

    @property
    def addresses(self) -> list[str]:
        """The addresses of the service that the client can use."""
        shared = self.route.shared
        return [
            address
            for attachment in self.service.attachments
            if not shared or attachment.network in shared
            for address in attachment.addresses
        ]
