"""The failures that the check ``close`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

_DIRECT: Final = "ask the server's own address, past any proxy or balancer"

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "close.half_close",
        "data does not pass once one side has ended its sending",
        "One end had said all that it had to say, and what the other sent then was lost.",
        Location.INTERMEDIARY,
        (
            "a proxy on the way closes both directions as soon as one has ended",
            "a NAT or balancer forgets half-closed connections early: IPVS after 60 s",
        ),
        (
            _DIRECT,
            "have the proxy carry half-closed connections (nginx: proxy_half_close on)",
            "have the application say the end in its own protocol instead of by FIN",
        ),
    ),
    Failure(
        "close.answer_cut",
        "answers are cut short at the end of a connection",
        "The server sent all of its answer and ended properly; only a part of it came.",
        Location.INTERMEDIARY,
        (
            "a proxy closes a side before it has passed on all that it has read",
            "a proxy closes a socket with bytes unread, which resets the connection",
        ),
        (
            _DIRECT,
            "update the proxy, or look for its timers of half-closed connections",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "close.answer_changed",
        "an answer's bytes are changed on the way",
        "The answer came whole, and bytes of it differ from what the server sent.",
        Location.INTERMEDIARY,
        (
            "broken hardware or checksum offload changes bytes",
            "a proxy or tunnel changes what it carries",
        ),
        ("run the check size, which tells where and how much", _DIRECT),
        severity=Severity.DATA,
    ),
    Failure(
        "close.fin_changed",
        "a proper end does not arrive as one",
        "One end ended its sending properly; the other saw a reset instead, or nothing.",
        Location.INTERMEDIARY,
        (
            "a proxy on the way does not pass on an end of sending",
            "a firewall drops the packets that end a connection (FIN)",
            "a proxy or firewall ends connections by resets, to be rid of them sooner",
        ),
        (
            _DIRECT,
            "let packets with FIN pass in the firewalls on the way",
            "do not wait for an end of stream without a time limit",
        ),
    ),
    Failure(
        "close.reset_hidden",
        "a reset arrives as a proper end",
        "One end cut the connection; for the other it ended as if all had been said: "
        "half a transfer then looks like a whole one.",
        Location.INTERMEDIARY,
        ("a proxy on the way closes properly, whatever way its other side has ended",),
        (
            "tell the end of a message by its length or a mark, never by the end of stream",
            _DIRECT,
        ),
    ),
    Failure(
        "close.reset_lost",
        "a reset does not arrive",
        "The server cut the connection, and this end was never told.",
        Location.INTERMEDIARY,
        (
            "a firewall drops resets, or all that belongs to no connection it knows",
            "a proxy on the way keeps its side open",
        ),
        (
            "let resets pass in the firewalls on the way",
            "do not wait for an answer without a time limit",
        ),
    ),
    Failure(
        "close.reset_forged",
        "something in between resets connections",
        "Each end was told that the other had reset the connection, and neither had.",
        Location.INTERMEDIARY,
        (
            "a firewall or intrusion prevention system cuts connections it does not like",
            "a proxy resets both its sides as soon as one has ended its sending",
        ),
        ("look at the logs of firewalls and proxies on the way", _DIRECT),
    ),
    Failure(
        "close.interrupted",
        "connections could not be ended as they were to be",
        "The server itself ended or refused them: that says nothing about the network.",
        Location.SERVER,
        (
            "the server was stopped or restarted meanwhile",
            "the server is at its limit of connections",
        ),
        ("run the check again while the server stays up",),
    ),
)
