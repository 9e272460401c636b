"""The words of a command line, and the pairs that they mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.between.engine import Image
from netduet.between.errors import BetweenError
from netduet.between.options import Options
from netduet.between.pairs import PortRequest
from netduet.between.selection import grouped, project_places, requests
from netduet.between.session import Request
from tests.unit.between.samples import DB, WEB

IMAGE = Image("netduet-x", is_default=True, variable="X")
OTHER = replace(DB, id="cccc3333", project="other")
CACHE = replace(DB, id="ffff6666", name="shop_cache_1", service="cache")


def test_first_word_is_the_client() -> None:
    """The others are services, each with its ports."""
    found = requests("web", ("db:5432/postgres", "cache"), (WEB, DB, CACHE), "")
    assert found == [
        Request(DB, (WEB,), (PortRequest(5432, "postgres"),)),
        Request(CACHE, (WEB,)),
    ]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("db:x", "service 'db:x': a port must be a number from 1 to 65535"),
        ("shop_web_1", "web and shop_web_1 are the same container, shop_web_1"),
    ],
)
def test_word_that_cannot_be_used_is_named(service: str, expected: str) -> None:
    """A port that is none, and a pair of one container."""
    with pytest.raises(BetweenError) as caught:
        requests("web", (service,), (WEB, DB), "")
    assert str(caught.value).startswith(expected)


def test_all_pairs_need_one_project() -> None:
    """The only one, or the one that is named; only what runs counts."""
    stopped = replace(OTHER, running=False)
    assert project_places((WEB, DB, stopped), "") == [WEB, DB]
    assert project_places((WEB, DB, OTHER), "other") == [OTHER]
    with pytest.raises(BetweenError, match="needs a project: there are other, shop"):
        project_places((WEB, DB, OTHER), "")
    with pytest.raises(BetweenError, match="needs a project: none runs here"):
        project_places((stopped,), "")
    with pytest.raises(BetweenError, match="'other' has no running containers: there"):
        project_places((WEB, stopped), "other")


def test_pairs_of_one_service_share_its_server() -> None:
    """One request for each service."""
    assert grouped([(WEB, DB), (CACHE, DB), (WEB, CACHE)]) == [
        Request(DB, (WEB, CACHE)),
        Request(CACHE, (WEB,)),
    ]


def test_service_gets_only_checks_that_any_service_can_pass() -> None:
    """Its identity among them, always; the pair's own server is never asked for the protocol of the service."""
    variables = {
        "NETDUET_CLIENT_CHECKS": "udp,path",
        "NETDUET_CLIENT_EXPECT_PROTOCOL": "postgres",
    }
    options = Options(IMAGE, IMAGE, environment=variables)
    assert options.path_environment == {"NETDUET_CLIENT_CHECKS": "udp,path"}
    assert options.service_environment == variables | {
        "NETDUET_CLIENT_CHECKS": "identity,path"
    }
    needs = Options(
        IMAGE, IMAGE, profile="full", environment={"NETDUET_CLIENT_NEED": "udp"}
    )
    assert needs.path_environment == {"NETDUET_CLIENT_NEED": "udp"}
    assert needs.service_environment == {}
    udp = Options(IMAGE, IMAGE, environment={"NETDUET_CLIENT_CHECKS": "udp"})
    assert udp.service_environment == {"NETDUET_CLIENT_CHECKS": "identity"}
    assert Options(IMAGE, IMAGE, profile="full").service_environment == {}


def test_service_is_checked_at_once_if_that_is_a_few_connections() -> None:
    """What fills the path or opens many connections comes after the path's own checks."""
    quick = Options(IMAGE, IMAGE)
    assert quick.service_environment == {
        "NETDUET_CLIENT_CHECKS": "identity,name,path,reach"
    }
    assert quick.services_are_checked_at_once
    assert not Options(IMAGE, IMAGE, profile="full").services_are_checked_at_once
    churn = {"NETDUET_CLIENT_CHECKS": "churn"}
    assert not Options(IMAGE, IMAGE, environment=churn).services_are_checked_at_once
