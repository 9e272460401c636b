"""EndpointSlices: which Service a name means, which endpoints are ready, and the request."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from netduet.client.net import endpoint_slices
from netduet.client.net.dial import Address
from netduet.client.net.endpoint_slices import (
    EndpointSliceError,
    Service,
    ServiceAccount,
    read_slices,
    ready_addresses,
    service_of,
)
from tests.unit.client.endpoint_server import (
    ENDING,
    PATH,
    STARTING,
    ApiServer,
    endpoint,
    endpoint_slice,
    forbidden,
    running_endpoint_server,
    slice_list,
    write_account,
)
from tests.unit.client.protocols.tls_server import issue

MESH = Service("netduet", "netduet-mesh")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """Run an API server with one headless Service."""
    with running_endpoint_server(tmp_path) as running:
        running.slices = [endpoint_slice(endpoint("10.244.1.5"))]
        yield running


def hosts(*slices: dict[str, object], family: int = socket.AF_UNSPEC) -> list[str]:
    """Return the addresses that are taken of these slices."""
    document = json.loads(json.dumps(slice_list(*slices)))
    found = ready_addresses(document, 12345, socket.AddressFamily(family))
    return [address.host for address in found or ()]


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("netduet-mesh", MESH),
        ("Netduet-Mesh.", MESH),
        ("db.data", Service("data", "db")),
        ("db.data.svc", Service("data", "db")),
        ("db.data.svc.cluster.local.", Service("data", "db")),
        ("db.example.com", None),
        ("10.0.0.1", None),
        ("2001:db8::1", None),
        ("under_score", None),
        ("a/../b", None),
        ("", None),
    ],
)
def test_name_means_a_service(host: str, service: Service | None) -> None:
    """The forms that cluster DNS knows; what is none of them is left to DNS."""
    assert service_of(host, "netduet") == service


def test_only_ready_endpoints_are_taken() -> None:
    """Neither those that start, nor those that end, whatever is published."""
    published = {"ready": True}  # publishNotReadyAddresses
    taken = endpoint_slice(
        endpoint("10.0.0.1"),
        endpoint("10.0.0.2", **STARTING),
        endpoint("10.0.0.3", **ENDING),
        endpoint("10.0.0.4", **{**STARTING, **published}),
        endpoint("10.0.0.5", **{**ENDING, **published}),
        endpoint("10.0.0.6", ready=None, serving=None, terminating=None),
        {"addresses": ["10.0.0.7"]},
        {"addresses": ["10.0.0.8"], "conditions": {}},
    )
    assert hosts(taken) == ["10.0.0.1", "10.0.0.6", "10.0.0.7", "10.0.0.8"]


def test_slices_of_both_families_are_joined() -> None:
    """An address in two slices counts once; a family that is not wanted is left out."""
    slices = (
        endpoint_slice(endpoint("10.0.0.1")),
        endpoint_slice(endpoint("10.0.0.1"), endpoint("10.0.0.2")),
        endpoint_slice(endpoint("2001:db8::1"), family="IPv6"),
        endpoint_slice(endpoint("db.example"), family="FQDN"),
    )
    assert hosts(*slices) == ["10.0.0.1", "10.0.0.2", "2001:db8::1"]
    assert hosts(*slices, family=socket.AF_INET6) == ["2001:db8::1"]
    found = ready_addresses(slice_list(slices[2]), 80, socket.AF_UNSPEC)
    assert found == (Address(socket.AF_INET6, "2001:db8::1", 80),)


def test_no_slice_differs_from_no_ready_endpoint() -> None:
    """A headless Service without pods has a slice without endpoints."""
    assert ready_addresses(slice_list(), 1, socket.AF_UNSPEC) is None
    empty = slice_list(endpoint_slice())
    assert ready_addresses(empty, 1, socket.AF_UNSPEC) == ()


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"items": 1},
        {"items": [1]},
        {"items": [{}]},
        slice_list(endpoint_slice({"addresses": ["no address"]})),
        slice_list(endpoint_slice({"addresses": 1})),
        slice_list(endpoint_slice({"conditions": {}})),
    ],
)
def test_other_documents_are_errors(document: object) -> None:
    """What is no list of EndpointSlices is one error, whatever it is."""
    with pytest.raises(EndpointSliceError, match="unexpected answer"):
        ready_addresses(document, 1, socket.AF_UNSPEC)


def test_slices_are_read_over_https(server: ApiServer) -> None:
    """With the token and the cluster's authority; Services with an address have none."""
    document = read_slices(server.account, MESH, 10)
    assert hosts(*document["items"]) == ["10.244.1.5"]  # type: ignore[index]
    assert server.requests[0].startswith(f"{PATH}?labelSelector=")
    other = read_slices(server.account, Service("netduet", "netduet"), 10)
    assert ready_addresses(other, 1, socket.AF_UNSPEC) is None


def test_token_is_read_for_each_request(server: ApiServer, tmp_path: Path) -> None:
    """The kubelet renews it while the client runs."""
    token = tmp_path / "account/token"
    valid = token.read_text()
    token.write_text("expired")
    with pytest.raises(EndpointSliceError, match="HTTP 401: Unauthorized"):
        read_slices(server.account, MESH, 10)
    token.write_text(valid)
    assert read_slices(server.account, MESH, 10)


def test_missing_role_is_named(server: ApiServer) -> None:
    """The API server's message says which permission is missing."""
    server.answer = forbidden()
    with pytest.raises(EndpointSliceError, match=r"HTTP 403: .* cannot list resource"):
        read_slices(server.account, MESH, 10)


def test_unknown_authority_gets_no_token(server: ApiServer, tmp_path: Path) -> None:
    """Nothing is sent to a server that the cluster's authority has not signed."""
    write_account(tmp_path / "account", issue("another", is_authority=True))
    with pytest.raises(EndpointSliceError, match="CERTIFICATE_VERIFY_FAILED"):
        read_slices(server.account, MESH, 10)
    assert server.requests == []


def test_missing_files_and_variables_are_named(
    server: ApiServer, tmp_path: Path
) -> None:
    """The text says what is missing."""
    outside = ServiceAccount(server.account.folder, {})
    with pytest.raises(EndpointSliceError, match="not in a pod"):
        read_slices(outside, MESH, 10)
    nowhere = ServiceAccount(tmp_path / "nowhere", server.account.environment)
    with pytest.raises(EndpointSliceError, match="No such file"):
        read_slices(nowhere, MESH, 10)
    (tmp_path / "account/ca.crt").unlink()
    with pytest.raises(EndpointSliceError, match=r"ca\.crt"):
        read_slices(server.account, MESH, 10)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_answer_must_be_json(server: ApiServer, body: bytes) -> None:
    """A proxy's page is an error, and so is an answer made to exhaust the parser."""
    server.answer = 200, body
    with pytest.raises(EndpointSliceError, match="HTTP 200, not JSON"):
        read_slices(server.account, MESH, 10)


def test_answer_is_bounded(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the bound is not read, and silence ends with the timeout."""
    monkeypatch.setattr(endpoint_slices, "MAX_ANSWER_BYTES", 100)
    server.answer = 200, b"[" + b" " * 200 + b"]"
    with pytest.raises(EndpointSliceError, match="too long"):
        read_slices(server.account, MESH, 10)
    server.hanging = True
    with pytest.raises(EndpointSliceError, match="timed out"):
        read_slices(server.account, MESH, 0.5)
