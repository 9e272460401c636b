"""Containers as the engine shows them, and the words that name them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.between.errors import BetweenError
from netduet.between.places import Place, place, require_usable, select
from tests.unit.between.samples import DB, DB_ADDRESS, WEB, inspected

OTHER_DB = replace(DB, id="cccc3333", name="other_db_1", project="other")
SECOND_DB = replace(DB, id="dddd4444", name="shop_db_2", number=2)
TASK = Place("eeee5555", "billing.3.k2j4", service="billing")
ALL = (WEB, DB, TASK)


def test_place_has_what_the_engine_says() -> None:
    """Names, addresses, TCP ports that are declared, and what it depends on."""
    found = place(inspected("db"))
    [attachment] = found.attachments
    assert (found.name, found.service, found.number) == ("shop_db_2", "db", 2)
    assert attachment.addresses == (DB_ADDRESS,)
    assert attachment.aliases == ("db", "bbbb2222")
    assert (found.exposed, found.depends_on) == ((5432,), ("db", "cache"))
    assert found.running


def test_container_without_labels_and_networks_is_a_place() -> None:
    """A stopped container has none, and null instead of empty lists."""
    found = place(
        inspected(
            "db",
            Config={"Labels": None, "ExposedPorts": None},
            NetworkSettings={"Networks": None},
            State={"Status": "exited", "Running": False, "ExitCode": 137},
        )
    )
    assert (found.service, found.attachments, found.exposed) == ("", (), ())
    assert (found.running, found.status) == (False, "exited with status 137")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("db", DB),
        ("shop_db_1", DB),
        ("bbbb2222", DB),
        ("bbbb2", DB),
        ("billing", TASK),
        ("billing.3", TASK),
        ("billing.3.k2j4", TASK),
    ],
)
def test_word_names_a_container(word: str, expected: Place) -> None:
    """By name, id, the start of an id, service of Compose or Swarm, or task."""
    assert select(word, ALL) == (expected, ())


def test_service_with_several_containers_is_its_first_and_a_note_says_so() -> None:
    """One that runs comes before one that does not."""
    chosen, [note] = select("db", (SECOND_DB, DB, WEB))
    assert chosen == DB
    assert note == (
        "db has 2 containers: shop_db_1 was taken; name another to test it: shop_db_2"
    )
    stopped = replace(DB, running=False)
    assert select("db", (stopped, SECOND_DB))[0] == SECOND_DB


def test_service_of_two_projects_needs_the_project() -> None:
    """The error names them; with one, its service is taken, before a container's name."""
    named = replace(WEB, name="db")
    with pytest.raises(BetweenError, match="exists in the projects other, shop: name"):
        select("db", (DB, OTHER_DB))
    assert select("db", (DB, OTHER_DB, named), "other")[0] == OTHER_DB
    assert select("db", (DB, OTHER_DB, named))[0] == named


@pytest.mark.parametrize(
    ("word", "project", "expected"),
    [
        ("wbe", "", "container 'wbe' does not exist: did you mean web?"),
        ("zzz", "", "container 'zzz' does not exist: there are web, shop_web_1, db, "),
        ("bbb", "", "container 'bbb' does not exist"),
        ("db", "shpo", "project 'shpo' has no containers: did you mean shop?"),
    ],
)
def test_unknown_word_has_a_remedy(word: str, project: str, expected: str) -> None:
    """The nearest name, or those that there are; three digits are no id."""
    with pytest.raises(BetweenError) as caught:
        select(word, ALL, project)
    assert str(caught.value).startswith(expected)
    with pytest.raises(BetweenError, match="no container runs on this engine"):
        select("db", ())


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (
            replace(DB, running=False, status="exited with status 1"),
            "container shop_db_1 is not running (exited with status 1): start it: docker",
        ),
        (
            replace(DB, running=False, status="paused"),
            "container shop_db_1 is paused: ",
        ),
        (replace(DB, network_mode="host"), "container shop_db_1 uses the host's netwo"),
        (replace(DB, network_mode="none"), "container shop_db_1 has no network (netwo"),
    ],
)
def test_container_that_cannot_be_used_has_a_remedy(
    chosen: Place, expected: str
) -> None:
    """One that runs in a network of its own can be."""
    with pytest.raises(BetweenError) as caught:
        require_usable(chosen)
    assert str(caught.value).startswith(expected)
    require_usable(DB)
