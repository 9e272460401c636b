"""The manifests, as the real kubectl renders them."""

from __future__ import annotations

import json
import os
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
FOLDERS: Final = ("server", "check", "cron", "blocked", "mesh")

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


@pytest.fixture(scope="session")
def everything(
    render: Render, tmp_path_factory: pytest.TempPathFactory
) -> list[Manifest]:
    """Render all folders and the optional component at once, as an overlay would."""
    overlay = tmp_path_factory.mktemp("overlay")
    beside = os.path.relpath(KUBERNETES, overlay)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{beside}/{folder}" for folder in FOLDERS],
        "components": [f"{beside}/monitoring"],
    }
    (overlay / "kustomization.yaml").write_text(json.dumps(kustomization))
    return render(overlay)
