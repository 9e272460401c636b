"""The timeouts of a client's steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds."""

    resolve: float
    connect: float
    answer: float
