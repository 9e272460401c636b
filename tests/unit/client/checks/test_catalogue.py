"""The catalogue of failures is complete and readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netduet import client
from netduet.client.checks import CHECKS
from netduet.client.checks.catalogue import (
    ALIASES,
    CATALOGUE,
    catalogue_for,
    current_name,
)
from netduet.client.results.failure import Failure
from netduet.client.results.location import Location
from netduet.runtime.logs import EVENTS

SOURCES = Path(client.__path__[0])


def given() -> set[str]:
    """Return the classes that checks and outages name, their declarations apart."""
    paths = [
        path
        for folder in ("checks", "outages", "watch")
        for path in SOURCES.glob(f"{folder}/**/*.py")
    ]
    text = "".join(path.read_text() for path in paths)
    text = re.sub(r'\bFailure\(\s*"[a-z_.]+"', "", text)
    text = re.sub(r"\baliases=\([^)]*\)", "", text)
    prefixes = "|".join([*(check.name for check in CHECKS), "check", "watch"])
    found = re.findall(rf'"((?:{prefixes})\.[a-z_]+)"', text)
    return set(found) - set(EVENTS)


def test_catalogue_and_reported_classes_are_the_same() -> None:
    """Every class that a check reports has an explanation, and the reverse."""
    assert given() == set(CATALOGUE)


def test_class_names_start_with_their_check() -> None:
    """The name of a class says which check reports it."""
    checks = {check.name for check in CHECKS} | {"check", "watch"}
    assert {name.partition(".")[0] for name in CATALOGUE} == checks


def test_older_names_are_free_and_lead_to_the_present_one() -> None:
    """An alias is no class's name, belongs to one class, and keeps its check's prefix."""
    aliases = [alias for known in CATALOGUE.values() for alias in known.aliases]
    assert len(aliases) == len(set(aliases)) == len(ALIASES)
    assert not set(aliases) & set(CATALOGUE)
    for alias in aliases:
        assert current_name(alias).partition(".")[0] == alias.partition(".")[0]
    assert current_name("balance.ghost") == "balance.unhealthy_backend"
    assert current_name("no.such") == "no.such"


DOCKER_COMMAND = re.compile(
    r"\bdocker (?:run|ps|port|logs|network|service|inspect|exec)\b|docker:|com\.docker"
)


@pytest.mark.parametrize("engine", ["", "docker", "podman", "container", "kubernetes"])
def test_advice_fits_the_platform(engine: str) -> None:
    """In a pod nothing is said of Docker's commands, elsewhere nothing of kubectl."""
    foreign = re.compile(r"\bkubectl\b")
    if engine == "kubernetes":
        foreign = DOCKER_COMMAND
    for failure in catalogue_for(engine).values():
        assert failure.causes
        assert failure.next
        for text in (*failure.causes, *failure.next):
            assert type(text) is str
            assert not foreign.search(text), (failure.name, text)


def test_unenforced_policy_is_explained_in_a_pod() -> None:
    """What comes first is the policy engine, then the policies and the labels."""
    failure = catalogue_for("kubernetes")["isolation.open"]
    assert "does not enforce network policies" in failure.causes[0]
    assert "policy engine" in failure.next[0]
    assert "describe networkpolicy" in failure.next[1]
    assert "--show-labels" in failure.next[1]
    container = catalogue_for("docker")["isolation.open"]
    assert "docker network inspect" in container.next[0]


@pytest.mark.parametrize("failure", CATALOGUE.values(), ids=lambda known: known.name)
def test_failure_class_is_complete(failure: Failure) -> None:
    """Each class has a location, a meaning as a sentence, causes and next steps."""
    assert failure.where in Location
    assert failure.meaning.endswith(".")
    assert failure.meaning[0].isupper()
    assert not failure.title.endswith(".")
    for texts in (failure.causes, failure.next):
        assert texts
        assert len(set(texts)) == len(texts)
        assert all(text and text == text.strip() for text in texts)
        assert all(text.isprintable() for text in texts)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("name.not_found", "client"),
        ("name.timeout", "unknown"),
        ("name.failed", "unknown"),
        ("reach.refused", "server"),
        ("reach.timeout", "unknown"),
        ("reach.unreachable", "intermediary"),
        ("reach.other", "client"),
        ("reach.partial", "unknown"),
        ("identity.silent", "unknown"),
        ("identity.closed", "intermediary"),
        ("identity.reset", "intermediary"),
        ("identity.not_netduet", "server"),
        ("identity.plain", "unknown"),
        ("identity.mangled", "intermediary"),
        ("identity.other_service", "server"),
        ("identity.self", "client"),
        ("identity.busy", "server"),
        ("identity.draining", "server"),
        ("identity.protocol", "unknown"),
        ("path.broken", "unknown"),
        ("size.black_hole", "path →"),
        ("size.stalled", "unknown"),
        ("size.cut", "intermediary"),
        ("size.changed", "intermediary"),
        ("udp.silent", "unknown"),
        ("udp.rejected", "intermediary"),
        ("udp.misaddressed", "intermediary"),
        ("udp.not_netduet", "server"),
        ("udp.unsent", "client"),
        ("udp.loss", "intermediary"),
        ("udp.duplicated", "intermediary"),
        ("udp.reordered", "intermediary"),
        ("udp.black_hole", "intermediary"),
        ("udp.fragments", "intermediary"),
        ("load.stalled", "unknown"),
        ("load.slow", "intermediary"),
        ("load.cut", "intermediary"),
        ("load.changed", "intermediary"),
        ("churn.ports_exhausted", "client"),
        ("churn.accept_queue", "server"),
        ("churn.rate_limited", "intermediary"),
        ("churn.count_limited", "intermediary"),
        ("churn.syn_lost", "intermediary"),
        ("churn.refused", "unknown"),
        ("churn.not_served", "unknown"),
        ("churn.client_too_slow", "client"),
        ("stream.outage", "intermediary"),
        ("stream.new_connections", "unknown"),
        ("stream.old_connections", "intermediary"),
        ("stream.restarted", "server"),
        ("stream.unsent", "client"),
        ("watch.stale_dns", "server"),
        ("watch.never_reached", "unknown"),
        ("watch.refused", "server"),
        ("watch.datagrams", "intermediary"),
        ("watch.paused", "server"),
        ("watch.stuck_flow", "intermediary"),
        ("watch.load", "intermediary"),
        ("check.defect", "client"),
        ("check.timeout", "client"),
    ],
)
def test_location_follows_evidence(name: str, where: str) -> None:
    """Only proof puts a fault on one side; silence alone does not."""
    assert CATALOGUE[name].where == where
