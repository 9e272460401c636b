"""Sources of settings, their order, and errors for invalid values."""

from __future__ import annotations

import os
import re
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values

from netduet.cli import settings_reference
from netduet.client.settings import ClientSettings
from netduet.config.load import (
    TOOLING,
    Loaded,
    Settings,
    Source,
    SourcePaths,
    assigned,
    load,
    show,
    typed,
)
from netduet.server.settings import ServerSettings
from tests.unit.sample_settings import SampleSettings, empty_sources, error_lines

ROOT = Path(__file__).parents[3]
SERVICES = (ServerSettings, ClientSettings)


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SourcePaths:
    """Start each test with no settings anywhere; return where it may put some."""
    return empty_sources(monkeypatch, tmp_path)


# Precedence


def test_value_comes_from_the_first_source_that_has_one(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """The order is flag, environment, .env, file secret, default."""

    def now(**flags: object) -> tuple[int, Source | None]:
        loaded: Loaded[SampleSettings] = load(SampleSettings, flags, sources)
        return loaded.settings.port, loaded.sources.get("port")

    assert now() == (12_345, None)
    secret = sources.secrets / "netduet_sample_port"
    secret.write_text("1\n")
    assert now() == (1, Source("secret", str(secret)))
    sources.dotenv.write_text("NETDUET_SAMPLE_PORT=2\n")
    assert now() == (2, Source(".env", "NETDUET_SAMPLE_PORT"))
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", "3")
    assert now() == (3, Source("environment", "NETDUET_SAMPLE_PORT"))
    assert now(port="4") == (4, Source("flag", "--port"))


def test_empty_value_counts_as_unset_in_every_source(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """Compose passes an unset variable as an empty one."""
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", "")
    sources.dotenv.write_text("NETDUET_SAMPLE_PORT=\nNETDUET_SAMPLE_MODE=\n")
    (sources.secrets / "netduet_sample_port").write_text("")
    (sources.secrets / "netduet_sample_mode").write_text("framed")
    loaded = load(SampleSettings, {"name": None}, sources)
    assert loaded.settings == SampleSettings(mode="framed")
    assert set(loaded.sources) == {"mode"}


@pytest.mark.parametrize("text", ["a,b", "a b", " a , b,", "a,\tb"])
def test_list_is_separated_by_commas_or_spaces(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths, text: str
) -> None:
    """A list is not JSON."""
    monkeypatch.setenv("NETDUET_SAMPLE_WORDS", text)
    assert load(SampleSettings, {}, sources).settings.words == ("a", "b")


def test_program_checks_only_its_own_prefix(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """Server and client share one .env, which other programs may use too."""
    monkeypatch.setenv("NETDUET_SERVER_PROT", "1")
    sources.dotenv.write_text(
        "NETDUET_SERVER_NOPE=1\nNETDUET_SAMPLE_PORT=5\nOTHER=x\nno assignment here\n"
    )
    assert load(SampleSettings, {}, sources).settings == SampleSettings(port=5)


# What is said of bad values


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("PORT", "abc", "must be a whole number"),
        ("PORT", "1.5", "must be a whole number"),
        ("PORT", "99999", "must be at most 65535"),
        ("PORT", "-1", "must be at least 0"),
        ("WAIT", "0s", "must be more than 0s"),
        ("WAIT", "2m", "must be at most 90s"),
        ("WAIT", "soon", "must be a time such as 500ms, 30s or 2m"),
        ("ROOM", "1kB", "must be at least 1KiB"),
        ("ROOM", "big", "must be a size such as 4096, 64KiB or 1MiB"),
        ("MODE", "loud", "must be plain or framed"),
        ("ACTIVE", "maybe", "must be true or false"),
        ("NAME", "much-too-long", "must have at most 8 characters"),
    ],
)
def test_invalid_value_is_one_line_with_name_value_and_remedy(
    monkeypatch: pytest.MonkeyPatch,
    sources: SourcePaths,
    name: str,
    value: str,
    remedy: str,
) -> None:
    """The line names the variable, not a field, and says what is valid."""
    monkeypatch.setenv(f"NETDUET_SAMPLE_{name}", value)
    assert error_lines(sources) == [f"NETDUET_SAMPLE_{name}={value}: {remedy}"]


def test_line_names_the_source_of_the_value(sources: SourcePaths) -> None:
    """Flags, lines of .env and file secrets are named, all at once."""
    sources.dotenv.write_text("NETDUET_SAMPLE_WAIT=soon\n")
    secret = sources.secrets / "netduet_sample_mode"
    secret.write_text("loud\n")
    assert [
        "--port 99999: must be at most 65535",
        ".env: NETDUET_SAMPLE_WAIT=soon: must be a time such as 500ms, 30s or 2m",
        f"{secret}: loud: must be plain or framed",
    ] == error_lines(sources, port="99999")


def test_empty_flag_is_a_value(sources: SourcePaths) -> None:
    """An empty flag is deliberate; only variables can be empty by accident."""
    assert error_lines(sources, name="") == ["--name '': must not be empty"]


def test_contradiction_names_both_settings_as_given(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """Two settings that are valid alone but not together give one line."""
    assert error_lines(sources, port="11") == [
        "--port 11: must not exceed NETDUET_SAMPLE_MOST=10, the default"
    ]
    monkeypatch.setenv("NETDUET_SAMPLE_MOST", "20")
    assert error_lines(sources, port="21") == [
        "--port 21: must not exceed NETDUET_SAMPLE_MOST=20"
    ]


@pytest.mark.parametrize("value", ["\x1b[31mred", "1\n2", " 1x", "\u202e1"])
def test_value_cannot_forge_a_line_or_move_a_cursor(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths, value: str
) -> None:
    """Unprintable text is quoted."""
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", value)
    [line] = error_lines(sources)
    assert line.isprintable()
    assert line == f"NETDUET_SAMPLE_PORT={value!r}: must be a whole number"


def test_long_value_is_truncated(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """An error stays on one line."""
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", "x" * 5000)
    [line] = error_lines(sources)
    assert line == f"NETDUET_SAMPLE_PORT={'x' * 200}…: must be a whole number"


def test_value_that_is_not_utf8_is_rejected(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """A variable may hold any bytes; text is UTF-8."""
    monkeypatch.setenv("NETDUET_SAMPLE_NAME", os.fsdecode(b"caf\xe9"))
    [line] = error_lines(sources)
    assert line.endswith(": must be UTF-8")
    assert line.isascii()


# Secrets


@pytest.mark.parametrize("kind", ["environment", ".env", "secret", "flag"])
def test_secret_value_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths, kind: str
) -> None:
    """A secret that is too short is rejected without being shown."""
    flags: dict[str, object] = {}
    match kind:
        case "environment":
            monkeypatch.setenv("NETDUET_SAMPLE_TOKEN", "xyz")
        case ".env":
            sources.dotenv.write_text("NETDUET_SAMPLE_TOKEN=xyz\n")
        case "secret":
            (sources.secrets / "netduet_sample_token").write_text("xyz")
        case _:
            flags["token"] = "xyz"
    [line] = error_lines(sources, **flags)
    assert "xyz" not in line
    assert "********: " in line


def test_secret_is_masked_when_shown(sources: SourcePaths) -> None:
    """The program gets the value, and no screen shows it."""
    (sources.secrets / "netduet_sample_token").write_text("hunter2\n")
    settings = load(SampleSettings, {}, sources).settings
    assert settings.token is not None
    assert settings.token.get_secret_value() == "hunter2"
    info = SampleSettings.model_fields["token"]
    assert show(info, settings.token) == "********"
    assert show(info, None) == ""
    assert "hunter2" not in repr(settings)


# What is shown


@pytest.mark.parametrize("text", ["plain", "Hello, client!", "안녕"])
def test_printable_text_is_shown_unchanged(text: str) -> None:
    """Nothing is quoted without need."""
    assert typed(text) == text


def test_settings_are_frozen() -> None:
    """Settings are immutable."""
    with pytest.raises(ValueError, match="frozen"):
        SampleSettings().port = 1  # type: ignore[misc]


# What is generated


def test_env_example_matches_the_declarations() -> None:
    """After a change of the declarations run make docs."""
    assert settings_reference.env(SERVICES) == (ROOT / ".env.example").read_text()


def test_reference_matches_the_declarations() -> None:
    """After a change of the declarations run make docs."""
    assert (
        settings_reference.markdown(SERVICES)
        == (ROOT / "docs/configuration.md").read_text()
    )


def test_compose_passes_every_setting_on() -> None:
    """Each container gets its settings, empty if unset, except what makes them a pair."""
    text = (ROOT / "docker-compose.yml").read_text()
    passed = dict(re.findall(r'^ +(NETDUET_\w+): "?([^"\n]*)"?$', text, re.MULTILINE))
    fixed = {
        "NETDUET_SERVER_PORT",
        "NETDUET_CLIENT_TARGET",
        "NETDUET_CLIENT_EXPECT_SERVICE",
        "NETDUET_CLIENT_LOG_LEVEL",
    }
    for model in SERVICES:
        for field in model.model_fields:
            name = model.variable(field)
            assert name in passed
            assert name in fixed or passed[name] == f"${{{name}:-}}"
    assert set(re.findall(r"\$\{(NETDUET_\w+)", text)) <= set(passed) | set(TOOLING)


@pytest.mark.parametrize("model", SERVICES)
def test_each_setting_is_documented(model: type[Settings]) -> None:
    """The docstring is the help, and each default is within its own bounds."""
    for field, info in model.model_fields.items():
        assert info.description, field
        assert info.description.endswith("."), field
    model()


@pytest.mark.parametrize("model", SERVICES)
def test_shown_default_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, model: type[Settings]
) -> None:
    """.env.example without its comments sets the defaults."""
    for field, info in model.model_fields.items():
        monkeypatch.setenv(model.variable(field), show(info, info.default))
    assert load(model, {}).settings == model()


@pytest.mark.parametrize(
    "value",
    ["plain", "a b", " a ", "it's", "a # b", '"q"', "back\\slash", "x\ny", 'tab\t"'],
)
def test_shown_value_can_be_pasted_into_dotenv(value: str) -> None:
    """The output of `config show` is read back from a .env file unchanged."""
    line = f"NAME={assigned(value)}  # environment"
    assert dotenv_values(stream=StringIO(line)) == {"NAME": value}
