"""A small HTTPS server that speaks the part of Kubernetes' API that lists EndpointSlices.

The objects are as Kubernetes 1.36 returns them, without fields that nobody here reads.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from netduet.client.net.endpoint_slices import ServiceAccount
from tests.unit.client.protocols.tls_server import Issued, issue

NAMESPACE: Final = "netduet"
PATH: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
TOKEN: Final = "renewed-by-the-kubelet"
READY: Final = {"ready": True, "serving": True, "terminating": False}
STARTING: Final = {"ready": False, "serving": False, "terminating": False}
ENDING: Final = {"ready": False, "serving": True, "terminating": True}


def endpoint(address: str, **conditions: bool | None) -> dict[str, Any]:
    """Return an endpoint, by default a ready one."""
    return {
        "addresses": [address],
        "conditions": {**READY, **conditions},
        "nodeName": "node-1",
        "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": f"pod-{address}"},
    }


def endpoint_slice(
    *endpoints: dict[str, Any], family: str = "IPv4", service: str = "netduet-mesh"
) -> dict[str, Any]:
    """Return an EndpointSlice of a headless Service; without endpoints it has null."""
    return {
        "metadata": {
            "name": f"{service}-x7x2k",
            "namespace": NAMESPACE,
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": service,
                "service.kubernetes.io/headless": "",
            },
        },
        "addressType": family,
        "endpoints": list(endpoints) or None,
        "ports": [{"name": "netduet", "port": 12345, "protocol": "TCP"}],
    }


def slice_list(*slices: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a list request."""
    return {
        "kind": "EndpointSliceList",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"resourceVersion": "1234"},
        "items": list(slices),
    }


@dataclass
class ApiServer:
    """The server's state: what it has, and what it was asked.

    ``answer`` replaces its answer: a status and a body. ``hanging``: it does not answer.
    """

    port: int
    account: ServiceAccount
    slices: list[dict[str, Any]] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None
    hanging: bool = False
    requests: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def respond(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        """Return the answer to a request with a valid token."""
        if self.answer is not None:
            return self.answer
        if path != PATH:
            return 404, b"404 page not found\n"
        wanted = {
            label.partition("=")[0]: label.partition("=")[2]
            for label in query["labelSelector"][0].split(",")
        }
        found = [
            each
            for each in self.slices
            if wanted.items() <= each["metadata"]["labels"].items()
        ]
        return 200, json.dumps(slice_list(*found)).encode()


def forbidden() -> tuple[int, bytes]:
    """Return the answer to an account without the role."""
    message = (
        'endpointslices.discovery.k8s.io is forbidden: User "system:serviceaccount:'
        'netduet:default" cannot list resource "endpointslices" in API group '
        '"discovery.k8s.io" in the namespace "netduet"'
    )
    status = {"kind": "Status", "status": "Failure", "message": message, "code": 403}
    return 403, json.dumps(status).encode()


def _pem(issued: Issued) -> bytes:
    key = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return issued.certificate.public_bytes(Encoding.PEM) + key


def write_account(folder: Path, authority: Issued) -> None:
    """Write a service account's files, as the kubelet projects them."""
    folder.mkdir(exist_ok=True)
    certificate = authority.certificate.public_bytes(Encoding.PEM)
    (folder / "ca.crt").write_bytes(certificate)
    (folder / "namespace").write_text(NAMESPACE)
    (folder / "token").write_text(TOKEN)


@contextlib.contextmanager
def running_endpoint_server(folder: Path) -> Iterator[ApiServer]:
    """Run the server; its service account's files are in ``folder``/account."""
    authority = issue("kubernetes", is_authority=True)
    served = issue("kube-apiserver", "127.0.0.1", issuer=authority)
    (folder / "server.pem").write_bytes(_pem(served))
    write_account(folder / "account", authority)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            server.requests.append(self.path)
            if server.hanging:
                server.released.wait(60)
                return
            asked = urlsplit(self.path)
            status, body = 401, b'{"kind": "Status", "message": "Unauthorized"}'
            if self.headers["Authorization"] == f"Bearer {TOKEN}":
                status, body = server.respond(asked.path, parse_qs(asked.query))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        http_server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        http_server.socket = context.wrap_socket(http_server.socket, server_side=True)
        port = http_server.server_address[1]
        environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(port),
        }
        server = ApiServer(port, ServiceAccount(folder / "account", environment))
        thread = threading.Thread(target=http_server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            http_server.shutdown()
            thread.join()
