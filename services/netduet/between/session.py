"""One run of the pair beside containers: what it starts, it removes, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from netduet.between import evidence, leftovers
from netduet.between.client_run import run_client
from netduet.between.engine import (
    MEMORY,
    connect,
    engine_errors,
    list_places,
    remove,
    require_image,
    signals_held,
    start_beside,
)
from netduet.between.errors import BetweenError
from netduet.between.pair_result import PairResult
from netduet.between.pairs import (
    PortRequest,
    Route,
    resolve_namespace,
    route,
    service_ports,
)
from netduet.between.places import Place, require_usable
from netduet.between.ports import choose_port

if TYPE_CHECKING:
    from types import TracebackType

    from docker.models.containers import Container

    from netduet.between.options import Options
    from netduet.client.report.json_report import ReportDocument
    from netduet.net.namespace.snapshot import Snapshot

_GRACE_SECONDS: Final = 60.0
"""Seconds that a run may take beyond its clients' timeouts."""

_READY_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05

_MAX_LIMIT_SECONDS: Final = 7 * 24 * 3600.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _FarEnd:
    """A service with netduet-server beside it."""

    service: Place
    port: int
    ports: tuple[PortRequest, ...]
    before: Snapshot
    ports_requested: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A service, the ports of it that the user named, and its clients."""

    service: Place
    clients: tuple[Place, ...]
    ports: tuple[PortRequest, ...] = ()
    notes: tuple[str, ...] = ()
    """On the choice of the containers."""


class Session:
    """A connection to the engine, and everything that this run has started there."""

    def __init__(self, options: Options, say: Say = lambda _: None) -> None:
        """Prepare; nothing is started yet. ``say`` shows what is being done."""
        self._options = options
        self._say = say
        self._run = leftovers.new_run(options.max_seconds + _GRACE_SECONDS)
        self.interrupted = False
        """Whether a signal ended a client early: its report has the results so far."""

    def __enter__(self) -> Self:
        """Connect, and remove what dead runs have left.

        Raises:
            BetweenError: no engine, or an image that does not exist.
        """
        self._engine = connect()
        try:
            for image in (self._options.server_image, self._options.client_image):
                require_image(self._engine, image)
            leftovers.remove_leftovers(self._engine)
        except BaseException:
            self._engine.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            leftovers.remove_run(self._engine, self._run)
        finally:
            self._engine.close()

    def places(self) -> list[Place]:
        """Return all containers of the engine, but those of netduet between."""
        return list_places(self._engine, without_label=leftovers.RUN)

    def look(self, places: Sequence[Place]) -> list[Snapshot]:
        """Return what the namespaces of containers show."""
        image = self._options.server_image
        return evidence.look(self._engine, image, places, self._run)

    def measure(self, request: Request, places: Sequence[Place]) -> list[PairResult]:
        """Run the pair between a service and each of its clients.

        Raises:
            BetweenError: the pair cannot be run there.
        """
        service = resolve_namespace(request.service, places)
        clients = [resolve_namespace(client, places) for client in request.clients]
        for chosen in (service, *clients):
            require_usable(chosen)
        routes = [route(client, service, places) for client in clients]
        self._extend(len(clients))
        self._say(f"looking beside {service.title}")
        before, *nears = self.look([service, *clients])
        ports = service_ports(request.ports, before, service)
        port, note = choose_port(
            self._options.port, before.ports_taken(), service.title
        )
        notes = (*request.notes, note) if note else request.notes
        far = _FarEnd(service, port, ports, before, bool(request.ports), notes)
        self._say(f"starting netduet-server beside {service.title}")
        server = self._serve(far, len(clients))
        results = []
        for client, way, near in zip(clients, routes, nears, strict=True):
            if not self.interrupted:
                results.append(self._pair(client, far, way, near))
        with signals_held():
            remove(server)
        return results

    def _extend(self, clients: int) -> None:
        """Give the labels of what is started from now on the time that it may take."""
        runs = 2 * clients
        max_seconds = runs * self._options.max_seconds + _GRACE_SECONDS
        self._run = leftovers.extended(self._run, max_seconds)

    def _serve(self, far: _FarEnd, clients: int) -> Container:
        limit = 2 * clients * self._options.max_seconds + _GRACE_SECONDS
        server = start_beside(
            self._engine,
            self._options.server_image,
            far.service,
            ("serve",),
            labels=self._run.labels,
            environment={
                "NETDUET_SERVER_PORT": str(far.port),
                "NETDUET_SERVER_SERVICE": self._run.service,
                "NETDUET_SERVER_TIME_LIMIT": f"{min(limit, _MAX_LIMIT_SECONDS):.0f}",
                "NETDUET_SERVER_LOG_FORMAT": "json",
            },
            memory=MEMORY["server"],
        )
        _await_ready(server, far.service)
        return server

    def _pair(
        self, client: Place, far: _FarEnd, way: Route, near: Snapshot
    ) -> PairResult:
        service = far.service
        path_targets = tuple(PortRequest(far.port).target(host) for host in way.hosts)
        self._say(f"checking the network from {client.title} to {service.title}")
        path = self._start(client, path_targets, self._run.service)
        targets = [each.target(host) for host in way.hosts for each in far.ports]
        at_once = bool(targets) and self._options.services_are_checked_at_once
        services = self._start(client, targets, "") if at_once else None
        path_report = self._finish(path, client)
        if targets and not at_once and not self.interrupted:
            self._say(f"checking {', '.join(targets)} from {client.title}")
            services = self._start(client, targets, "")
        service_report = (
            None if services is None else self._finish_services(services, client)
        )
        [after] = self.look([service])
        now = [each for each in self.places() if each.id == service.id]
        return PairResult(
            client,
            service,
            way,
            far.port,
            path_report,
            service_report,
            far.before,
            after,
            near,
            far.ports_requested,
            far.notes,
            restarted=not now or now[0].started != service.started,
        )

    def _start(
        self, client: Place, targets: Sequence[str], expect_service: str
    ) -> Container:
        options = self._options
        environment = {
            **(
                options.path_environment
                if expect_service
                else options.service_environment
            ),
            "NETDUET_CLIENT_TARGET": " ".join(targets),
            "NETDUET_CLIENT_EXPECT_SERVICE": expect_service,
            "NETDUET_CLIENT_JSON_REPORT": "true",
        }
        return start_beside(
            self._engine,
            self._options.client_image,
            client,
            ("check",),
            labels=self._run.labels,
            environment=environment,
            memory=MEMORY["client"],
        )

    def _finish(self, container: Container, client: Place) -> ReportDocument:
        timeout = _POLL_SECONDS if self.interrupted else self._options.max_seconds
        document, interrupted = run_client(container, client.title, timeout)
        self.interrupted |= interrupted
        return document

    def _finish_services(
        self, container: Container, client: Place
    ) -> ReportDocument | None:
        """Return the report on the service's ports; None if a signal came too early."""
        try:
            return self._finish(container, client)
        except BetweenError:
            if self.interrupted:
                return None
            raise


def _await_ready(server: Container, service: Place) -> None:
    """Wait until the server listens.

    Raises:
        BetweenError: it ends before, or takes too long.
    """
    what = f"netduet-server beside {service.title}"
    end = time.monotonic() + _READY_SECONDS
    with engine_errors(f"{what} cannot be waited for"):
        while True:
            server.reload()
            printed = server.logs().decode(errors="replace")
            if '"server.ready"' in printed:
                return
            last = printed.strip().rpartition("\n")[2] or "without a word"
            if server.status in {"exited", "dead"}:
                raise BetweenError(f"{what} ended: {last}")
            if time.monotonic() > end:
                raise BetweenError(
                    f"{what} is not ready after {_READY_SECONDS:g} s: {last}"
                )
            time.sleep(_POLL_SECONDS)
