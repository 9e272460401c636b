"""The flags of ``netduet between`` for pods exist in the real kubectl."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netduet.between.pods import Kubectl


@pytest.fixture(scope="module")
def program() -> str:
    """Return kubectl; one that is missing is an error, no skip."""
    ours = Path(sys.executable).with_name("kubectl")
    found = str(ours) if ours.exists() else shutil.which("kubectl")
    assert found is not None, "no kubectl: make .venv anew, or install one"
    return found


@pytest.mark.parametrize("command", ["get", "debug", "logs"])
def test_kubectl_knows_every_flag(program: str, command: str, tmp_path: Path) -> None:
    """An unknown flag is refused before any server is asked: here there is none."""
    kubectl = Kubectl("shop", program)
    words = {
        "get": kubectl.get("db"),
        "debug": kubectl.debug("db", "name", "image", ["serve", "--port=1"]),
        "logs": kubectl.logs("db", "name"),
    }[command]

    def run(*extra: str) -> str:
        done = subprocess.run(
            [*words[:2], "--server=http://127.0.0.1:9", *extra, *words[2:]],
            env={"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode
        return done.stderr

    assert "connect" in run()
    assert "unknown flag: --nonsense" in run("--nonsense")
