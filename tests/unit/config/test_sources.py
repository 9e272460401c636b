"""Names that are no settings, and sources that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from netduet.config.load import SourcePaths, load, nearest
from tests.unit.sample_settings import SampleSettings, empty_sources, error_lines


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SourcePaths:
    """Start each test with no settings anywhere; return where it may put some."""
    return empty_sources(monkeypatch, tmp_path)


# Names that no setting has


def test_misspelt_variable_is_rejected_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """pydantic-settings would ignore it silently."""
    monkeypatch.setenv("NETDUET_SAMPLE_PROT", "1")
    sources.dotenv.write_text("NETDUET_SAMPLE_RROM=1\n")
    (sources.secrets / "netduet_sample_tokn").write_text("hunter2")
    wrong = "no setting has this name: did you mean"
    assert error_lines(sources) == [
        f"NETDUET_SAMPLE_PROT: {wrong} NETDUET_SAMPLE_PORT?",
        f"{sources.dotenv}: NETDUET_SAMPLE_RROM: {wrong} NETDUET_SAMPLE_ROOM?",
        f"{sources.secrets}/netduet_sample_tokn: {wrong} netduet_sample_token?",
    ]


def test_misspelt_name_and_invalid_value_are_reported_together(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """A user sees both mistakes at the first start."""
    monkeypatch.setenv("NETDUET_SAMPLE_MODES", "1")
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", "x")
    assert len(error_lines(sources)) == 2


def test_lower_case_variable_is_rejected(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """With two spellings of a variable it would be unclear which one counts."""
    monkeypatch.setenv("netduet_sample_port", "1")
    [line] = error_lines(sources)
    assert line.endswith("did you mean NETDUET_SAMPLE_PORT?")


def test_name_without_a_similar_one_points_to_the_list() -> None:
    """A shared prefix does not make names similar."""
    known = {"NETDUET_SAMPLE_PORT", "NETDUET_SAMPLE_WAIT"}
    assert nearest("NETDUET_SAMPLE_GREETING", known) == "; see docs/configuration.md"


def test_name_without_its_program_suggests_the_full_name() -> None:
    """The program in the prefix may be what is misspelt."""
    known = {"NETDUET_SERVER_PORT", "NETDUET_PUBLISH_PORT"}
    assert nearest("NETDUET_SEVER_PORT", known) == ": did you mean NETDUET_SERVER_PORT?"


# Kubernetes' service links

LINKS = {
    "NETDUET_SAMPLE_PORT": "tcp://10.0.0.1:12345",
    "NETDUET_SAMPLE_SERVICE_HOST": "10.0.0.1",
    "NETDUET_SAMPLE_SERVICE_PORT": "12345",
    "NETDUET_SAMPLE_SERVICE_PORT_NETDUET": "12345",
    "NETDUET_SAMPLE_PORT_12345_TCP": "tcp://10.0.0.1:12345",
    "NETDUET_SAMPLE_PORT_12345_TCP_ADDR": "10.0.0.1",
    "NETDUET_SAMPLE_PORT_12345_TCP_PORT": "12345",
    "NETDUET_SAMPLE_PORT_12345_TCP_PROTO": "tcp",
    "NETDUET_SAMPLE_PORT_12345_UDP": "udp://10.0.0.1:12345",
    "NETDUET_SAMPLE_UDP_PORT": "udp://10.0.0.2:12345",
    "NETDUET_SAMPLE_UDP_SERVICE_HOST": "10.0.0.2",
}


def test_service_links_are_ignored_and_named(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """The variables that Kubernetes sets for a Service of our name are no settings."""
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    loaded = load(SampleSettings, {}, sources)
    assert loaded.settings == SampleSettings()
    assert loaded.ignored == tuple(sorted(LINKS))


def test_service_link_does_not_hide_the_next_source(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """A port in .env counts although Kubernetes set the variable."""
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", "tcp://10.0.0.1:12345")
    sources.dotenv.write_text("NETDUET_SAMPLE_PORT=5\n")
    assert load(SampleSettings, {}, sources).settings.port == 5


def test_service_link_in_a_file_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, sources: SourcePaths
) -> None:
    """Kubernetes only sets the environment."""
    monkeypatch.setenv("NETDUET_SAMPLE_SERVICE_PORT", "12345")
    sources.dotenv.write_text("NETDUET_SAMPLE_PORT=tcp://10.0.0.1:12345\n")
    assert error_lines(sources) == [
        ".env: NETDUET_SAMPLE_PORT=tcp://10.0.0.1:12345: must be a whole number"
    ]
    sources.dotenv.write_text("NETDUET_SAMPLE_SERVICE_HOST=10.0.0.1\n")
    [line] = error_lines(sources)
    assert "NETDUET_SAMPLE_SERVICE_HOST: no setting has this name" in line


# Sources that cannot be read


def test_invalid_netduet_line_in_dotenv_is_rejected(sources: SourcePaths) -> None:
    """A netduet line that sets nothing would otherwise be ignored silently."""
    sources.dotenv.write_text("A=1\nNETDUET_SAMPLE_PORT 99\n")
    assert error_lines(sources) == [f"{sources.dotenv}: line 2: must be NAME=value"]


def test_file_that_is_not_utf8_is_a_one_line_error(sources: SourcePaths) -> None:
    """A file in another encoding is reported."""
    sources.dotenv.write_bytes(b"NETDUET_SAMPLE_NAME=caf\xe9\n")
    assert error_lines(sources) == [f"{sources.dotenv}: must be UTF-8"]
    sources.dotenv.unlink()
    (sources.secrets / "netduet_sample_name").write_bytes(b"caf\xe9")
    assert error_lines(sources) == [f"{sources.secrets}: files must be UTF-8"]


def test_secret_that_is_a_folder_is_a_one_line_error(sources: SourcePaths) -> None:
    """An orchestrator may mount a folder in place of a file."""
    (sources.secrets / "netduet_sample_token").mkdir()
    [line] = error_lines(sources)
    assert str(sources.secrets / "netduet_sample_token") in line


def test_secrets_folder_that_is_a_file_is_a_one_line_error(
    sources: SourcePaths,
) -> None:
    """The reason is the system's own error."""
    sources.secrets.rmdir()
    sources.secrets.write_text("")
    assert error_lines(sources) == [
        f"{sources.secrets}: cannot be read: Not a directory"
    ]


def test_missing_sources_are_no_error(sources: SourcePaths) -> None:
    """Neither .env nor a folder of secrets is required."""
    sources.secrets.rmdir()
    assert load(SampleSettings, {}, sources).settings == SampleSettings()
