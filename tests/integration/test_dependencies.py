"""Installations without an optional dependency: the error names the remedy."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.integration.servers import TIMEOUT_SECONDS

SERVICES = Path(__file__).parents[2] / "services"
INSTALLED = Path(sysconfig.get_path("purelib"))
MAIN = "from netduet.__main__ import main; raise SystemExit(main())"


def run_without(
    folder: Path, packages: set[str], code: str, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run code where all that is installed here is installed, but for some packages."""
    for path in INSTALLED.iterdir():
        name = path.name.partition("-")[0].partition(".")[0]
        if name not in packages and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    paths = f"import sys; sys.path += [{str(SERVICES)!r}, {str(folder)!r}]; "
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", paths + code, *words],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("packages", "words", "hint"),
    [
        (
            {"h2"},
            ("check", "127.0.0.1:1"),
            "'h2' is not installed: pip install 'netduet[client]'",
        ),
        (
            {"rich"},
            ("check", "--json", "127.0.0.1:1"),
            "'rich' is not installed: pip install 'netduet[client]'",
        ),
        (
            {"docker"},
            ("between", "web", "db"),
            "'docker' is not installed: pip install 'netduet[docker]'",
        ),
        (
            {"rich"},
            ("explain", "--help"),
            "'rich' is not installed: pip install 'netduet[client]'",
        ),
        (
            {"orjson"},
            ("check", "127.0.0.1:1"),
            "'orjson' is not installed: pip install 'netduet'",
        ),
        (
            {"pydantic_settings"},
            ("serve",),
            "'pydantic-settings' is not installed: pip install 'netduet'",
        ),
        (
            {"annotated_types"},
            ("config", "show"),
            "'annotated_types' is not installed: pip install --force-reinstall netduet",
        ),
    ],
)
def test_missing_dependency_is_a_one_line_error(
    tmp_path: Path, packages: set[str], words: tuple[str, ...], hint: str
) -> None:
    """The line has the extra that installs it; nothing is checked or served."""
    done = run_without(tmp_path, packages, MAIN, *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"netduet: {hint}\n")


def test_command_that_needs_no_extra_runs_without(tmp_path: Path) -> None:
    """A greeting needs no HTTP library: the connection is refused, and that is all."""
    done = run_without(tmp_path, {"h2"}, MAIN, "hello", "127.0.0.1:1")
    assert done.returncode == 1
    assert "ECONNREFUSED" in done.stderr


@pytest.mark.parametrize("package", ["docker", "testcontainers"])
def test_testing_names_its_missing_extra(tmp_path: Path, package: str) -> None:
    """The import error of a test suite names it."""
    done = run_without(tmp_path, {package}, "import netduet.testing")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: {package!r} is not installed: "
        "pip install 'netduet[testing]'"
    )
