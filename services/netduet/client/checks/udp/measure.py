"""Runs the check ``udp``: openings, a burst, sizes."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.results import IdentityAnswer
from netduet.client.checks.udp.prober import UdpProber
from netduet.client.checks.udp.results import (
    BurstPlan,
    UdpResult,
)
from netduet.client.net.dial import Address, classify, in_thread
from netduet.client.net.path_rate import DATAGRAM_BYTES, spacing
from netduet.client.net.port_probe import own_address
from netduet.client.net.server_evidence import own_addresses
from netduet.client.net.udp_handshake import UdpOpeningResult, answered_from
from netduet.client.net.udp_socket import UdpSocket

_STRAY_SECONDS: Final = 1.0
"""Seconds to wait for an answer from another address."""

FEATURE: Final = "count"

PLANS: Final = {
    "quick": BurstPlan(300, 0.002),
    "full": BurstPlan(2000, 0.002),
    "soak": BurstPlan(30_000, 0.002),
}
"""Datagrams of a burst, by profile."""


PATH_SHARE: Final = 0.5
"""Share of a slow path's rate that a burst takes."""
SLOW_PATH_SECONDS: Final = 3.0
"""Duration of a burst on a slow path, unless it has too few datagrams then."""
MIN_DATAGRAMS: Final = 100
"""Datagrams that a burst has at any rate."""

_BURST: Final = threading.Lock()
"""Two bursts at once would double the rate, and might fill a link that carries one."""


async def measure(context: CheckContext, answer: IdentityAnswer) -> UdpResult:
    """Probe a netduet server by datagrams, in a thread."""
    plan = fit_plan(PLANS[context.profile], answer.rate)
    timeout = context.timeouts.answer
    return await in_thread(partial(exchange, answer, plan, timeout))


def fit_plan(plan: BurstPlan, rate: float) -> BurstPlan:
    """Return a burst that does not fill a path with this rate in bit/s.

    It has fewer datagrams where it would take long.
    """
    gap = max(plan.gap, spacing(DATAGRAM_BYTES, rate, PATH_SHARE))
    fewer = int(max(plan.count * plan.gap, SLOW_PATH_SECONDS) / gap)
    return BurstPlan(min(plan.count, max(MIN_DATAGRAMS, fewer)), gap)


def exchange(answer: IdentityAnswer, plan: BurstPlan, timeout: float) -> UdpResult:
    """Probe one address: an opening, a burst when it is its turn, sizes."""
    result = _exchange(answer, plan, timeout)
    welcome = answer.handshake.welcome
    servers = () if welcome is None else own_addresses(welcome)
    leads_away = bool(servers) and not any(map(_is_own, servers))
    return replace(result, is_published_here=leads_away and _is_own(answer.address))


def _is_own(address: Address) -> bool:
    """Return whether an address is one of this host: it then sends from the same one."""
    return own_address(address) == address.host.partition("%")[0]


def _exchange(answer: IdentityAnswer, plan: BurstPlan, timeout: float) -> UdpResult:
    address, tcp = answer.address, answer.handshake.welcome
    try:
        sock = UdpSocket(address)
    except OSError as error:
        _, detail = classify(error)
        return UdpResult(address, tcp, socket_error=detail)
    with sock:
        handshake = answer.handshake
        round_trip = min(handshake.seconds, handshake.connect_seconds)
        prober = UdpProber(sock, timeout, answer.rate, round_trip)
        opening = prober.open()
        if not (opening.reached or opening.foreign or opening.error):
            source = answered_from(address, min(_STRAY_SECONDS, timeout))
            opening = replace(opening, answered_from=source)
        if not _server_counts(answer, opening):
            return UdpResult(address, tcp, opening)
        with _BURST:
            burst = prober.burst(plan)
        if burst.server_count is None:
            return UdpResult(address, tcp, opening, burst)
        boot_id = prober.boot_id()
        return UdpResult(address, tcp, opening, burst, boot_id, prober.sizes())


def _server_counts(answer: IdentityAnswer, opening: UdpOpeningResult) -> bool:
    """Whether the server that answers datagrams can count them."""
    welcome = opening.welcome or answer.handshake.welcome
    return opening.reached and welcome is not None and FEATURE in welcome.features
