"""All trials, in the order of docs/reliability.md."""

from __future__ import annotations

from typing import Final

from tests.chaos.row import Row
from tests.chaos.rows import (
    clients,
    hostile_servers,
    limits,
    load,
    network,
    process,
    stop,
)

ALL: Final[dict[str, Row]] = {
    row.name: row
    for module in (clients, limits, stop, process, network, load, hostile_servers)
    for row in module.ROWS
}
