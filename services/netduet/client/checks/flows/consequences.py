"""What the findings of the check ``flows`` explain of other checks."""

from __future__ import annotations

from typing import Final

LOSSES: Final[tuple[str, ...]] = (
    "path.broken",
    "udp.silent",
    "udp.loss",
    "churn.syn_lost",
    "churn.not_served",
    "churn.rate_limited",
    "stream.new_connections",
    "stream.old_connections",
    "stream.outage",
    "load.stalled",
    "load.slow",
    "load.loss",
    "load.policed",
)
"""Findings of other checks that follow from losses."""

SIZES: Final[tuple[str, ...]] = (
    *LOSSES,
    "size.black_hole",
    "size.stalled",
    "udp.black_hole",
    "udp.fragments",
    "close.answer_cut",
    "close.half_close",
    "close.interrupted",
)
"""Findings of other checks that follow from packets of full size that vanish."""

BREAKING: Final[tuple[str, ...]] = (
    *SIZES,
    "size.cut",
    "idle.closed",
    "idle.interrupted",
    "idle.reset",
    "idle.silent",
    "close.fin_changed",
    "close.reset_forged",
    "close.reset_lost",
    "churn.count_limited",
    "churn.refused",
    "churn.table_full",
    "stream.restarted",
    "load.cut",
    "flows.udp_dead",
    "flows.udp_port_range",
)
"""Findings of other checks that follow from connections that break, or are not made."""

EXPLAINED_BALANCE: Final[tuple[str, ...]] = (
    "balance.unhealthy_backend",
    "balance.stopped_responding",
    "balance.missing",
    "balance.uneven",
)
"""Findings about backends that follow from paths, if no instance is missing."""

INTERRUPTED_CONSEQUENCES: Final[tuple[str, ...]] = (
    "close.interrupted",
    "idle.closed",
    "idle.interrupted",
    "idle.reset",
    "load.cut",
    "size.cut",
    "stream.old_connections",
)
"""Findings of other checks that follow from connections that are ended on the way."""

TABLE_CONSEQUENCES: Final[tuple[str, ...]] = (
    *BREAKING,
    *EXPLAINED_BALANCE,
    "churn.repeated_syn",
    "flows.dead",
    "idle.udp_forgotten",
    "stream.flapping",
)
"""Findings of other checks that follow from a table without room for new flows."""
