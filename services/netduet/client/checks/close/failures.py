"""The failures that the check ``close`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.needs import Need

_DIRECT: Final = (
    "connect directly to the server's address, bypassing any proxy or load balancer"
)

# Facts: nginx.org ngx_stream_proxy_module (proxy_half_close off, since 1.21.4),
# socat(1) (-t: 0.5 s until the other direction is closed too), HAProxy's configuration
# manual (timeout client-fin, server-fin), Linux ip_vs (TCP CLOSE_WAIT: 60 s).
_HALF_CLOSE: Final = (
    "clients that shut down their sending side and wait will lose the answer here (nc "
    "-N, rsh): nginx stream proxy_half_close off, socat -t 0.5"
)
_RESET: Final = (
    "an abort at one end looks like a normal end at the other, so half a transfer can "
    "pass for a whole one where only the end of the stream marks its end: most TCP "
    "proxies do that (docker-proxy, HAProxy, nginx stream, socat)"
)

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "close.half_close",
        "data is lost after a half-close",
        (
            "One end closed its sending side, and data that the other end sent "
            "afterwards was lost."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a proxy on the path closes both directions as soon as one has ended "
                "(nginx stream), or soon after (socat: 0.5 s)"
            ),
            "a NAT or load balancer forgets half-closed connections early: IPVS after 60 s",
        ),
        (
            _DIRECT,
            (
                "configure the proxy to support half-closed connections (nginx: "
                "proxy_half_close on; socat: a larger -t)"
            ),
            "have the application signal the end of its data in its own protocol rather than with a FIN",
        ),
        need=Need.HALF_CLOSE,
        consequence=_HALF_CLOSE,
        by_proxy=True,
    ),
    Failure(
        "close.answer_cut",
        "responses are truncated when a connection closes",
        (
            "The server sent its whole response and closed normally, but only part of "
            "it arrived."
        ),
        Location.INTERMEDIARY,
        (
            "a proxy closes one side before it has forwarded everything that it read",
            "a proxy closes a socket with bytes unread, which resets the connection",
        ),
        (
            _DIRECT,
            "update the proxy, or check its timeouts for half-closed connections",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "close.answer_changed",
        "responses are altered in transit",
        (
            "The response arrived completely, but its bytes differ from those that "
            "the server sent."
        ),
        Location.INTERMEDIARY,
        (
            "broken hardware or checksum offload changes bytes",
            "a proxy or tunnel alters what it carries",
        ),
        ("run the size check, which shows where and how much", _DIRECT),
        severity=Severity.DATA,
    ),
    Failure(
        "close.fin_changed",
        "a normal close does not arrive as one",
        (
            "One end closed its sending side normally (FIN); the other saw a reset "
            "instead, or nothing."
        ),
        Location.INTERMEDIARY,
        (
            "a proxy on the path does not forward a FIN",
            "a firewall drops the packets that end a connection (FIN)",
            "a proxy or firewall ends connections by resets, to free them sooner",
        ),
        (
            _DIRECT,
            "let packets with FIN pass through the firewalls on the path",
            "do not wait for the end of a stream without a time limit",
        ),
    ),
    Failure(
        "close.reset_hidden",
        "a reset arrives as a normal close",
        (
            "One end reset the connection, but the other saw a normal close: half a "
            "transfer then looks like a complete one."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a proxy on the path closes normally, however its other side ended, as "
                "docker-proxy, nginx stream and socat do, and HAProxy to the client"
            ),
        ),
        (
            (
                "detect the end of a message by its length or a marker, never by the "
                "end of the stream"
            ),
            _DIRECT,
        ),
        need=Need.RESET,
        consequence=_RESET,
        by_proxy=True,
    ),
    Failure(
        "close.reset_lost",
        "a reset does not arrive",
        "The server reset the connection, but the reset never reached this end.",
        Location.INTERMEDIARY,
        (
            (
                "a firewall drops resets, or all packets that belong to connections "
                "it does not know"
            ),
            "a proxy on the path keeps its side open",
        ),
        (
            "let resets pass through the firewalls on the path",
            "do not wait for a response without a time limit",
        ),
    ),
    Failure(
        "close.reset_forged",
        "something in between resets connections",
        (
            "Each end received a reset that seemed to come from the other, but "
            "neither had sent one."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a firewall or intrusion prevention system resets connections that it "
                "rejects"
            ),
            "a proxy resets both its sides as soon as one of them has sent a FIN",
        ),
        ("check the logs of firewalls and proxies on the path", _DIRECT),
    ),
    Failure(
        "close.interrupted",
        "connections could not be closed as planned",
        (
            "The server itself ended or refused them, which says nothing about the "
            "network."
        ),
        Location.SERVER,
        (
            "the server was stopped or restarted during the check",
            "the server has reached its connection limit",
        ),
        ("run the check again while the server stays up",),
    ),
)
