"""Addresses from EndpointSlices, and when DNS is asked instead."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from netduet.client.net.dial import Cause, Resolution
from netduet.client.results.target import parse_target
from netduet.client.watch.discovery import ResolvedTarget, TargetSet
from netduet.client.watch.endpoint_lookup import EndpointLookup
from tests.unit.client.endpoint_server import (
    STARTING,
    ApiServer,
    endpoint,
    endpoint_slice,
    forbidden,
    running_endpoint_server,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """Run an API server."""
    with running_endpoint_server(tmp_path) as running:
        yield running


@pytest.fixture
def changes() -> list[tuple[str, str]]:
    """Return the list of what is reported."""
    return []


@pytest.fixture
def lookup(server: ApiServer, changes: list[tuple[str, str]]) -> EndpointLookup:
    """Return what is tested."""
    return EndpointLookup(
        server.account, lambda target, reason: changes.append((target, reason))
    )


def find(
    lookup: EndpointLookup, name: str = "netduet-mesh", timeout: float = 10
) -> Resolution | None:
    """Look a name up, with port 12345."""
    target = parse_target(name, 12345)
    return asyncio.run(lookup.find(target, socket.AF_UNSPEC, timeout))


def test_new_endpoint_is_found_at_the_next_lookup(
    server: ApiServer, lookup: EndpointLookup
) -> None:
    """Nothing is cached: also an endpoint that becomes ready, or leaves, is seen."""
    server.slices = [endpoint_slice(endpoint("10.0.0.1", **STARTING))]
    nobody = find(lookup)
    assert nobody is not None
    assert (nobody.addresses, nobody.cause) == ((), Cause.NOT_FOUND)
    assert "no endpoint of Service netduet/netduet-mesh is ready" in nobody.detail
    for hosts in (["10.0.0.1"], ["10.0.0.1", "10.0.0.2"], ["10.0.0.2"]):
        server.slices = [endpoint_slice(*map(endpoint, hosts))]
        found = find(lookup)
        assert found is not None
        assert [address.host for address in found.addresses] == hosts
        assert {address.port for address in found.addresses} == {12345}


def test_failure_is_reported_once_and_not_repeated_at_once(
    server: ApiServer, lookup: EndpointLookup, changes: list[tuple[str, str]]
) -> None:
    """DNS is used meanwhile; the API server is not asked with each lookup."""
    server.answer = forbidden()
    assert [find(lookup) for _ in range(3)] == [None] * 3
    [(target, reason)] = changes
    assert target == "netduet-mesh:12345"
    assert "HTTP 403" in reason
    assert len(server.requests) == 1


def test_silent_api_server_delays_a_lookup_only_for_the_timeout(
    server: ApiServer, lookup: EndpointLookup, changes: list[tuple[str, str]]
) -> None:
    """The lookup in DNS follows."""
    server.hanging = True
    assert find(lookup, timeout=0.3) is None
    assert len(changes) == 1


def test_other_names_are_left_to_dns_without_a_word(
    server: ApiServer, lookup: EndpointLookup, changes: list[tuple[str, str]]
) -> None:
    """Addresses, and names outside of the cluster."""
    for name in ("127.0.0.1", "[::1]:12345", "db.example.com"):
        assert find(lookup, name) is None
    assert (changes, server.requests) == ([], [])


def test_service_with_an_address_is_left_to_dns(
    server: ApiServer, lookup: EndpointLookup, changes: list[tuple[str, str]]
) -> None:
    """Its name means its virtual address, which is what has to be watched."""
    server.slices = [endpoint_slice(endpoint("10.0.0.1"))]
    assert find(lookup, "netduet") is None
    assert changes == [
        ("netduet:12345", "there is no headless Service netduet/netduet")
    ]


def test_dns_is_asked_where_endpoint_slices_cannot_be_read(
    server: ApiServer, lookup: EndpointLookup
) -> None:
    """A target set takes what is found, and resolves the name otherwise."""
    local = parse_target("localhost", 12345)
    targets = TargetSet((ResolvedTarget(local),), "me", 0, endpoints=lookup)
    server.slices = [endpoint_slice(endpoint("127.0.0.7"), service="localhost")]

    def look_up() -> set[str]:
        asyncio.run(targets.look_up(socket.AF_INET, 10))
        [resolved] = targets.targets
        return {address.host for address in resolved.addresses}

    assert look_up() == {"127.0.0.7"}
    server.answer = forbidden()
    assert look_up() == {"127.0.0.1"}
