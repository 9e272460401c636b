"""How often the check ``flows`` raises a false alarm, or misses a fault: a simulation.

It draws what the two stages of the check would see of a path, and judges it with the
check's own statistics: no packet is sent.

    python -m benchmarks.flows [RUNS]
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace
from typing import Final

from netduet.client.checks.flows.plan import (
    PLANS,
    ROUNDS,
    chosen_again,
    chosen_for_packets,
    still_open,
)
from netduet.client.checks.flows.port_statistics import (
    dead_ports,
    hole_ports,
    lossy_ports,
)
from netduet.client.checks.flows.results import (
    FlowTransport,
    PortTrial,
    SourcePort,
    TransportFlows,
)
from netduet.client.results.location import Direction

DEFAULT_RUNS: Final = 2000
"""Simulated runs of each path."""

MAX_LOSS: Final = 0.02
"""The default of --max-loss."""

SMALL_PACKETS: Final = 6
"""Small packets of a port in the first stage."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path with ``members``; flows over the first lose ``bad`` more, or only full ones.

    ``loss`` is the random loss of all packets, each way.
    """

    name: str
    loss: float
    members: int = 0
    bad: float = 0.0
    has_hole: bool = False
    expected: str = ""


PATHS: Final = (
    Path("healthy", 0.0),
    *(
        Path(f"{loss:.0%} random loss each way", loss)
        for loss in (0.01, 0.03, 0.1, 0.3)
    ),
    *(
        Path(f"1 of {count} dead", 0.01, count, 1.0, expected="dead")
        for count in (2, 4, 8, 16)
    ),
    *(
        Path(f"1 of {count} loses 20 %", 0.01, count, 0.2, expected="loss")
        for count in (2, 4, 8, 16)
    ),
    *(
        Path(f"1 of {count} has an MTU hole", 0.01, count, 0.0, True, "hole")
        for count in (2, 4, 8, 16)
    ),
)


class Simulation:
    """One run of the check over one path."""

    def __init__(self, path: Path, generator: random.Random) -> None:
        """Draw which ports' flows take the bad member."""
        self._path = path
        self._generator = generator
        self._plan = PLANS["quick"]
        self._is_bad = [
            bool(path.members) and generator.randrange(path.members) == 0
            for _ in range(self._plan.ports)
        ]

    def run(self) -> TransportFlows:
        """Return what both stages see."""
        ports = [
            SourcePort(32768 + 200 * number, self._trial(number, SMALL_PACKETS))
            for number in range(self._plan.ports)
        ]
        suspicious, controls = chosen_again(ports, self._generator)
        for _ in range(ROUNDS):
            again = still_open(ports, suspicious)
            if not again:
                break
            for number in (*again, *controls):
                trial = self._trial(number, 1)
                ports[number] = replace(
                    ports[number], again=(*ports[number].again, trial)
                )
        lossy = chosen_for_packets(ports, suspicious, self._generator)
        if lossy:
            others = chosen_for_packets(ports, controls, self._generator)
            for number in (*lossy, *others):
                ports[number] = replace(ports[number], packets=self._packets(number))
        return TransportFlows(
            FlowTransport.UDP, tuple(ports), self._plan.ports, full_size=1472
        )

    def _trial(self, number: int, small: int) -> PortTrial:
        lost = sum(self._is_lost(number, both_ways=True) for _ in range(small))
        hole = self._is_bad[number] and self._path.has_hole
        full = not (hole or self._is_lost(number, both_ways=True))
        passed = lost < small or full
        return PortTrial(passed, full if passed else None, None, small, lost)

    def _packets(self, number: int) -> PortTrial:
        count = self._plan.packets
        lost_up = sum(self._is_lost(number) for _ in range(count))
        lost_down = sum(
            self._generator.random() < self._path.loss for _ in range(count - lost_up)
        )
        return PortTrial(passed=True, sent=count, lost_up=lost_up, lost_down=lost_down)

    def _is_lost(self, number: int, *, both_ways: bool = False) -> bool:
        bad = self._path.bad if self._is_bad[number] else 0.0
        arrives = (1 - self._path.loss) * (1 - bad)
        if both_ways:
            arrives *= 1 - self._path.loss
        return self._generator.random() >= arrives


def findings(flows: TransportFlows) -> set[str]:
    """Return what the check would find."""
    found = {
        "dead": dead_ports(flows) is not None,
        "hole": hole_ports(flows) is not None,
        "loss": any(lossy_ports(flows, each, MAX_LOSS) for each in Direction),
    }
    return {name for name, is_found in found.items() if is_found}


def main() -> None:
    """Print a table of false alarms and misses."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_RUNS
    generator = random.Random(1)
    for path in PATHS:
        false_alarms = misses = 0
        for _ in range(runs):
            found = findings(Simulation(path, generator).run())
            false_alarms += bool(found - {path.expected})
            misses += bool(path.expected) and path.expected not in found
        print(
            f"{path.name:28} {runs} runs: {false_alarms} false alarms, {misses} misses",
            flush=True,
        )


if __name__ == "__main__":
    main()
