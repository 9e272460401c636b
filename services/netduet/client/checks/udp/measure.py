"""Do datagrams get through, how many are lost each way, and which sizes pass?"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from functools import partial
from typing import Final

from netduet.client.checks.base import Context
from netduet.client.checks.identity import Answer, Identity
from netduet.client.checks.udp.burst_sender import Counter
from netduet.client.checks.udp.opening import answered_from
from netduet.client.checks.udp.results import Exchange, Knock, Plan, Udp
from netduet.client.net.dial import classify, in_thread
from netduet.client.net.udp_socket import Datagrams

MOST: Final = 4
"""Addresses that are asked."""

_STRAY: Final = 1.0
"""Seconds in which an answer from elsewhere would come."""

FEATURE: Final = "count"

PLANS: Final = {
    "quick": Plan(300, 0.002),
    "full": Plan(2000, 0.002),
    "soak": Plan(30_000, 0.002),
}
"""Datagrams of a burst, by profile."""


async def measure(context: Context) -> Udp:
    """Ask each netduet by datagrams, side by side, each in a thread."""
    known = context.earlier(Identity).known[:MOST]
    plan = PLANS[context.profile]
    patience = context.patience.answer
    # Two bursts at a time would be twice the rate, and fill a link that carries one.
    turn = threading.Lock()
    exchanges = await asyncio.gather(
        *(in_thread(partial(exchange, one, plan, patience, turn)) for one in known)
    )
    return Udp(tuple(exchanges), context.bounds.max_loss)


def exchange(
    answer: Answer, plan: Plan, patience: float, turn: threading.Lock | None = None
) -> Exchange:
    """Ask at one address: an opening, a burst when it is its turn, sizes."""
    address, tcp = answer.address, answer.opening.welcome
    try:
        sock = Datagrams(address)
    except OSError as error:
        _, detail = classify(error)
        return Exchange(address, tcp, detail=detail)
    with sock:
        counter = Counter(sock, patience)
        knock = counter.knock()
        if not (knock.reached or knock.foreign or knock.error):
            elsewhere = answered_from(address, min(_STRAY, patience))
            knock = replace(knock, elsewhere=elsewhere)
        if not _counts(answer, knock):
            return Exchange(address, tcp, knock)
        with turn or contextlib.nullcontext():
            burst = counter.burst(plan)
        if burst.tally is None:
            return Exchange(address, tcp, knock, burst)
        again = counter.boot_id()
        return Exchange(address, tcp, knock, burst, again, counter.sizes())


def _counts(answer: Answer, knock: Knock) -> bool:
    """Tell whether the server that answers datagrams can count them."""
    welcome = knock.welcome or answer.opening.welcome
    return knock.reached and welcome is not None and FEATURE in welcome.features
