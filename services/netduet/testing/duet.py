"""The server's and the client's containers, run by a test.

As in testcontainers: a context manager, or ``start`` and ``stop``. Containers carry
testcontainers' labels, so that its reaper finds them. The engine chooses their names,
so any number of pairs can run at once.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final, Self, TypeVar

import docker.errors

from netduet.between.engine import Image
from netduet.client.results.target import ANY_PROTOCOL
from netduet.client.settings import ClientSettings, longest_silence
from netduet.config.load import Settings, SettingsError, from_values, show
from netduet.server.settings import ServerSettings
from netduet.testing import engine
from netduet.testing.client import ended
from netduet.testing.engine import IMAGE_VARIABLES, DuetError, Named, engine_errors
from netduet.testing.pair import Identified, measure_between, pair_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from testcontainers.core.container import DockerContainer
    from testcontainers.core.docker_client import DockerClient

    from netduet.testing.report import Report

Model = TypeVar("Model", bound=Settings)

_TIMEOUTS: Final = {"quick": 60.0, "full": 600.0, "soak": 24 * 3600.0}
"""Timeout in seconds by profile: several times its usual duration."""

_OURS: Final = frozenset(
    ("target", "profile", "json_report", "junit", "color", "greeting")
)
"""Client settings that are arguments of ``check``, or do not apply."""

_DEMANDS: Final = {"expect_service", "expect_protocol"}
_NOT_BETWEEN: Final = _OURS | {"expect", "expect_service", "resume", "wait"}

_POLL_SECONDS: Final = 0.1
_LAST_LINES: Final = 20
_NOT_STARTED: Final = "the pair is not started: use it in a with block"


class Duet:
    """A running server, and a client for each check."""

    def __init__(
        self,
        network: Named | str,
        *,
        client_network: Named | str | None = None,
        alias: str | None = None,
        server_settings: Mapping[str, object] | None = None,
        server_image: str | None = None,
        client_image: str | None = None,
        ready_timeout: float = 30.0,
        need: Sequence[str] = (),
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            network: the server's network, and the client's when it has none of its
                own: testcontainers' Network, docker-py's, a name or an id.
            client_network: the client's network, when what is tested stands between.
            alias: the server's name on its network; without one, a unique one.
            server_settings: as ``netduet serve`` has them, by their names.
            server_image: instead of NETDUET_TESTING_SERVER_IMAGE or netduet-server.
            client_image: instead of NETDUET_TESTING_CLIENT_IMAGE or netduet-client.
            ready_timeout: seconds that the server has until it answers.
            need: what the application needs, for each check that states nothing else:
                ``("tcp", "idle=30s")``.

        Raises:
            DuetError: a setting of the server is unknown, or its value bad, or ``need``
                is.

        """
        self._network = network
        self._client_network = network if client_network is None else client_network
        self.alias = alias or f"netduet-{uuid.uuid4().hex[:8]}"
        self._settings = _given(ServerSettings, server_settings or {})
        self._server_image = Image.of("server", server_image, IMAGE_VARIABLES)
        self._client_image = Image.of("client", client_image, IMAGE_VARIABLES)
        self._ready_timeout = ready_timeout
        self._need = _given(ClientSettings, {"need": tuple(need)}).need
        self._engine: DockerClient | None = None
        self._server: DockerContainer | None = None
        self._client_on = ""

    @property
    def address(self) -> str:
        """``alias:port``, by which the server is reached on its network."""
        return f"{self.alias}:{self._settings.port}"

    @property
    def server(self) -> DockerContainer:
        """The server's container, for tests that pause or stop it.

        Raises:
            DuetError: it is not started.
        """
        if self._server is None:
            raise DuetError(_NOT_STARTED)
        return self._server

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the server, and return when it answers.

        Raises:
            DuetError: no engine, network or image, the server does not answer, or it
                is already started.
        """
        if self._server is not None:
            raise DuetError("the pair is already started")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Remove the server, if there is one."""
        server, self._server = self._server, None
        client, self._engine = self._engine, None
        try:
            if server is not None:
                engine.remove(server)
        finally:
            if client is not None:
                client.client.close()

    def check(
        self,
        profile: str = "quick",
        target: str | None = None,
        *,
        timeout: float | None = None,
        **settings: object,
    ) -> Report:
        """Run a client to its end, and return what it reports.

        Args:
            profile: ``quick`` takes seconds, ``full`` about two minutes, ``soak`` hours.
            target: ``host:port`` as the client is to ask it, such as a proxy's or that
                of a service of your own; without one, the server itself.
            timeout: seconds that the client has; without it, what the profile allows.
            settings: as ``netduet check`` has them, by their names: ``checks=("size",
                "close")``, ``answer_timeout="5s"``, ``need=("udp", "idle=30s")``,
                ``purpose=("database",)`` for ``--for``. A netduet server that answers
                must be this one unless ``expect_service`` is given. At a ``target`` any
                other service may answer too, unless one is demanded, but not silence.

        Raises:
            DuetError: a setting is unknown or bad, or the client made no report.

        """
        for name in sorted(_OURS & set(settings)):
            raise DuetError(f"{name}: not a setting of a check in a test")
        if self._server is None:
            raise DuetError(_NOT_STARTED)
        requested = {"expect_service": self._settings.service, **settings}
        if target is not None and not _DEMANDS & set(settings):
            requested["expect_protocol"] = ANY_PROTOCOL
        if self._need and not {"need", "purpose"} & set(settings):
            requested["need"] = self._need
        requested |= {"profile": profile, "target": target or self.address}
        values = _given(ClientSettings, requested)
        env = _environment(values) | {"NETDUET_CLIENT_JSON_REPORT": "true"}
        client = engine.container(
            self._client_image, self._client_on, env, command=("check",)
        )
        try:
            with engine_errors("the client could not be started"):
                client.start()
            usual = _TIMEOUTS[profile] + longest_silence(values)
            max_seconds = usual if timeout is None else timeout
            return ended(client, max_seconds, values.checks)
        finally:
            engine.remove(client)

    @staticmethod
    def between(
        client: DockerContainer | Identified | str,
        service: DockerContainer | Identified | str,
        *,
        ports: Sequence[int | str] = (),
        port: int | None = None,
        project: str = "",
        profile: str = "quick",
        timeout: float | None = None,
        server_image: str | None = None,
        client_image: str | None = None,
        **settings: object,
    ) -> Report:
        """Run the pair beside two running containers, as ``netduet between`` does.

        Args:
            client: where the client is put: a container of testcontainers or docker-py,
                a name, an id, or a service of Compose.
            service: where the server is put.
            ports: ports of the service to check too: ``5432`` or ``"5432/postgres"``;
                without any, all that it listens on.
            port: the port of the pair's server; without one, 12345 or a free one.
            project: the Compose project of both services.
            profile: ``quick``, ``full`` or ``soak``.
            timeout: seconds that each client has.
            server_image: instead of NETDUET_TESTING_SERVER_IMAGE or netduet-server.
            client_image: instead of NETDUET_TESTING_CLIENT_IMAGE or netduet-client.
            settings: as ``netduet check`` has them, by their names.

        Raises:
            DuetError: a setting is unknown or bad, or the pair could not be run.
        """
        for name in sorted(_NOT_BETWEEN & set(settings)):
            raise DuetError(f"{name}: not a setting of a check in a test")
        values = _given(ClientSettings, {**settings, "profile": profile})
        options = pair_options(
            _environment(values),
            port=port,
            profile=values.profile,
            timeout=timeout,
            server_image=server_image,
            client_image=client_image,
        )
        return measure_between(
            client,
            service,
            ports=ports,
            project=project,
            options=options,
            checks=values.checks,
        )

    def server_log(self) -> str:
        """Return the server's log so far: one JSON object per line.

        Raises:
            DuetError: it is not started.
        """
        return engine.log_text(self.server)

    def _start(self) -> None:
        self._engine = found = engine.connect()
        on = engine.network_name(found, self._network)
        self._client_on = engine.network_name(found, self._client_network)
        for image in (self._server_image, self._client_image):
            engine.require(found, image)
        self._server = engine.container(
            self._server_image,
            on,
            _environment(self._settings),
            aliases=(self.alias,),
            command=("serve",),
        )
        with engine_errors("the server could not be started"):
            self._server.start()
            self._await(self._server)

    def _await(self, server: DockerContainer) -> None:
        """Wait until the server answers; fail at once when it ends."""
        wrapped = server.get_wrapped_container()
        end = time.monotonic() + self._ready_timeout
        while True:
            wrapped.reload()
            if wrapped.status != "running":
                reason = f"ended with status {wrapped.attrs['State']['ExitCode']}"
                break
            problem = _problem(server)
            if problem is None:
                return
            if time.monotonic() > end:
                reason = f"does not respond after {self._ready_timeout:g} s: {problem}"
                break
            time.sleep(_POLL_SECONDS)
        last = "\n".join(engine.log_text(server).splitlines()[-_LAST_LINES:])
        raise DuetError(f"the server {reason}\n{last}")


def _problem(server: DockerContainer) -> str | None:
    """Return the message of the server's health check; None when it answers."""
    try:
        requested = server.exec(["netduet-healthcheck"])
    except docker.errors.APIError as error:  # it has just ended
        return str(error)
    message = requested.output.decode(errors="replace").strip()
    return message or "unhealthy" if requested.exit_code else None


def _given(model: type[Model], values: Mapping[str, object]) -> Model:
    """Return settings from these values alone.

    Raises:
        DuetError: a setting is unknown or invalid; the message says what is valid.
    """
    try:
        return from_values(model, values)
    except SettingsError as error:
        raise DuetError(str(error)) from None


def _environment(settings: Settings) -> dict[str, str]:
    """Return the explicitly set settings as environment variables.

    An image of another version may not know the others.
    """
    fields = type(settings).model_fields
    shown = {
        settings.variable(field): show(fields[field], getattr(settings, field))
        for field in sorted(settings.model_fields_set)
    }
    return {name: value for name, value in shown.items() if value}
