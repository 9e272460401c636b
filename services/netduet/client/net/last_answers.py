"""What a server answers before the end of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netduet.wire.messages import Inspection


@dataclass(frozen=True, slots=True)
class LastAnswers:
    """What was answered before the end: the server's state, and when; the echo's time.

    Times are monotonic seconds, 0 without an answer. ``asked_echo``: one was asked for.
    """

    inspection: Inspection | None = None
    inspected_at: float = 0.0
    echo_at: float = 0.0
    asked_echo: bool = False
