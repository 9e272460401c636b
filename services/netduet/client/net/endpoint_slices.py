"""The ready addresses of a headless Service, from Kubernetes' API instead of DNS.

Sources: the reference of discovery.k8s.io/v1, EndpointSlice (conditions, and what they
mean when they are missing); "Accessing the API from a Pod"; "DNS for Services and Pods".
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from netduet.client.net.dial import Address
from netduet.wire.untrusted import escape

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Bytes of an answer; 10,000 endpoints take half of that."""

_HEADLESS: Final = "service.kubernetes.io/headless"
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MAX_MESSAGE: Final = 300
"""Characters of a message of the API server that are shown."""
_CHUNK_BYTES: Final = 64 * 1024
_HTTPS_PORT: Final = 443
_FAMILIES: Final = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}


class EndpointSliceError(Exception):
    """EndpointSlices cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service of Kubernetes."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The folder with a service account's files, and where the API server is."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def at(cls, folder: Path) -> ServiceAccount:
        """Return the account of a folder, with the API server that this pod was told."""
        return cls(folder, os.environ)

    @property
    def namespace(self) -> str:
        """The namespace of this pod."""
        return self._read("namespace")

    @property
    def token(self) -> str:
        """The token, which the kubelet renews: it is read for each request."""
        return self._read("token")

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text("utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise EndpointSliceError(str(error)) from None

    def connect(self, timeout: float) -> http.client.HTTPSConnection:
        """Return a connection that trusts the cluster's authority alone."""
        host = self.environment.get("KUBERNETES_SERVICE_HOST", "")
        port = self.environment.get("KUBERNETES_SERVICE_PORT", "")
        if not host:
            raise EndpointSliceError("KUBERNETES_SERVICE_HOST is not set: not in a pod")
        try:
            context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        except OSError as error:
            raise EndpointSliceError(f"{self.folder}/ca.crt: {error}") from None
        number = int(port) if port.isdecimal() else _HTTPS_PORT
        return http.client.HTTPSConnection(
            host, number, timeout=timeout, context=context
        )


def service_of(host: str, namespace: str) -> Service | None:
    """Return the Service that a name means in a namespace; None if it means none.

    A Service is called NAME, NAME.NAMESPACE or NAME.NAMESPACE.svc, the last one also
    with the cluster's domain behind it.
    """
    labels = host.lower().removesuffix(".").split(".")
    name, *rest = labels
    if rest[1:2] not in ([], ["svc"]) or not all(map(_LABEL.fullmatch, labels)):
        return None
    if name.isdecimal():
        return None  # part of an IP address
    return Service(rest[0] if rest else namespace, name)


def read_slices(account: ServiceAccount, service: Service, timeout: float) -> object:
    """Return the list of a headless Service's EndpointSlices. Blocks for ``timeout``.

    Raises:
        EndpointSliceError: there is no permission, no API server, or no answer.
    """
    end = time.monotonic() + timeout
    selector = quote(f"kubernetes.io/service-name={service.name},{_HEADLESS}")
    path = (
        f"/apis/discovery.k8s.io/v1/namespaces/{quote(service.namespace, safe='')}"
        f"/endpointslices?labelSelector={selector}"
    )
    headers = {"Authorization": f"Bearer {account.token}", "Accept": "application/json"}
    connection = account.connect(timeout)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = b""
        while chunk := response.read(_CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES or time.monotonic() > end:
                raise EndpointSliceError("the answer is too long, or too slow")
        document = json.loads(body)
    except (OSError, http.client.HTTPException) as error:
        raise EndpointSliceError(str(error) or type(error).__name__) from None
    except (ValueError, RecursionError):
        raise EndpointSliceError(f"HTTP {response.status}, not JSON") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        message = document.get("message") if isinstance(document, dict) else ""
        text = escape(str(message))[:_MAX_MESSAGE]
        raise EndpointSliceError(f"HTTP {response.status}: {text}")
    return document


def ready_addresses(
    document: object, port: int, family: socket.AddressFamily
) -> tuple[Address, ...] | None:
    """Return the addresses of the ready endpoints; None if there is no slice. Pure.

    An endpoint is taken when it is ready, serves and is not terminating. A condition
    that is missing counts as ready and serving, and as not terminating. With
    ``publishNotReadyAddresses`` all are called ready: the other two decide.

    Raises:
        EndpointSliceError: the document is no list of EndpointSlices.
    """
    try:
        return _ready_addresses(document, port, family)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EndpointSliceError(f"unexpected answer: {error!r}") from None


def _ready_addresses(
    document: Any,
    port: int,
    family: socket.AddressFamily,
) -> tuple[Address, ...] | None:
    if not document["items"]:
        return None
    found: dict[Address, None] = {}
    for each in document["items"]:
        address_family = _FAMILIES.get(each["addressType"])
        if address_family is None or family not in (socket.AF_UNSPEC, address_family):
            continue
        for endpoint in each.get("endpoints") or ():
            if _is_ready(endpoint.get("conditions") or {}):
                for host in endpoint["addresses"]:
                    checked = str(ipaddress.ip_address(host))
                    found[Address(address_family, checked, port)] = None
    return tuple(found)


def _is_ready(conditions: Mapping[str, bool | None]) -> bool:
    return (
        conditions.get("ready") is not False
        and conditions.get("serving") is not False
        and conditions.get("terminating") is not True
    )
