"""The HTTP API of a running Prometheus."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from testcontainers.core.container import DockerContainer

TIMEOUT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs: where it is asked, and its container."""

    url: str
    container: DockerContainer

    def values(self, query: str) -> list[float]:
        """Return the values that a query finds now."""
        asked = urllib.parse.urlencode({"query": query})
        found = self._get(f"/api/v1/query?{asked}")
        return [float(sample["value"][1]) for sample in found["result"]]

    def label_names(self, metric: str) -> list[set[str]]:
        """Return the names of the labels of each series of a metric."""
        asked = urllib.parse.urlencode({"query": metric})
        found = self._get(f"/api/v1/query?{asked}")
        return [set(sample["metric"]) - {"__name__"} for sample in found["result"]]

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the alerts that fire now: names, and their annotations."""
        return {
            alert["labels"]["alertname"]: alert["annotations"]
            for alert in self._get("/api/v1/alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def wait_until(self, what: str, holds: Callable[[Prometheus], bool]) -> None:
        """Look again until something holds; fail, saying what, when it never does."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            try:
                if holds(self):
                    return
            except (urllib.error.URLError, ConnectionError):
                pass  # it has not come up yet
            time.sleep(_POLL_SECONDS)
        log = b"".join(self.container.get_logs()).decode(errors="replace")
        raise AssertionError(f"never {what}; firing: {self.firing()}\n{log[-2000:]}")

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data
