"""Names that are no settings, and sources that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from netduet.config.load import SourcePaths, load, nearest
from tests.unit.sample import Sample, lines_of, nowhere


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SourcePaths:
    """Start each test with no settings anywhere; return where it may put some."""
    return nowhere(monkeypatch, tmp_path)


# Names that no setting has


def test_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, around: SourcePaths
) -> None:
    """pydantic-settings would ignore it in silence."""
    monkeypatch.setenv("NETDUET_SAMPLE_PROT", "1")
    around.dotenv.write_text("NETDUET_SAMPLE_RROM=1\n")
    (around.secrets / "netduet_sample_tokn").write_text("hunter2")
    wrong = "no setting has this name: did you mean"
    assert lines_of(around) == [
        f"NETDUET_SAMPLE_PROT: {wrong} NETDUET_SAMPLE_PORT?",
        f"{around.dotenv}: NETDUET_SAMPLE_RROM: {wrong} NETDUET_SAMPLE_ROOM?",
        f"{around.secrets}/netduet_sample_tokn: {wrong} netduet_sample_token?",
    ]


def test_misspelt_name_and_bad_value_are_told_together(
    monkeypatch: pytest.MonkeyPatch, around: SourcePaths
) -> None:
    """Nobody has to start twice to hear of two mistakes."""
    monkeypatch.setenv("NETDUET_SAMPLE_MODES", "1")
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", "x")
    assert len(lines_of(around)) == 2


def test_variable_in_lower_case_is_refused(
    monkeypatch: pytest.MonkeyPatch, around: SourcePaths
) -> None:
    """Two spellings of one variable would leave it open which of them counts."""
    monkeypatch.setenv("netduet_sample_port", "1")
    [line] = lines_of(around)
    assert line.endswith("did you mean NETDUET_SAMPLE_PORT?")


def test_name_that_nothing_resembles_points_to_the_list() -> None:
    """A shared prefix makes no name near."""
    known = {"NETDUET_SAMPLE_PORT", "NETDUET_SAMPLE_WAIT"}
    assert nearest("NETDUET_SAMPLE_GREETING", known) == "; see docs/configuration.md"


def test_name_without_its_half_finds_the_whole_name() -> None:
    """The half may be what is misspelt."""
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


def test_service_links_are_set_aside_and_named(
    monkeypatch: pytest.MonkeyPatch, around: SourcePaths
) -> None:
    """What Kubernetes writes for a Service of our name is no setting."""
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    loaded = load(Sample, {}, around)
    assert loaded.settings == Sample()
    assert loaded.ignored == tuple(sorted(LINKS))


def test_service_link_does_not_hide_the_next_source(
    monkeypatch: pytest.MonkeyPatch, around: SourcePaths
) -> None:
    """A person's port in .env counts though Kubernetes took the variable."""
    monkeypatch.setenv("NETDUET_SAMPLE_PORT", "tcp://10.0.0.1:12345")
    around.dotenv.write_text("NETDUET_SAMPLE_PORT=5\n")
    assert load(Sample, {}, around).settings.port == 5


def test_service_link_in_a_file_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, around: SourcePaths
) -> None:
    """Kubernetes writes to the environment alone."""
    monkeypatch.setenv("NETDUET_SAMPLE_SERVICE_PORT", "12345")
    around.dotenv.write_text("NETDUET_SAMPLE_PORT=tcp://10.0.0.1:12345\n")
    assert lines_of(around) == [
        ".env: NETDUET_SAMPLE_PORT=tcp://10.0.0.1:12345: must be a whole number"
    ]
    around.dotenv.write_text("NETDUET_SAMPLE_SERVICE_HOST=10.0.0.1\n")
    [line] = lines_of(around)
    assert "NETDUET_SAMPLE_SERVICE_HOST: no setting has this name" in line


# Sources that cannot be read


def test_broken_line_of_ours_in_dotenv_is_refused(around: SourcePaths) -> None:
    """A line of ours that sets nothing would be ignored in silence."""
    around.dotenv.write_text("A=1\nNETDUET_SAMPLE_PORT 99\n")
    assert lines_of(around) == [f"{around.dotenv}: line 2: must be NAME=value"]


def test_file_that_is_no_utf8_is_one_line(around: SourcePaths) -> None:
    """A file in another encoding is told of in a line."""
    around.dotenv.write_bytes(b"NETDUET_SAMPLE_NAME=caf\xe9\n")
    assert lines_of(around) == [f"{around.dotenv}: must be UTF-8"]
    around.dotenv.unlink()
    (around.secrets / "netduet_sample_name").write_bytes(b"caf\xe9")
    assert lines_of(around) == [f"{around.secrets}: files must be UTF-8"]


def test_secret_that_is_a_folder_is_one_line(around: SourcePaths) -> None:
    """An orchestrator that mounts a folder in a file's place is told of."""
    (around.secrets / "netduet_sample_token").mkdir()
    [line] = lines_of(around)
    assert str(around.secrets / "netduet_sample_token") in line


def test_secrets_folder_that_is_a_file_is_one_line(around: SourcePaths) -> None:
    """The reason is the system's own."""
    around.secrets.rmdir()
    around.secrets.write_text("")
    assert lines_of(around) == [f"{around.secrets}: cannot be read: Not a directory"]


def test_sources_that_are_absent_are_nothing(around: SourcePaths) -> None:
    """Neither .env nor a folder of secrets has to be there."""
    around.secrets.rmdir()
    assert load(Sample, {}, around).settings == Sample()
