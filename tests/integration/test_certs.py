"""``make certs``: what it makes serves for mutual TLS."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import ServeCommand
from tests.integration.servers import TIMEOUT_SECONDS, NetduetCommand

SCRIPT = Path(__file__).parents[2] / "deploy" / "certs"


def test_throw_away_certificates_serve_for_mutual_tls(
    serve_command: ServeCommand, tmp_path: Path
) -> None:
    """Names can be added, keys are for their owner alone, a second run replaces all."""
    for _ in range(2):
        made = subprocess.run(
            [sys.executable, str(SCRIPT), str(tmp_path), "web.example"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
    assert "web.example" in made.stdout
    for name in ("server.key", "client.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    ca = str(tmp_path / "ca.pem")
    running = serve_command(
        tls_cert=str(tmp_path / "server.pem"),
        tls_key=str(tmp_path / "server.key"),
        tls_client_ca=ca,
    )
    own = ("--tls-cert", str(tmp_path / "client.pem"))
    with NetduetCommand(tmp_path) as command:
        done = command.run(
            "check",
            f"127.0.0.1:{running.port}",
            *("--tls", "--tls-ca", ca, "--tls-name", "web.example"),
            *(*own, "--tls-key", str(tmp_path / "client.key")),
            *("--expect-client-certificate", "--expect-service", "*"),
            *("--checks", "identity,tls"),
        )
    assert done.returncode == 0, done.stdout + done.stderr
