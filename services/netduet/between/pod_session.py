"""One run of the pair between two pods, by kubectl with the user's credentials.

Ephemeral containers cannot be removed: ours end by themselves.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from netduet.between import evidence
from netduet.between.client_run import parse_report
from netduet.between.errors import BetweenError
from netduet.between.pair_result import PairResult
from netduet.between.pairs import PortRequest, Route, service_ports
from netduet.between.pods import (
    POD_NETWORK,
    Kubectl,
    client_arguments,
    ephemeral_state,
    pod_place,
    server_arguments,
)
from netduet.between.ports import choose_port

if TYPE_CHECKING:
    from netduet.between.options import Options
    from netduet.between.places import Place
    from netduet.client.report.json_report import ReportDocument
    from netduet.net.namespace.snapshot import Snapshot

_COMMAND_SECONDS: Final = 60.0
_START_SECONDS: Final = 120.0
"""Seconds until a node has pulled an image and started a container."""

_POLL_SECONDS: Final = 0.5
_DRAIN_SECONDS: Final = 60.0
"""Seconds that a server runs beyond the timeouts of its clients."""

Run = Callable[[Sequence[str]], str]


def run_kubectl(command: Sequence[str]) -> str:
    """Run a command; return what it prints.

    Raises:
        BetweenError: it fails; the message is its first line.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the words are checked names
            list(command),
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise BetweenError("kubectl is not installed, or not in PATH") from None
    except subprocess.TimeoutExpired:
        raise BetweenError(
            f"kubectl does not respond within {_COMMAND_SECONDS:g} s: {command[1]}"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise BetweenError(f"kubectl {command[1]} {command[2]}: {lines[0]}")
    return done.stdout


class PodSession:
    """The pair in ephemeral containers of two pods."""

    def __init__(
        self, options: Options, kubectl: Kubectl, run: Run = run_kubectl
    ) -> None:
        self._options = options
        self._kubectl = kubectl
        self._run = run
        self._id = uuid.uuid4().hex[:8]

    @property
    def service(self) -> str:
        """The name that the server answers with, and the client demands."""
        return f"netduet-between-{self._id}"

    def measure(
        self, client_pod: str, service_pod: str, requested: Sequence[PortRequest]
    ) -> PairResult:
        """Run the pair between two pods.

        Raises:
            BetweenError: it cannot be run there.
        """
        client, service = self._place(client_pod), self._place(service_pod)
        if client.id == service.id:
            raise BetweenError(f"both places are pod {client.name}: name two")
        before = self._look(service, "before")
        ports = service_ports(requested, before, service)
        port, note = choose_port(self._options.port, before.ports_taken(), service.name)
        self._serve(service, port)
        hosts = service.attachments[0].addresses
        path = self._check(client, "path", hosts, (PortRequest(port),), self.service)
        services = self._check(client, "ports", hosts, ports, "") if ports else None
        after = self._look(service, "after")
        now = self._place(service_pod)
        return PairResult(
            client,
            service,
            Route(hosts, (POD_NETWORK,)),
            port,
            path,
            services,
            before,
            after,
            None,
            bool(requested),
            (note,) if note else (),
            restarted=now.started != service.started,
        )

    def _place(self, pod: str) -> Place:
        return pod_place(self._get(pod))

    def _get(self, pod: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self._run(self._kubectl.get(pod)))
        return found

    def _look(self, pod: Place, step: str) -> Snapshot:
        container = self._start(pod, step, "server", list(evidence.COMMAND))
        status = self._ended(pod, container, _START_SECONDS)
        out = self._run(self._kubectl.logs(pod.name, container)).encode()
        return evidence.parse(out, b"", status, pod)

    def _serve(self, pod: Place, port: int) -> None:
        arguments = server_arguments(port, self.service, time_limit(self._options))
        container = self._start(pod, "server", "server", arguments)
        end = time.monotonic() + _START_SECONDS
        while True:
            state = ephemeral_state(self._get(pod.name), container)
            printed = ""
            if state.running or state.exit_status is not None:
                printed = self._run(self._kubectl.logs(pod.name, container))
            if '"server.ready"' in printed:
                return
            if state.exit_status is not None:
                last = printed.strip().rpartition("\n")[2] or "without a word"
                raise BetweenError(f"netduet-server in pod {pod.name} ended: {last}")
            self._pause(end, pod, container)

    def _check(
        self,
        pod: Place,
        step: str,
        hosts: Sequence[str],
        ports: Sequence[PortRequest],
        expect_service: str,
    ) -> ReportDocument:
        options = self._options
        variables = (
            options.path_environment if expect_service else options.service_environment
        )
        targets = [each.target(host) for host in hosts for each in ports]
        arguments = client_arguments(variables, expect_service, targets)
        container = self._start(pod, step, "client", arguments)
        status = self._ended(pod, container, _START_SECONDS + options.max_seconds)
        out = self._run(self._kubectl.logs(pod.name, container))
        return parse_report(printed_document(out), out.encode(), status, pod.name)

    def _start(
        self, pod: Place, step: str, service: str, arguments: Sequence[str]
    ) -> str:
        images = (self._options.server_image, self._options.client_image)
        image = images[service == "client"].name
        container = f"netduet-{step}-{self._id}"
        self._run(self._kubectl.debug(pod.name, container, image, arguments))
        return container

    def _ended(self, pod: Place, container: str, max_seconds: float) -> int:
        end = time.monotonic() + max_seconds
        while True:
            state = ephemeral_state(self._get(pod.name), container)
            if state.exit_status is not None:
                return state.exit_status
            self._pause(end, pod, container)

    def _pause(self, end: float, pod: Place, container: str) -> None:
        if time.monotonic() > end:
            raise BetweenError(
                f"container {container} in pod {pod.name} takes too long: see kubectl "
                f"describe pod {pod.name}"
            )
        time.sleep(_POLL_SECONDS)


def printed_document(log: str) -> bytes:
    """Return the report in a log, in which kubectl mixes both streams."""
    start, end = log.find("{\n"), log.rfind("\n}")
    return log[start : end + 2].encode() if 0 <= start < end else b""


def time_limit(options: Options) -> float:
    """Return the seconds after which a server in a pod ends by itself."""
    return 2 * (options.max_seconds + _START_SECONDS) + _DRAIN_SECONDS


def dry_run(
    options: Options,
    kubectl: Kubectl,
    client: str,
    service: str,
    requested: Sequence[PortRequest],
) -> list[str]:
    """Return the commands of a run, in order; ADDRESS stands for the service's pod."""
    session = PodSession(options, kubectl)
    port, _ = choose_port(options.port, frozenset(), service)
    server, checker = options.server_image.name, options.client_image.name
    look = list(evidence.COMMAND)
    path = client_arguments(
        options.path_environment,
        session.service,
        [PortRequest(port).target("ADDRESS")],
    )
    ports = client_arguments(
        options.service_environment,
        "",
        [each.target("ADDRESS") for each in requested] or ["ADDRESS:PORT"],
    )
    arguments = server_arguments(port, session.service, time_limit(options))
    commands = [
        kubectl.get(client),
        kubectl.get(service),
        kubectl.debug(service, "netduet-before", server, look),
        kubectl.logs(service, "netduet-before"),
        kubectl.debug(service, "netduet-server", server, arguments),
        kubectl.debug(client, "netduet-path", checker, path),
        kubectl.logs(client, "netduet-path"),
        kubectl.debug(client, "netduet-ports", checker, ports),
        kubectl.logs(client, "netduet-ports"),
        kubectl.debug(service, "netduet-after", server, look),
        kubectl.logs(service, "netduet-after"),
    ]
    return [shlex.join(command) for command in commands]
