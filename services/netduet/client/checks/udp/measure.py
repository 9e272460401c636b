"""Do datagrams get through, how many are lost each way, and which sizes pass?"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from functools import partial
from typing import Final

from netduet.client.checks.base import CheckContext
from netduet.client.checks.identity.results import IdentityAnswer, IdentityResult
from netduet.client.checks.udp.opening import answered_from
from netduet.client.checks.udp.prober import UdpProber
from netduet.client.checks.udp.results import (
    BurstPlan,
    Udp,
    UdpOpeningResult,
    UdpResult,
)
from netduet.client.net.dial import classify, in_thread
from netduet.client.net.udp_socket import UdpSocket

MOST: Final = 4
"""Addresses that are asked."""

_STRAY_SECONDS: Final = 1.0
"""Seconds in which an answer from source would come."""

FEATURE: Final = "count"

PLANS: Final = {
    "quick": BurstPlan(300, 0.002),
    "full": BurstPlan(2000, 0.002),
    "soak": BurstPlan(30_000, 0.002),
}
"""Datagrams of a burst, by profile."""


async def measure(context: CheckContext) -> Udp:
    """Ask each netduet by datagrams, side by side, each in a thread."""
    known = context.earlier(IdentityResult).known[:MOST]
    plan = PLANS[context.profile]
    patience = context.timeouts.answer
    # Two bursts at a time would be twice the rate, and fill a link that carries one.
    turn = threading.Lock()
    exchanges = await asyncio.gather(
        *(
            in_thread(partial(exchange, answer, plan, patience, turn))
            for answer in known
        )
    )
    return Udp(tuple(exchanges), context.options.max_loss)


def exchange(
    answer: IdentityAnswer,
    plan: BurstPlan,
    patience: float,
    turn: threading.Lock | None = None,
) -> UdpResult:
    """Ask at one address: an opening, a burst when it is its turn, sizes."""
    address, tcp = answer.address, answer.handshake.welcome
    try:
        sock = UdpSocket(address)
    except OSError as error:
        _, detail = classify(error)
        return UdpResult(address, tcp, socket_error=detail)
    with sock:
        prober = UdpProber(sock, patience)
        opening = prober.open()
        if not (opening.reached or opening.foreign or opening.error):
            source = answered_from(address, min(_STRAY_SECONDS, patience))
            opening = replace(opening, answered_from=source)
        if not _server_counts(answer, opening):
            return UdpResult(address, tcp, opening)
        with turn or contextlib.nullcontext():
            burst = prober.burst(plan)
        if burst.server_count is None:
            return UdpResult(address, tcp, opening, burst)
        boot_id = prober.boot_id()
        return UdpResult(address, tcp, opening, burst, boot_id, prober.sizes())


def _server_counts(answer: IdentityAnswer, opening: UdpOpeningResult) -> bool:
    """Tell whether the server that answers datagrams can count them."""
    welcome = opening.welcome or answer.handshake.welcome
    return opening.reached and welcome is not None and FEATURE in welcome.features
