"""Errors of the pair before any container is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from netduet.between.engine import Image
from netduet.client.settings import ClientSettings
from netduet.testing import Duet, DuetError
from netduet.testing.duet import _environment, _given
from netduet.testing.engine import IMAGE_VARIABLES


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"servce": "x"}, "servce: no setting has this name: did you mean service?"),
        ({"service": ""}, "service='': must not be empty"),
        ({"idle_timeout": "soon"}, "idle_timeout=soon: must be a time such as 500ms"),
        ({"port": 70_000}, "port=70000: must be at most 65535"),
    ],
)
def test_invalid_server_setting_is_named(
    settings: dict[str, object], expected: str
) -> None:
    """One line says which setting, which value, and what is valid."""
    with pytest.raises(DuetError) as caught:
        Duet("net", server_settings=settings)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    "use", [Duet.check, Duet.server_log, lambda duet: duet.server], ids=["1", "2", "3"]
)
def test_use_before_start_is_a_clear_error(use: Callable[[Duet], object]) -> None:
    """A missing with block is reported."""
    with pytest.raises(DuetError, match="not started: use it in a with block"):
        use(Duet("net"))


def test_address_is_unique_unless_given() -> None:
    """Parallel pairs on one network have different names."""
    assert Duet("net").address != Duet("net").address
    assert Duet("net", alias="a", server_settings={"port": 80}).address == "a:80"


def test_environment_of_the_test_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """NETDUET_ variables of the user do not affect a test."""
    monkeypatch.setenv("NETDUET_SERVER_PORT", "1")
    assert Duet("net", alias="a").address == "a:12345"


def test_invalid_need_is_named() -> None:
    """It is found before a container is started."""
    with pytest.raises(DuetError, match=r"^need=upd: 'upd' is no need"):
        Duet("net", need=("upd",))


def test_stop_without_start_is_harmless() -> None:
    """A fixture may always call stop."""
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
        ({"need": ("udp", "idle=30s")}, {"NEED": "udp,idle=30s"}),
        ({"purpose": "http"}, {"PURPOSE": "http"}),
        ({"expect_service": ""}, {}),
    ],
)
def test_settings_reach_the_container_as_its_variables(
    settings: dict[str, object], variables: dict[str, str]
) -> None:
    """Typed values become text as a user types it; settings not given are left out."""
    model = _given(ClientSettings, settings)
    assert _environment(model) == {
        f"NETDUET_CLIENT_{name}": value for name, value in variables.items()
    }
    as_text = {name.lower(): value for name, value in variables.items()}
    assert _given(ClientSettings, as_text) == model


def test_image_is_argument_or_variable_or_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An image that is named may be pulled; the default one is never pulled."""
    variable = "NETDUET_TESTING_CLIENT_IMAGE"
    monkeypatch.delenv(variable, raising=False)
    assert Image.of("client", None, IMAGE_VARIABLES) == Image(
        "netduet-client", is_default=True, variable=variable
    )
    monkeypatch.setenv(variable, "there:1")
    assert Image.of("client", None, IMAGE_VARIABLES) == Image(
        "there:1", is_default=False, variable=variable
    )
    assert Image.of("client", "here", IMAGE_VARIABLES) == Image(
        "here", is_default=False, variable=variable
    )


def test_no_engine_is_an_error_and_no_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine, one line says so and what to do."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(DuetError, match=r"no container engine responds: .*DOCKER_HOST"):
        Duet("net").start()


def test_only_testing_imports_the_engines_libraries() -> None:
    """Server, client and command line do not import them."""
    program = (
        "import sys, netduet.cli.commands, netduet.client.commands.check, netduet.server.app; "
        "print([name for name in ('docker', 'testcontainers') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]\n"
