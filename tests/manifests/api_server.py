"""A Kubernetes API server that answers what kubectl asks with recorded objects.

It has a Job whose container starts while kubectl waits for it, and three pods of the
mesh, one of them on a node that is down. Statuses are as Kubernetes 1.36 sent them.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

JOBS: Final = "/apis/batch/v1/namespaces/netduet/jobs"
PODS: Final = "/api/v1/namespaces/netduet/pods"
MESH_PODS: Final = ("netduet-mesh-a", "netduet-mesh-b", "netduet-mesh-c")
DOWN: Final = "netduet-mesh-b"
"""The pod whose node is down."""
LOG_LINES: Final = 20
"""Lines in the log of each pod."""
NODE_DOWN: Final = (
    'Get "https://172.18.0.3:10250/containerLogs/netduet/netduet-mesh-b/client?'
    'follow=true": dial tcp 172.18.0.3:10250: connect: no route to host'
)


def resources(version: str, *names: tuple[str, str, str]) -> dict[str, Any]:
    """Return the list of a group's resources: plural, singular, kind."""
    verbs = ["get", "list", "watch"]
    return {
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {
                "name": plural,
                "singularName": singular,
                "namespaced": True,
                "kind": kind,
                "verbs": verbs,
            }
            for plural, singular, kind in names
        ],
    }


BATCH: Final = {"groupVersion": "batch/v1", "version": "v1"}
DISCOVERY: Final[dict[str, dict[str, Any]]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [BATCH], "preferredVersion": BATCH}],
    },
    "/api/v1": resources("v1", ("pods", "pod", "Pod"), ("pods/log", "", "Pod")),
    "/apis/batch/v1": resources("batch/v1", ("jobs", "job", "Job")),
}


def failure(code: int, reason: str, message: str) -> dict[str, Any]:
    """Return a Status of the API."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }


def job(name: str, ready: int) -> dict[str, Any]:
    """Return a Job with as many ready pods."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "netduet", "resourceVersion": "1"},
        "spec": {"selector": {"matchLabels": {"controller-uid": name}}},
        "status": {"active": 1, "ready": ready},
    }


def pod(name: str) -> dict[str, Any]:
    """Return a pod: one of the mesh has two containers, one of a Job has one."""
    containers = ("client", "server") if name in MESH_PODS else ("client",)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "netduet"},
        "spec": {"containers": [{"name": container} for container in containers]},
        "status": {"phase": "Running"},
    }


class ApiServer(ThreadingHTTPServer):
    """The server; ``started`` has the Jobs whose container runs."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.started: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ApiServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer by the path."""
        asked = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        if asked.path in DISCOVERY:
            self._send(DISCOVERY[asked.path])
        elif asked.path.startswith(JOBS):
            self._jobs(asked.path.removeprefix(JOBS).strip("/"), query)
        elif asked.path == PODS:
            self._pods(query["labelSelector"])
        elif asked.path.startswith(PODS) and asked.path.endswith("/log"):
            self._log(asked.path.split("/")[-2], query)
        else:
            self._send(failure(404, "NotFound", f"not recorded: {self.path}"))

    def _jobs(self, name: str, query: dict[str, str]) -> None:
        name = name or query["fieldSelector"].removeprefix("metadata.name=")
        if query.get("watch"):
            self.server.started.add(name)
            events = [("MODIFIED", job(name, ready=1))]
            if "sendInitialEvents" in query:
                ended = job(name, ready=0)
                ended["metadata"]["annotations"] = {"k8s.io/initial-events-end": "true"}
                events = [("ADDED", job(name, ready=0)), ("BOOKMARK", ended), *events]
            self._stream(*(json.dumps({"type": k, "object": j}) for k, j in events))
        elif "fieldSelector" in query:
            metadata = {"resourceVersion": "1"}
            items = [job(name, ready=0)]
            listed = {"kind": "JobList", "apiVersion": "batch/v1", "items": items}
            self._send({**listed, "metadata": metadata})
        else:
            self._send(job(name, ready=int(name in self.server.started)))

    def _pods(self, selector: str) -> None:
        label, _, value = selector.partition("=")
        names = [value] if label == "controller-uid" else MESH_PODS
        items = [pod(name) for name in names]
        listed = {"kind": "PodList", "apiVersion": "v1", "items": items}
        self._send({**listed, "metadata": {"resourceVersion": "1"}})

    def _log(self, name: str, query: dict[str, str]) -> None:
        if name == DOWN:
            self._send(failure(500, "InternalError", NODE_DOWN))
        elif name not in (*MESH_PODS, *self.server.started):
            waiting = (
                f'container "client" in pod "{name}" is waiting to start: '
                "ContainerCreating"
            )
            self._send(failure(400, "BadRequest", waiting))
        else:
            count = int(query.get("tailLines", LOG_LINES))
            lines = [f"{name} line {number}" for number in range(LOG_LINES)]
            self._stream(*lines[LOG_LINES - count :])

    def _send(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(body.get("code", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, *lines: str) -> None:
        """Send lines, and end as when the container ends."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for line in lines:
            self.wfile.write(f"{line}\n".encode())


@contextlib.contextmanager
def running_api_server() -> Iterator[ApiServer]:
    """Run the server in a thread."""
    with ApiServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
