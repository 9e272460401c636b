"""The manifests, as the real kubectl renders them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
KUBERNETES: Final = ROOT / "deploy/kubernetes"

Manifest = dict[str, Any]
Render = Callable[[Path], list[Manifest]]


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Return the path of kubectl; one that is missing is an error, no skip."""
    ours = Path(sys.executable).with_name("kubectl")
    found = ours if ours.exists() else shutil.which("kubectl")
    assert found is not None, "no kubectl: make .venv anew, or install one"
    return Path(found)


@pytest.fixture(scope="session")
def render(kubectl: Path) -> Render:
    """Return what renders a folder."""

    def rendered(folder: Path) -> list[Manifest]:
        done = subprocess.run(
            [kubectl, "kustomize", folder],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return rendered
