"""A server under trial: a real process, and what the kernel knows of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

HOST: Final = "198.18.0.1"
PORT: Final = 12345
ADMIN_PORT: Final = 9090
_START_SECONDS: Final = 60.0
_KIB: Final = 1024


class Server:
    """``netduet serve`` with settings by their names, perhaps under a ``prefix``.

    A prefix is a command that replaces itself by the server (``prlimit``, ``nice``).
    The log goes to a file unless ``log`` is a descriptor.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, object],
        prefix: tuple[str, ...] = (),
        log: int | None = None,
    ) -> None:
        """Start it."""
        folder.mkdir()
        self.log_path = folder / "log"
        self.host = str(settings.get("host", HOST))
        chosen = {"port": PORT, "log_format": "json"} | settings
        self._listens_on = str(settings.get("host", ""))
        with (
            self.log_path.open("wb") as log_file,
            (folder / "stderr").open("wb") as errors,
        ):
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "netduet", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log_file if log is None else log,
                stderr=errors,
                cwd=folder,
                env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
                | {
                    f"NETDUET_SERVER_{name.upper()}": str(value)
                    for name, value in chosen.items()
                },
            )
        self._errors = folder / "stderr"

    def wait_ready(self) -> None:
        """Return when it answers a plain client."""
        until = time.monotonic() + _START_SECONDS
        while not self.greets(timeout=5.0):
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"no server: {self.errors()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def seconds_to_exit(self, timeout: float) -> float:
        """Return the seconds until it has left; infinite if it does not in time."""
        start = time.monotonic()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return float("inf")
        return time.monotonic() - start

    def greets(self, timeout: float = 10.0) -> bool:
        """Whether it answers a new plain client."""
        try:
            with socket.create_connection((self.host, PORT), timeout) as sock:
                sock.sendall(b"Hello, server!")
                sock.shutdown(socket.SHUT_WR)
                answer = sock.recv(1024)
        except OSError:
            return False
        return answer.startswith(b"Hello")

    def healthy(self) -> bool:
        """Whether the health check passes, as in a container: on loopback."""
        check = subprocess.run(
            [sys.executable, "-m", "netduet.server.healthcheck"],
            env={
                "NETDUET_SERVER_HOST": self._listens_on,
                "NETDUET_SERVER_PORT": str(PORT),
            },
            cwd=self.log_path.parent,
            capture_output=True,
            check=False,
        )
        return check.returncode == 0

    # What the kernel knows

    def rss(self) -> float:
        """Return the resident memory in MiB."""
        return self._status("VmRSS")

    def peak_rss(self) -> float:
        """Return the most resident memory in MiB since ``forget_peak``."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Begin anew to watch the peak."""
        self._proc("clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Return the number of open descriptors."""
        return len(list(self._proc("fd").iterdir()))

    def cpu_seconds(self) -> float:
        """Return the CPU time of all threads."""
        return scheduled(self.process.pid)[0]

    def cpu_wait_seconds(self) -> float:
        """Return how long its threads have waited for a CPU."""
        return scheduled(self.process.pid)[1]

    # What it wrote

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Return the log lines so far, all or those of an event."""
        lines = []
        for raw in self.log_path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # the last one may be incomplete
                lines.append(json.loads(raw))
        return [line for line in lines if event in {"", line["event"]}]

    def errors(self) -> str:
        """Return what it wrote to standard error."""
        return self._errors.read_text(errors="replace").strip()

    def _status(self, name: str) -> float:
        for line in self._proc("status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / _KIB
        raise RuntimeError(f"the server has no {name}: it has left")

    def _proc(self, name: str) -> Path:
        return Path("/proc", str(self.process.pid), name)


def scheduled(pid: int) -> tuple[float, float]:
    """Return the seconds that the threads of a process ran, and waited for a CPU."""
    ran = waited = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path("/proc", str(pid), "task").iterdir():
            words = (task / "schedstat").read_text().split()
            ran += int(words[0])
            waited += int(words[1])
    return ran / 1e9, waited / 1e9
