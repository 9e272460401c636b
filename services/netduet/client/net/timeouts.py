"""How long this client waits for each step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds."""

    resolve: float
    connect: float
    answer: float
