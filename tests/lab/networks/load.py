"""Limited rates, and queues that add latency under load."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import DOWN, UP, slow
from tests.lab.expectation import fails, passes
from tests.lab.networks.declaration import WAYS, Network

QUICK: Final = ("-4", "--checks", "load")
FULL: Final = (*QUICK, "--profile", "full")
_CAP: Final = 10
"""Megabits a second of a cap: far below what the ends can do."""

_PATHS: Final = {UP: "upload", DOWN: "download"}

NETWORKS: Final = (
    Network(
        "load-fast", "routed and fast, loaded for a long time", passes(), flags=FULL
    ),
    Network(
        "load-background",
        "routed and fast, while another client fills the path in both directions",
        passes(),
        background=True,
    ),
    *(
        Network(
            f"slow-{way}",
            f"a shaper lets {_CAP} Mbit/s through on the way {way}, with a short queue",
            passes(("load", f"{_PATHS[direction]} is"), ("load", "times slower")),
            conditions=(slow(_CAP, direction, queue_ms=20),),
            flags=FULL,
        )
        for way, direction, _ in WAYS
    ),
    *(
        Network(
            f"slow-{way}-judged",
            f"the same on the way {way}, and 50 Mbit/s must be reached",
            fails("load.slow", where),
            conditions=(slow(_CAP, direction, queue_ms=20),),
            flags=(*QUICK, "--min-rate", "50M"),
            representative=way == "up",
        )
        for way, direction, where in WAYS
    ),
    *(
        Network(
            f"deep-queue-{way}",
            f"20 Mbit/s on the way {way}, behind a queue of 400 ms",
            passes(("load", f"a queue in the {_PATHS[direction]} path")),
            conditions=(slow(20, direction, queue_ms=400),),
            flags=QUICK,
            representative=way == "down",
        )
        for way, direction, _ in WAYS
    ),
)
