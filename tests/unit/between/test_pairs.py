"""The address by which a client reaches a service, the ports, and a project's pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.between.errors import BetweenError
from netduet.between.pairs import (
    PortRequest,
    Route,
    project_pairs,
    requested_ports,
    resolve_namespace,
    route,
    service_ports,
)
from netduet.between.places import Attachment, Place
from netduet.between.ports import choose_port
from tests.unit.between.samples import DB, DB_ADDRESS, WEB, listener, snapshot

SECOND_DB = replace(DB, id="dddd4444", name="shop_db_2")
REMOTE = replace(
    DB, attachments=(Attachment("back", ("10.0.0.3", "2001:db8::3"), ("db",)),)
)
ON_BRIDGE = tuple(
    replace(each, attachments=(Attachment("bridge", (address,)),))
    for each, address in ((WEB, "172.17.0.2"), (DB, "172.17.0.3"))
)


def test_service_is_reached_by_its_own_name() -> None:
    """The name is tested too, then: it is what applications use."""
    assert route(WEB, DB, (WEB, DB)) == Route(("db",), ("shop",))


def test_name_that_containers_share_is_not_used() -> None:
    """The engine would answer with either: the container's own name is used."""
    assert route(WEB, DB, (WEB, DB, SECOND_DB)).hosts == ("shop_db_1",)
    stopped = replace(SECOND_DB, running=False)
    assert route(WEB, DB, (WEB, DB, stopped)).hosts == ("db",)


def test_name_that_the_engine_made_up_is_not_used() -> None:
    """Its DNS knows an alias, or the start of the id; engines since API 1.44 list all."""
    for names, expected in (
        (("nervous_clarke", ("bbbb2222",), ()), "bbbb2222"),
        (("nervous_clarke", ("cache", "bbbb2222"), ()), "cache"),
        (("given", ("bbbb2222",), ()), "given"),
        (("my_db", ("bbbb2222",), ("my_db", "bbbb2222")), "my_db"),
    ):
        name, aliases, known = names
        attachment = Attachment("shop", (DB_ADDRESS,), aliases, known)
        db = Place("bbbb2222", name, (attachment,))
        assert route(WEB, db, (WEB, db)).hosts == (expected,)


def test_default_network_resolves_no_names() -> None:
    """The address is used there."""
    web, db = ON_BRIDGE
    assert route(web, db, ON_BRIDGE) == Route(("172.17.0.3",), ("bridge",))


def test_without_a_shared_network_all_addresses_are_tried() -> None:
    """It may be reached by routing."""
    way = route(WEB, REMOTE, (WEB, REMOTE))
    assert way == Route(("10.0.0.3", "2001:db8::3"))
    assert not way.is_shared


def test_container_without_address_is_named() -> None:
    """The error says how to connect it."""
    with pytest.raises(BetweenError, match="shop_db_1 is on no network: connect it"):
        route(WEB, replace(DB, attachments=()), (WEB,))


def test_containers_of_one_namespace_use_loopback() -> None:
    """As Compose's network_mode: service:db makes them."""
    sidecar = Place("ffff6666", "sidecar", network_mode=f"container:{DB.id}")
    assert route(sidecar, DB, (DB, sidecar)).hosts == ("127.0.0.1",)
    joined = resolve_namespace(sidecar, (DB, sidecar))
    assert joined.attachments == DB.attachments
    assert route(WEB, joined, (WEB, DB, joined)).hosts == (DB_ADDRESS,)


def test_ports_are_those_that_are_meant_to_be_reached() -> None:
    """Those of loopback alone only if declared, or if there are no others."""
    engine = listener("127.0.0.11", 39531)
    public, admin = listener("0.0.0.0", 8080), listener("127.0.0.1", 9000)
    declared = listener("127.0.0.1", 5432)
    plain = replace(DB, exposed=())
    ports = {
        (public, admin, engine): (8080,),
        (declared, public): (5432, 8080),
        (admin, engine): (9000,),
        (engine,): (),
    }
    for listeners, expected in ports.items():
        found = service_ports((), snapshot(*listeners), DB)
        assert tuple(each.port for each in found) == expected
    assert service_ports((), snapshot(declared, public), plain) == (PortRequest(8080),)
    asked = (PortRequest(1), PortRequest(1))
    assert service_ports(asked, snapshot(public), DB) == (PortRequest(1),)


def test_requested_ports_may_name_protocols() -> None:
    """Several are separated by commas; a host of IPv6 is bracketed."""
    postgres, http = requested_ports("5432/postgres,8080")
    assert postgres.target("db") == "db:5432/postgres"
    assert http.target("::1") == "[::1]:8080"
    for word in ("", "x", "0", "65536", "1,"):
        with pytest.raises(ValueError, match="must be a number from 1 to 65535"):
            requested_ports(word)


def test_pairs_follow_what_depends_on_what() -> None:
    """Where neither depends on the other, whoever listens is a service."""
    web = replace(WEB, depends_on=("db",))
    cache = replace(DB, id="ffff6666", name="shop_cache_1", service="cache")
    apart = replace(REMOTE, id="gggg7777", service="apart", name="shop_apart_1")
    places = (web, DB, SECOND_DB, cache, apart)
    listens = {DB.id: True, cache.id: True, apart.id: True, web.id: True}
    pairs = project_pairs(places, listens)
    assert [(client.service, service.service) for client, service in pairs] == [
        ("cache", "db"),
        ("cache", "web"),
        ("db", "cache"),
        ("web", "cache"),
        ("web", "db"),
    ]
    silent = project_pairs(places, {})
    assert [(each.service, other.service) for each, other in silent] == [("web", "db")]


def test_usual_port_is_taken_if_it_is_free() -> None:
    """Else the next free one, with a note."""
    assert choose_port(None, {5432}, "db") == (12345, "")
    assert choose_port(None, {12345, 12346}, "db") == (
        12347,
        "port 12345 is taken beside db: the pair used 12347",
    )


def test_requested_port_is_taken_or_refused() -> None:
    """0 is any port that is free."""
    assert choose_port(8080, {5432}, "db") == (8080, "")
    with pytest.raises(BetweenError, match="--port 5432: db listens there already"):
        choose_port(5432, {5432}, "db")
    taken = set(range(20_000, 31_999))
    assert choose_port(0, taken, "db") == (31_999, "")
    with pytest.raises(BetweenError, match="no port is free beside db"):
        choose_port(0, {*taken, 31_999}, "db")
