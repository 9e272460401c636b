"""The declaration of a network of the lab, and shared values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tests.lab.conditions import (
    DOWN,
    UP,
    Condition,
)
from tests.lab.expectation import Expected
from tests.lab.middleboxes import Behaviour
from tests.lab.nameserver import NAME, Names
from tests.lab.outages import Outage
from tests.lab.topology import (
    ROUTER4,
    SERVER4,
    SERVER6,
)
from tests.lab.tunrouter import Impairments

V4: Final = ("-4",)
V6: Final = ("-6",)
IDLE: Final = ("-4", "--checks", "idle", "--idle-rungs", "2s,8s")
"""Connections are held for less and for more than the 5 s of the timers here."""
EVERYTHING: Final = ("--for", "everything")
"""For networks with a proxy whose faults must be diagnosed, not noted."""
UDP: Final = ("--checks", "udp")
WAYS: Final = (("up", UP, "path →"), ("down", DOWN, "path ←"))


@dataclass(frozen=True, slots=True)
class Network:
    """One network; see the head of the package."""

    name: str
    what: str
    expect: Expected
    conditions: tuple[Condition, ...] = ()
    impairments: tuple[Impairments, Impairments] | None = None
    proxy: Behaviour | None = None
    server: tuple[str, ...] | Behaviour | None = ()
    servers: int = 1
    names: Names = field(default=Names((SERVER4, SERVER6)))
    further_names: Names | None = None
    resolv: str = f"nameserver {ROUTER4}\n"
    target: str = NAME
    also: tuple[tuple[str, Expected], ...] = ()
    flags: tuple[str, ...] = ()
    outage: Outage | None = None
    starved: str = ""
    background: bool = False
    descriptors: int = 0
    rhythm: tuple[float, float] = (0.005, 0.095)
    seconds: float = 60.0
    representative: bool = False
