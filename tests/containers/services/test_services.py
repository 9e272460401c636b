"""Each protocol's conversation with the real server, from greeting to farewell."""

from __future__ import annotations

import pytest

from netduet.client.protocols import PROTOCOLS
from netduet.client.protocols.base import Recognition, Refusal
from tests.containers.services import catalogue
from tests.containers.services.catalogue import Service
from tests.containers.services.conftest import RunningService, StartService
from tests.containers.services.dialogue import Dialogue

WITHOUT_SERVER = {"kafka", "mongodb", "plain"}
"""No server of them is in Debian; the plain greeting has tests with netduet's own."""


def dialogue(running: RunningService, name: str = "") -> Dialogue:
    """Connect to a service; the certificates are those of ``service``."""
    name = name or running.service.protocol
    return Dialogue(name, running.host, running.port, server_name="service")


def meet(running: RunningService) -> Recognition:
    """Return what a service is recognised as."""
    with dialogue(running).meet() as met:
        assert met.conversation.recognition is not None
        return met.conversation.recognition


SERVING = [
    (catalogue.NGINX, "nginx ", "HTTP/1.1 200 OK", True),
    (catalogue.NGINX_HTTP2, "nginx ", "HTTP/2 200", True),
    (catalogue.NGINX_TLS, "nginx ", "ALPN http/1.1", True),
    (catalogue.NGINX_TLS_HTTP2, "nginx ", "ALPN h2", True),
    (catalogue.ETCD, "", "health: SERVING", True),
    (catalogue.REDIS, "", "", True),
    (catalogue.REDIS_PASSWORD, "", "requires a password", True),
    (catalogue.MEMCACHED, "memcached 1.", "", True),
    (catalogue.POSTGRES, "", "requires a login (SCRAM)", False),
    (catalogue.POSTGRES_TLS, "", "offers TLS: TLSv1.3", False),
    (catalogue.MARIADB, "MariaDB 1", "", False),
    (catalogue.OPENSSH, "OpenSSH ", "", False),
    (catalogue.POSTFIX, "Postfix", "", True),
    (catalogue.VSFTPD, "vsFTPd 3.", "", True),
    (catalogue.DOVECOT_IMAP, "Dovecot", "", True),
    (catalogue.DOVECOT_POP3, "Dovecot", "", True),
    (catalogue.MOSQUITTO, "", "requires no login", True),
    (catalogue.MOSQUITTO_LOGIN, "", "requires a login", False),
    (catalogue.NATS, "NATS 2.", "", True),
    (catalogue.NATS_LOGIN, "NATS 2.", "requires a login", False),
    (catalogue.RABBITMQ, "RabbitMQ ", "", False),
    (catalogue.DNSMASQ, "", "recursive", True),
    (catalogue.DNSMASQ_TCP, "", "recursive", True),
    (catalogue.CHRONY, "", "stratum 10", False),
    (catalogue.CHRONY_UNSYNCHRONISED, "", "not synchronised", False),
]


@pytest.mark.parametrize(
    ("service", "product", "note", "has_question"),
    SERVING,
    ids=[service.name for service, *_ in SERVING],
)
def test_real_server_is_recognised_and_asked(
    start_service: StartService,
    service: Service,
    product: str,
    note: str,
    *,
    has_question: bool,
) -> None:
    """Greeting, three questions on the same connection, farewell."""
    with dialogue(start_service(service)).meet() as met:
        recognition = met.conversation.recognition
        assert recognition is not None
        assert recognition.protocol == service.protocol
        assert recognition.refusal is None
        assert recognition.product.startswith(product)
        assert bool(recognition.product) == bool(product)
        assert not note or note in recognition.notes
        for size in (0, 1000, 100_000):
            assert met.ask(size) == has_question
        if service.transport == "tcp":
            met.end()


def test_certificate_of_a_real_server_is_reported(start_service: StartService) -> None:
    """Self-signed, for the name that was asked for."""
    certificate = meet(start_service(catalogue.NGINX_TLS)).certificate
    assert certificate is not None
    assert certificate.names == ("service", "localhost")
    assert (certificate.self_signed, certificate.problem) == (True, "untrusted")


REFUSING = [
    (catalogue.NGINX_BAD_GATEWAY, Refusal.NOT_READY, "502 Bad Gateway"),
    (catalogue.HAPROXY_NO_BACKEND, Refusal.NOT_READY, "503 Service Unavailable"),
    (catalogue.REDIS_PROTECTED, Refusal.DENIED, "protected mode"),
    (catalogue.REDIS_NO_MASTER, Refusal.NOT_READY, "MASTERDOWN"),
    (catalogue.MARIADB_LOCAL_ONLY, Refusal.DENIED, "error 1130"),
]


@pytest.mark.parametrize(
    ("service", "refusal", "reason"),
    REFUSING,
    ids=[service.name for service, *_ in REFUSING],
)
def test_real_server_that_refuses(
    start_service: StartService, service: Service, refusal: Refusal, reason: str
) -> None:
    """The reason is the server's own text."""
    recognition = meet(start_service(service))
    assert recognition.refusal is refusal
    assert reason in recognition.reason


FULL = [
    (catalogue.REDIS_FULL, "max number of clients"),
    (catalogue.POSTGRES_FULL, "53300"),
    (catalogue.OPENSSH_FULL, "Not allowed at this time"),
]


@pytest.mark.parametrize(
    ("service", "reason"), FULL, ids=[service.name for service, *_ in FULL]
)
def test_real_server_that_is_full(
    start_service: StartService, service: Service, reason: str
) -> None:
    """The first connection has taken the only place."""
    running = start_service(service)
    with dialogue(running).meet() as first:
        assert first.conversation.recognition is not None
        assert first.conversation.recognition.refusal is None
        second = meet(running)
        assert second.refusal is Refusal.BUSY
        assert reason in second.reason


WRONG = [
    (catalogue.NGINX, "redis"),
    (catalogue.NGINX, "https"),
    (catalogue.NGINX_TLS, "http"),
    (catalogue.REDIS, "memcached"),
    (catalogue.OPENSSH, "http"),
    (catalogue.VSFTPD, "smtp"),
    (catalogue.POSTFIX, "ftp"),
    (catalogue.RABBITMQ, "redis"),
    (catalogue.MARIADB, "ssh"),
    (catalogue.NATS, "http"),
]


@pytest.mark.parametrize(
    ("service", "expected"), WRONG, ids=[f"{s.name}-as-{name}" for s, name in WRONG]
)
def test_other_real_server_is_foreign(
    start_service: StartService, service: Service, expected: str
) -> None:
    """A conversation takes no other service for its own."""
    with dialogue(start_service(service), expected).meet() as met:
        assert met.conversation.is_foreign
        assert met.conversation.recognition is None


def test_every_protocol_has_a_real_server() -> None:
    """Except those that are named."""
    tested = {service.protocol for service, *_ in SERVING}
    # TLS is that of HTTPS: nginx chooses HTTP in it.
    assert tested | WITHOUT_SERVER | {"tls"} == {
        protocol.name for protocol in PROTOCOLS
    }
