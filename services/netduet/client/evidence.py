"""The far end's evidence, asked for over a second connection.

Behind a balancer a second connection may reach another instance: it is tried
again, a bounded number of times, until the same instance answers, then at the
address that the instance itself answered from.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from netduet.client.conversation import converse
from netduet.client.dial import Address, classify, connect

if TYPE_CHECKING:
    from netduet.client.checks.declaration import Patience
    from netduet.wire.messages import LedgerEntry, Welcome

TRIES: Final = 4


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
    family = socket.AF_INET6 if ":" in welcome.local.address else socket.AF_INET
    direct = Address(family, welcome.local.address, welcome.local.port)
    for place in (*[address] * TRIES, direct):
        entry, why, same = await _ask(place, welcome, patience)
        if same:
            return entry, why
    return None, why


async def _ask(
    address: Address, welcome: Welcome, patience: Patience
) -> tuple[LedgerEntry | None, str, bool]:
    """Ask once: the entry, why there is none, and whether it was the same instance."""
    dialled = await connect(address, patience.connect)
    if dialled.sock is None:
        return None, f"a second connection to {address}: {dialled.detail}", False
    try:
        conversation = await converse(dialled.sock)
    except OSError as error:
        return None, f"a second connection to {address}: {classify(error)[1]}", False
    try:
        opening = await conversation.open(patience.answer)
        if opening.welcome is None:
            return None, f"a second connection to {address} was not welcomed", False
        if opening.welcome.boot_id != welcome.boot_id:
            return None, "only other instances answered", False
        answer = await conversation.ledger(welcome.conn_id, patience.answer)
        await conversation.end(patience.answer)
    finally:
        conversation.close()
    if answer is None:
        return None, "the instance did not answer the question", True
    if answer.entry is None:
        return None, "the instance no longer remembers the connection", True
    return answer.entry, "", True
