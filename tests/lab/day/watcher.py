"""``netduet watch`` in a pod: its lines and its log events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.lab.day import host

_WAIT_SECONDS: Final = 60.0
_CUT: Final = slice(11, None)
"""Of a line, what follows the date."""


@dataclass(slots=True, eq=False)
class Watcher:
    """A watch; ``lines`` are for people, ``events`` are the same as logged."""

    name: str
    node: str
    lines: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    stopped_at: float | None = None
    _process: Process | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def start(self, namespace: str, times: dict[str, str], *targets: str) -> None:
        """Start it in a pod's namespace; ``times`` are settings."""
        words = ["-m", "netduet", "watch", "--log-level", "info", *targets]
        settings = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "NETDUET_CLIENT_NODE": self.node,
            "NETDUET_CLIENT_EXPECT_SERVICE": "*",
            "NETDUET_CLIENT_ADMIN_HOST": "*",
            "NETDUET_CLIENT_ADMIN_PORT": "12347",
        }
        self._process = process = await asyncio.create_subprocess_exec(
            *host.inside_unprivileged(namespace, sys.executable, *words),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=settings | times,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self._tasks = [
            asyncio.create_task(self._read_lines(process.stdout)),
            asyncio.create_task(self._read_events(process.stderr)),
        ]

    @property
    def peers(self) -> set[str]:
        """The addresses that it watches, without their port."""
        addresses: dict[str, bool] = {}
        for event in self.events:
            if event["event"] in ("peer.added", "peer.removed"):
                addresses[event["server.address"]] = event["event"] == "peer.added"
        return {address for address, is_watched in addresses.items() if is_watched}

    def added_at(self, address: str) -> list[float]:
        """Return when it began to watch an address, in seconds since 1970."""
        return [
            datetime.fromisoformat(event["timestamp"]).timestamp()
            for event in self.events
            if event["event"] == "peer.added" and event["server.address"] == address
        ]

    async def wait_for(self, *texts: str) -> None:
        """Wait until a line contains each text."""
        async with asyncio.timeout(_WAIT_SECONDS), self._changed:
            await self._changed.wait_for(
                lambda: all(any(text in line for line in self.lines) for text in texts)
            )

    async def metrics(self, *names: str) -> list[str]:
        """Return the samples of these metrics."""
        code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
        url = "http://127.0.0.1:12347/metrics"
        asked = await asyncio.create_subprocess_exec(
            *host.inside(self.name, sys.executable, "-c", code, url), stdout=PIPE
        )
        page, _ = await asked.communicate()
        return [line for line in page.decode().splitlines() if line.startswith(names)]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal; SIGTERM has it print its summary."""
        if self.stopped_at is None:
            self.stopped_at = time.time()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def ended(self) -> None:
        """Wait for its end."""
        if self._process is not None:
            await self._process.wait()
            await asyncio.gather(*self._tasks)

    async def _read_lines(self, stream: asyncio.StreamReader) -> None:
        async for raw in stream:
            line = raw.decode(errors="replace").rstrip("\n")
            async with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
            is_dated = line[:2] == "20"
            print(f"[{self.name}] {line[_CUT] if is_dated else line}", flush=True)

    async def _read_events(self, stream: asyncio.StreamReader) -> None:
        async for raw in stream:
            try:
                event = json.loads(raw)
            except ValueError:
                event = {"event": "unreadable", "text": raw.decode(errors="replace")}
                print(f"[{self.name}] stderr: {event['text']}", flush=True)
            self.events.append(event)
