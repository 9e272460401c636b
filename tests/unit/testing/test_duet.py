"""What a test asks of the pair in vain, before any container is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from netduet.client.settings import ClientSettings
from netduet.testing import Duet, DuetError
from netduet.testing.duet import _environment, _given
from netduet.testing.engine import Image


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"servce": "x"}, "servce: no setting has this name: did you mean service?"),
        ({"service": ""}, "service='': must not be empty"),
        ({"idle_timeout": "soon"}, "idle_timeout=soon: must be a time such as 500ms"),
        ({"port": 70_000}, "port=70000: must be at most 65535"),
    ],
)
def test_setting_of_the_server_that_cannot_be_is_named(
    settings: dict[str, object], said: str
) -> None:
    """One line says which setting, what value, and what would be right."""
    with pytest.raises(DuetError) as caught:
        Duet("net", server_settings=settings)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "use", [Duet.check, Duet.server_log, lambda duet: duet.server], ids=["1", "2", "3"]
)
def test_pair_that_is_not_started_says_so(use: Callable[[Duet], object]) -> None:
    """Who forgot the with block is told of it."""
    with pytest.raises(DuetError, match="not started: use it in a with block"):
        use(Duet("net"))


def test_address_is_unique_unless_it_is_given() -> None:
    """Pairs side by side on a network are not taken for each other."""
    assert Duet("net").address != Duet("net").address
    assert Duet("net", alias="a", server_settings={"port": 80}).address == "a:80"


def test_environment_of_the_test_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for a netduet of the person's own does not reach into a test."""
    monkeypatch.setenv("NETDUET_SERVER_PORT", "1")
    assert Duet("net", alias="a").address == "a:12345"


def test_stopping_what_was_not_started_is_harmless() -> None:
    """A fixture may always stop what it has."""
    Duet("net").stop()


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ({}, {}),
        ({"checks": ("size", "close")}, {"CHECKS": "size,close"}),
        ({"checks": "size close"}, {"CHECKS": "size,close"}),
        ({"answer_timeout": 0.5}, {"ANSWER_TIMEOUT": "500ms"}),
        ({"idle_rungs": [1, 90]}, {"IDLE_RUNGS": "1s,90s"}),
        ({"max_loss": 0.05, "family": "4"}, {"MAX_LOSS": "5%", "FAMILY": "4"}),
        ({"expect_service": "*"}, {"EXPECT_SERVICE": "*"}),
        ({"expect_service": ""}, {"EXPECT_SERVICE": "*"}),
    ],
)
def test_settings_reach_the_container_as_its_variables(
    settings: dict[str, object], variables: dict[str, str]
) -> None:
    """Typed values become what a person would type; what was not given stays out."""
    model = _given(ClientSettings, settings)
    assert _environment(model) == {
        f"NETDUET_CLIENT_{name}": value for name, value in variables.items()
    }
    as_text = {name.lower(): value for name, value in variables.items()}
    assert _given(ClientSettings, as_text) == model


def test_image_is_the_argument_or_the_variable_or_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that was named by somebody may be pulled; ours never is."""
    variable = "NETDUET_TESTING_CLIENT_IMAGE"
    monkeypatch.delenv(variable, raising=False)
    assert Image.of("client", None) == Image(
        "netduet-client", ours=True, variable=variable
    )
    monkeypatch.setenv(variable, "there:1")
    assert Image.of("client", None) == Image("there:1", ours=False, variable=variable)
    assert Image.of("client", "here") == Image("here", ours=False, variable=variable)


def test_no_engine_is_an_error_and_no_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no engine answers, one line says so and what to do."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(DuetError, match=r"no container engine answers: .*DOCKER_HOST"):
        Duet("net").start()


def test_nothing_but_testing_itself_needs_an_engine() -> None:
    """Neither half, nor the command line, imports what tests alone need."""
    program = (
        "import sys, netduet.cli.commands, netduet.client.commands.check, netduet.server.app; "
        "print([name for name in ('docker', 'testcontainers') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout == "[]\n"
