"""What a trial is, and what it measured against which bound. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.chaos.trial import Trial

DEFAULT_TIMEOUT_SECONDS: Final = 240.0


@dataclass(frozen=True, slots=True)
class Row:
    """A trial: what is done (``what``), what must hold, and the code.

    ``fast`` rows have a short form that runs in ``make test``. A row that cannot run
    here has a reason (``absent``) instead of code.
    """

    name: str
    what: str
    must: str
    run: Callable[[Trial], None] | None
    fast: bool = False
    absent: str = ""
    timeout: float = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value, and the bound that it is judged by; without one it is for information."""

    what: str
    value: str
    bound: str = ""
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What a row came to. ``problem`` is why it has no or not all measurements."""

    row: Row
    measurements: tuple[Measurement, ...]
    seconds: float
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ran, and everything was within its bounds."""
        return not self.problem and all(entry.ok for entry in self.measurements)

    @property
    def complaints(self) -> list[str]:
        """Return a line for each bound that was missed."""
        lines = [
            f"{entry.what}: {entry.value}, must be {entry.bound}"
            for entry in self.measurements
            if not entry.ok
        ]
        return [*lines, self.problem] if self.problem else lines


def measurement(fields: dict[str, Any]) -> Measurement:
    """Return a measurement that was printed as JSON."""
    return Measurement(**fields)


def quantity(value: float, unit: str) -> str:
    """Return a value as it is shown: three significant digits, with its unit."""
    digits = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{digits} {unit}".strip()


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
