"""Packets that arrived and that a kernel dropped: what its counters explain. Pure.

Counters are those of a whole network namespace, so other traffic counts too: a growth
explains a finding only if it is at least a few packets, and at least half of what the
finding lost, where that is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netduet.client.checks.investigation.explanation import Explanation
from netduet.client.results.location import Location, Side
from netduet.net.counters import COUNTERS

if TYPE_CHECKING:
    from netduet.client.checks.investigation.results import Clues
    from netduet.client.results.verdict import Finding

MIN_GROWTH: Final = 3
"""Packets that a counter must have counted: one or two are anybody's."""

MIN_SHARE: Final = 0.5
"""Share of the lost packets that a counter must have counted."""

_LOST_FIGURES: Final = ("lost", "lost_syns")
"""Figures of findings: how many packets were lost."""

_TCP: Final = frozenset({"tcp"})
_UDP: Final = frozenset({"udp"})
_BOTH: Final = _TCP | _UDP


@dataclass(frozen=True, slots=True)
class _Rule:
    """Counters, and what they explain of which transports.

    ``on_path``: the fault is on the way to the end that counts, not at that end.
    ``ends`` are those whose count means something. ``not_for`` are the beginnings of
    classes whose check reads the same counter itself.
    """

    names: tuple[str, ...]
    transports: frozenset[str]
    cause: str
    on_path: bool = False
    ends: tuple[Side, ...] = (Side.CLIENT, Side.SERVER)
    not_for: tuple[str, ...] = ()


_CHECKSUM: Final = (
    "packets arrive {end} with a wrong checksum, and the kernel there drops them: "
    "checksum offload of a tunnel or virtual network card (ethtool -K DEVICE tx off), "
    "or a device on the way that changes packets"
)

_RULES: Final = (
    _Rule(("TcpInCsumErrors",), _TCP, _CHECKSUM, on_path=True),
    _Rule(("UdpInCsumErrors", "Udp6InCsumErrors"), _UDP, _CHECKSUM, on_path=True),
    _Rule(
        ("TcpExtIPReversePathFilter",),
        _BOTH,
        "packets arrive {end} by another interface than the one that leads back, and "
        "the reverse-path filter there drops them: asymmetric routing "
        "(net.ipv4.conf.*.rp_filter)",
    ),
    _Rule(
        ("conntrack.drop",),
        _BOTH,
        "the connection tracking table {end} is full, and the kernel there drops "
        "packets (nf_conntrack: table full)",
    ),
    _Rule(
        ("TcpExtListenOverflows",),
        _TCP,
        "the accept queue {end} is full: the server accepts connections too slowly",
        ends=(Side.SERVER,),
        not_for=("churn.",),
    ),
    _Rule(
        ("UdpRcvbufErrors", "Udp6RcvbufErrors"),
        _UDP,
        "datagrams arrive {end} and find the receive buffer full",
        not_for=("udp.loss", "udp.overflow", "stream."),
    ),
)

_ENDS: Final = {Side.CLIENT: "at this host", Side.SERVER: "at the server's host"}
_ARRIVING: Final = {
    Side.CLIENT: Location.FROM_SERVER,
    Side.SERVER: Location.TO_SERVER,
}
_AT: Final = {Side.CLIENT: Location.CLIENT, Side.SERVER: Location.SERVER}


def explain_by_counters(finding: Finding, clues: Clues) -> Iterator[Explanation]:
    """Yield what grew at either end and fits the loss."""
    growths = {Side.SERVER: clues.server or {}, Side.CLIENT: clues.client}
    for rule in _RULES:
        if not rule.transports & _transports(finding.failure):
            continue
        if rule.not_for and finding.failure.startswith(rule.not_for):
            continue
        for side, growth in growths.items():
            count = sum(growth.get(name, 0) for name in rule.names)
            if side in rule.ends and _fits(count, finding):
                yield _explanation(rule, side, growth)


def _transports(failure: str) -> frozenset[str]:
    if failure.startswith("udp.") or failure == "reach.no_response":
        return _UDP
    return _BOTH if failure.startswith("stream.") else _TCP


def _fits(count: int, finding: Finding) -> bool:
    lost = [
        figure
        for name in _LOST_FIGURES
        if isinstance(figure := finding.figures.get(name), int)
    ]
    return count >= max(MIN_GROWTH, MIN_SHARE * max(lost, default=0))


def _explanation(rule: _Rule, side: Side, growth: Mapping[str, int]) -> Explanation:
    counted = [name for name in rule.names if growth.get(name)]
    texts = [
        f"{COUNTERS[name]}: {growth[name]} more than before ({name})"
        for name in counted
    ]
    return Explanation(
        ((side, f"its kernel counts {'; '.join(texts)}"),),
        rule.cause.format(end=_ENDS[side]),
        _ARRIVING[side] if rule.on_path else _AT[side],
        figures={f"{side.value}.{name}": growth[name] for name in counted},
    )
