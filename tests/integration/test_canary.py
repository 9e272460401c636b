"""A secret appears in no output: logs, reports, help, settings, metrics, errors."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.servers import NetduetCommand
from tests.integration.test_admin import free_port

CANARY = "canary-5f1d9a-7c0e24"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """Return a file that holds the canary."""
    path = tmp_path / "token"
    path.write_text(f"{CANARY}\n")
    return path


def test_secret_appears_in_no_output(
    netduet: NetduetCommand, serve_command: ServeCommand, token_file: Path
) -> None:
    """Server and client have it, from a file and from a variable, and use it."""
    server = serve_command(token_file=token_file, log_level="debug")
    client = {"NETDUET_CLIENT_TOKEN": CANARY, "NETDUET_CLIENT_LOG_LEVEL": "debug"}
    target, junit = f"127.0.0.1:{server.port}", netduet.folder / "report.xml"
    outputs = []
    for words in (
        ("check", "--checks=identity", f"--junit={junit}", target),
        ("check", "--checks=identity", "--json", target),
        ("hello", target),
        ("config", "show"),
        ("config", "check"),
        ("check", "--help"),
        ("check", "--port=0"),
        ("check", "--no-such-flag"),
    ):
        done = netduet.run(*words, env=client)
        outputs += [done.stdout, done.stderr]
    assert '"outcome": "PASS"' in outputs[2] or '"outcome":"PASS"' in outputs[2]
    outputs.append(junit.read_text())
    server.stop()
    outputs += [raw.decode() for raw in server.raw]
    outputs.append(server.stderr_text())
    assert not [text for text in outputs if CANARY in text]


def test_secret_appears_on_no_page_of_the_admin_port(
    serve_command: ServeCommand, token_file: Path
) -> None:
    """Neither as a label nor as a version."""
    server = serve_command(token_file=token_file, admin_port=free_port())
    listening = server.wait("admin.listening")
    assert listening is not None
    for page in ("metrics", "version", "livez", "readyz"):
        url = f"http://127.0.0.1:{listening['server.port']}/{page}"
        with urllib.request.urlopen(url, timeout=10) as response:
            assert CANARY not in response.read().decode()


@pytest.mark.parametrize("name", ["TOKEN", "TOKEN_FILE", "TOKN"])
def test_unusable_secret_is_not_shown(netduet: NetduetCommand, name: str) -> None:
    """It is too short, its file is missing, or its name is misspelt."""
    done = netduet.run("check", "server", env={f"NETDUET_CLIENT_{name}": "tiny-canary"})
    assert done.returncode == 2
    if name != "TOKEN_FILE":  # that is the path, which a person has to see
        assert "tiny-canary" not in done.stdout + done.stderr
    assert f"NETDUET_CLIENT_{name}" in done.stderr
