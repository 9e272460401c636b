"""The protocols that netduet recognises: one module and one declaration each."""

from __future__ import annotations

from typing import Final

from netduet.client.protocols import (
    amqp,
    dns,
    ftp,
    grpc,
    http,
    http2,
    https,
    imap,
    kafka,
    memcached,
    mongodb,
    mqtt,
    mysql,
    nats,
    ntp,
    plain,
    pop3,
    postgres,
    redis,
    smtp,
    ssh,
    tls,
)
from netduet.client.protocols.base import Protocol, Recognition

PROTOCOLS: Final[tuple[Protocol, ...]] = (
    # Signatures that no other protocol shares.
    plain.PROTOCOL,
    ssh.PROTOCOL,
    redis.PROTOCOL,
    nats.PROTOCOL,
    amqp.PROTOCOL,
    memcached.PROTOCOL,
    imap.PROTOCOL,
    pop3.PROTOCOL,
    mysql.PROTOCOL,
    postgres.PROTOCOL,
    # Both greet with 220; 421 of users is FTP.
    ftp.PROTOCOL,
    smtp.PROTOCOL,
    # Answers of HTTP that mean another protocol come before HTTP.
    mongodb.PROTOCOL,
    https.PROTOCOL,
    tls.PROTOCOL,
    http.PROTOCOL,
    http2.PROTOCOL,
    grpc.PROTOCOL,
    # Binary headers: each repeats what our question had.
    kafka.PROTOCOL,
    ntp.PROTOCOL,
    mqtt.PROTOCOL,
    dns.TCP_PROTOCOL,
    dns.PROTOCOL,
)
"""In the order in which they read unknown bytes: the most specific first."""


def find_protocol(name: str) -> Protocol | None:
    """Return the protocol of a name or alias, None if there is none."""
    return next(
        (
            protocol
            for protocol in PROTOCOLS
            if name == protocol.name or name in protocol.aliases
        ),
        None,
    )


def protocols_of_port(port: int, *, datagrams: bool = False) -> tuple[Protocol, ...]:
    """Return the protocols whose services usually listen on a port."""
    return tuple(
        protocol
        for protocol in PROTOCOLS
        if port in protocol.ports and protocol.datagrams == datagrams
    )


def recognise(data: bytes) -> Recognition | None:
    """Return what the first bytes of a service say, None if no protocol knows them."""
    for protocol in PROTOCOLS:
        recognition = protocol.recognise(data)
        if recognition is not None:
            return recognition
    return None
