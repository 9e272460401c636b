"""The far end's evidence, asked for over a second connection.

Behind a balancer a second connection may reach another instance: it is tried
again, a bounded number of times, until the same instance answers, then at the
address that the instance itself answered from.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.conversation import meeting
from netduet.client.dial import Address
from netduet.client.verdict import Fares
from netduet.wire.foreign import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netduet.client.checks.declaration import Patience
    from netduet.wire.messages import LedgerEntry, Welcome

TRIES: Final = 4

_PATIENTLY: Final = 3


async def ledger_entry(
    address: Address, welcome: Welcome, patience: Patience
) -> tuple[LedgerEntry | None, str]:
    """Return how the server saw a connection, or None and why it cannot be had.

    Args:
        address: where the connection was made to.
        welcome: what it was welcomed with.
        patience: how long to wait.

    """
    why = "no instance answered"
    for place in (*[address] * TRIES, *_direct(welcome)):
        entry, why, same = await _ask(place, welcome, patience)
        if same:
            return entry, why
    return None, why


def _direct(welcome: Welcome) -> tuple[Address, ...]:
    """Return the address an instance says it answered from, if it is one at all."""
    said, port = welcome.local.address, welcome.local.port
    try:
        version = ipaddress.ip_address(said).version
    except ValueError:  # the text of a peer: never resolved, never shown as it is
        return ()
    if "%" in said or not port:
        return ()
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004
    return (Address(family, said, port),)


async def _ask(
    address: Address, welcome: Welcome, patience: Patience
) -> tuple[LedgerEntry | None, str, bool]:
    """Ask once: the entry, why there is none, and whether it was the same instance."""
    async with meeting(address, patience) as (opening, conversation):
        if conversation is None:
            why = opening.detail or "was not welcomed"
            return None, f"a second connection to {address}: {why}", False
        if conversation.welcome.boot_id != welcome.boot_id:
            return None, "only other instances answered", False
        answer = await conversation.ledger(welcome.conn_id, patience.answer)
        await conversation.end(patience.answer)
    if answer is None:
        return None, "the instance did not answer the question", True
    if answer.entry is None:
        return None, "the instance no longer remembers the connection", True
    return answer.entry, "", True


async def fares(addresses: Sequence[Address], patience: Patience) -> Fares | None:
    """Return how the worst off of the servers at these addresses fares.

    None when none of them says so in time: a starved server has thrice as long.
    """
    long = replace(patience, answer=_PATIENTLY * patience.answer)
    asked = await asyncio.gather(*(_fares(one, long) for one in addresses[:TRIES]))
    return max(filter(None, asked), key=lambda one: one.lost, default=None)


async def _fares(address: Address, patience: Patience) -> Fares | None:
    async with meeting(address, patience) as (_, conversation):
        if conversation is None or "inspect" not in conversation.welcome.features:
            return None
        conn_id = conversation.welcome.conn_id
        answer = await conversation.inspect(conn_id, patience.answer)
    if answer is None:
        return None
    lost = max(answer.stalled, answer.throttled or 0.0)
    return Fares(escape(answer.instance), answer.window, lost)
