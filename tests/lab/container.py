"""Outside: builds the lab's image, and runs its one container."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SERVICES = ROOT / "services/netduet"
IMAGE: Final = "netduet-lab"

_BUILD_SECONDS: Final = 600
_RUN_SECONDS: Final = 3600

Result = dict[str, Any]
"""What ``run.py`` prints of a network."""

OPTIONS: Final = (
    # Namespaces are made and entered, /proc/sys is mounted writable.
    *("--cap-add", "SYS_ADMIN"),
    # Links, routes, packet filters, the TUN device.
    *("--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", "--device", "/dev/net/tun"),
    # Both would forbid mount(2), and with it named namespaces.
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    # Not --privileged: all of the above is less, and some engines cannot give it.
)


def build() -> str:
    """Build the image; return its id, for the name may be taken over by another build.

    The context is packed here, for the project's .dockerignore keeps tests out of it.
    """
    base = _output([str(ROOT / "deploy/base-image/resolve")]).split()[1]
    command = ["docker", "build", "-q", "-t", IMAGE, "-"]
    command[2:2] = ["--build-arg", f"BUILDER_IMAGE={base}"]
    done = subprocess.run(
        command,
        input=_context(),
        capture_output=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise RuntimeError(f"the image {IMAGE} could not be built: {output}")
    return done.stdout.decode().split()[-1]


def run(image: str, *words: str, label: str = "netduet.lab") -> Iterator[Result]:
    """Run the container; yield what comes of each network, as it comes."""
    name = f"{IMAGE}-{uuid.uuid4().hex[:12]}"
    command = ["docker", "run", "--rm", "--name", name, "--label", label]
    command += [*OPTIONS, image, *words]
    remove = ["docker", "rm", "-f", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        timer = threading.Timer(
            _RUN_SECONDS,
            lambda: subprocess.run(remove, capture_output=True, check=False),
        )
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
            status = process.wait()
        finally:
            timer.cancel()
            subprocess.run(remove, capture_output=True, timeout=60, check=False)
    if status:
        raise RuntimeError(f"the lab's container left with {status}: see above")


def module_command(name: str, image: str, module: str, *words: str) -> list[str]:
    """Return the command that runs a module of the lab in a container of this name."""
    command = ["docker", "run", "--rm", "--name", name, *OPTIONS]
    return [*command, "--entrypoint", "python", image, "-m", module, *words]


def _output(command: list[str]) -> str:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    ).stdout


def _context() -> bytes:
    packed = io.BytesIO()
    # Not Python's own format: an engine does not take it for an archive.
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(ROOT / "tests/lab/Dockerfile", "Dockerfile")
        for service in ("client", "server"):
            tar.add(
                ROOT / f"requirements/{service}.txt",
                f"requirements/{service}.txt",
            )
        tar.add(ROOT / "tests/__init__.py", "code/tests/__init__.py")
        for folder in (SERVICES, ROOT / "tests/lab"):
            into = f"code/{folder.parent.name}/{folder.name}"
            tar.add(folder, into, filter=_without_caches)
    return packed.getvalue()


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry
