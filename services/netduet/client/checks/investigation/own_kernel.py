"""Whether this host's own kernel keeps or drops the packets. Pure.

The growth of the counters is compared with what the quiet time before leads to expect. A
growth counts if it exceeds that by nearly all packets that were sent, and by more than
chance explains: counts are taken as Poisson distributed, and an excess of four standard
deviations of the difference is demanded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from netduet.client.checks.investigation.explanation import Explanation
from netduet.client.results.location import Location, Side

if TYPE_CHECKING:
    from netduet.client.checks.investigation.results import Clues
    from netduet.client.net.own_host import OwnHostTrial
    from netduet.client.results.verdict import Finding

MIN_SHARE: Final = 0.75
"""Share of the packets sent that must have been kept or dropped."""

DEVIATIONS: Final = 4.0
"""Standard deviations by which a growth must exceed what is expected."""

_FIREWALL: Final = "iptables -L -v -n, nft list ruleset"

_RECEIVED: Final = {
    False: (
        ("IpInReceives", "IpReasmOKs"),
        (
            "IpInDelivers",
            "IpForwDatagrams",
            "IpInHdrErrors",
            "IpInAddrErrors",
            "IpInDiscards",
            "IpReasmReqds",
            "TcpExtIPReversePathFilter",
        ),
    ),
    True: (
        ("Ip6InReceives", "Ip6ReasmOKs"),
        (
            "Ip6InDelivers",
            "Ip6OutForwDatagrams",
            "Ip6InHdrErrors",
            "Ip6InAddrErrors",
            "Ip6InDiscards",
            "Ip6ReasmReqds",
        ),
    ),
}
"""Packets that IP (IPv6: True) received, and those whose fate is known."""

_SENT: Final = {
    False: (("IpOutRequests", "IpForwDatagrams"), ("IpOutTransmits",)),
    True: (("Ip6OutRequests", "Ip6OutForwDatagrams"), ("Ip6OutTransmits",)),
}
"""Packets that IP was given to send, and those that it sent (since Linux 6.5)."""


def explain_by_own_host(_: Finding, clues: Clues) -> Iterator[Explanation]:
    """Yield that this host's own firewall drops what is sent, or the answers."""
    trial = clues.own_host
    if trial is None or trial.answered:
        return
    kept = _kept(trial, is_ipv6=clues.is_ipv6)
    if kept or (trial.errors and set(trial.errors) == {"EPERM"}):
        text = (
            f"of {trial.sent} more packets to {clues.target}, "
            f"{kept or len(trial.errors)} did not leave this host"
        )
        if trial.errors:
            text += f" ({trial.errors[0]})"
        yield Explanation(
            ((Side.CLIENT, text),),
            "this host's own firewall drops the packets before they leave (OUTPUT): "
            f"{_FIREWALL}",
            Location.CLIENT,
        )
        return
    dropped = _dropped(trial, is_ipv6=clues.is_ipv6)
    if dropped:
        text = (
            f"while {trial.sent} more packets to {clues.target} were sent, {dropped} "
            "packets arrived that this host's kernel received and handed to no program"
        )
        yield Explanation(
            ((Side.CLIENT, text),),
            "this host's own firewall drops the answers: they arrive, and its kernel "
            f"does not hand them on (INPUT, PREROUTING): {_FIREWALL}",
            Location.CLIENT,
        )


def _dropped(trial: OwnHostTrial, *, is_ipv6: bool) -> int:
    """Return how many packets arrived and were handed to nobody, 0 if not too many."""
    received, known = _RECEIVED[is_ipv6]
    return _excess(trial, lambda change: _sum(change, received) - _sum(change, known))


def _kept(trial: OwnHostTrial, *, is_ipv6: bool) -> int:
    """Return how many packets were not sent, 0 if not too many, or if unknown."""
    requested, sent = _SENT[is_ipv6]
    if sent[0] not in trial.grown:
        return 0
    return _excess(trial, lambda change: _sum(change, requested) - _sum(change, sent))


def _sum(changes: Mapping[str, int], names: tuple[str, ...]) -> int:
    return sum(changes.get(name, 0) for name in names)


def _excess(trial: OwnHostTrial, count: Callable[[Mapping[str, int]], int]) -> int:
    """Return a count if it exceeds the quiet time's by enough, else 0."""
    ratio = trial.seconds / trial.quiet_seconds
    expected = max(0, count(trial.quiet)) * ratio
    excess = count(trial.grown) - expected
    # Var(X - ratio Y) of two Poisson counts with the means expected and expected/ratio.
    deviation = math.sqrt(expected * (1 + ratio))
    if excess < max(MIN_SHARE * trial.sent, DEVIATIONS * deviation):
        return 0
    return round(excess)
