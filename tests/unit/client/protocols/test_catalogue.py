"""All protocols: any bytes, any pieces; declarations; each answer read by one alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netduet.client.protocols import (
    PROTOCOLS,
    find_protocol,
    protocols_of_port,
    recognise,
)
from netduet.client.protocols.base import MAX_ANSWER_BYTES, Protocol, Recognition
from netduet.client.protocols.schemes import SCHEMES
from tests.unit.client.protocols import answers

BY_PROTOCOL: dict[str, tuple[bytes, ...]] = {
    "http": (answers.NGINX, answers.NGINX_BAD_GATEWAY),
    "http2": (answers.NGINX_HTTP2, answers.NGINX_HTTP2_TO_HTTP1, answers.ETCD_GRPC),
    "tls": (
        answers.TLS_ALERT,
        answers.TLS_SERVER_HELLO,
        answers.NGINX_HTTPS_PORT,
        answers.GO_HTTPS_PORT,
    ),
    "ssh": (answers.OPENSSH,),
    "smtp": (answers.POSTFIX,),
    "redis": (
        answers.REDIS,
        answers.REDIS_PASSWORD,
        answers.REDIS_FULL,
        answers.REDIS_NO_MASTER,
        answers.REDIS_UNKNOWN_COMMAND,
    ),
    "postgres": (
        answers.POSTGRES_LOGIN,
        answers.POSTGRES_TRUST,
        answers.POSTGRES_NO_ROLE,
        answers.POSTGRES_FULL,
        answers.POSTGRES_STOPPING,
    ),
    "mysql": (answers.MARIADB, answers.MARIADB_DENIED),
    "dns": (answers.DNSMASQ,),
    "dns-tcp": (len(answers.DNSMASQ).to_bytes(2) + answers.DNSMASQ,),
    "plain": (answers.PLAIN,),
    "ftp": (answers.VSFTPD, answers.VSFTPD_FULL),
    "imap": (answers.DOVECOT_IMAP,),
    "pop3": (answers.DOVECOT_POP3,),
    "nats": (answers.NATS, answers.NATS_LOGIN),
    "mqtt": (answers.MOSQUITTO, answers.MOSQUITTO_LOGIN),
    "memcached": (answers.MEMCACHED, answers.MEMCACHED_ERROR),
    "amqp": (answers.RABBITMQ, answers.RABBITMQ_HEADER),
    "ntp": (answers.CHRONY,),
    "kafka": (answers.KAFKA,),
    "mongodb": (answers.MONGODB, answers.MONGODB_TO_HTTP),
}
"""What each protocol shall recognise, from its own service."""

ALL_ANSWERS = tuple(answer for group in BY_PROTOCOL.values() for answer in group)

any_bytes = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda answer, cut, rest: answer[:cut] + rest,
        st.sampled_from(ALL_ANSWERS),
        st.integers(0, 200),
        st.binary(max_size=60),
    ),
    st.builds(
        lambda answer, place, byte: (
            answer[:place] + bytes([byte]) + answer[place + 1 :]
        ),
        st.sampled_from(ALL_ANSWERS),
        st.integers(0, 200),
        st.integers(0, 255),
    ),
)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
@settings(max_examples=150, deadline=None)
@given(chunks=st.lists(any_bytes, max_size=6), size=st.integers(0, 70_000))
def test_any_bytes_in_any_pieces_never_raise(
    protocol: Protocol, chunks: list[bytes], size: int
) -> None:
    """A conversation survives whatever comes, also after it was foreign."""
    conversation = protocol.converse("localhost")
    assert isinstance(conversation.start(), bytes)
    asked = 0
    for chunk in chunks:
        assert isinstance(conversation.receive(chunk), bytes)
        asked += bool(conversation.ask(size))
        assert conversation.answers <= asked
        if conversation.recognition is not None:
            assert conversation.recognition.protocol == protocol.name
    assert isinstance(conversation.end(), bytes)


@settings(max_examples=600, deadline=None)
@given(data=any_bytes)
@example(b"")
def test_recognise_takes_any_bytes(data: bytes) -> None:
    """It answers with a recognition of a declared protocol, or with nothing."""
    found = recognise(data)
    assert found is None or find_protocol(found.protocol) is not None
    for protocol in PROTOCOLS:
        recognition = protocol.recognise(data)
        assert recognition is None or isinstance(recognition, Recognition)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
@pytest.mark.parametrize("byte", [b"\n", b"\0", b"A", b"\xff", b"2", b"-", b"\x16\x03"])
def test_endless_answer_is_bounded(protocol: Protocol, byte: bytes) -> None:
    """What a conversation keeps of an answer without an end has a limit."""
    conversation = protocol.converse("localhost")
    conversation.start()
    for _ in range(40):
        conversation.receive(byte * 8192)
    kept = getattr(conversation, "_received", b"")
    assert len(kept) <= MAX_ANSWER_BYTES


@pytest.mark.parametrize(
    ("name", "answer"),
    [(name, answer) for name, group in BY_PROTOCOL.items() for answer in group],
)
def test_answer_is_recognised_as_its_protocol_alone(name: str, answer: bytes) -> None:
    """No signature shadows another."""
    found = recognise(answer)
    assert found is not None
    assert found.protocol == name
    claims = {
        recognition.protocol
        for protocol in PROTOCOLS
        if (recognition := protocol.recognise(answer)) is not None
    }
    assert claims == {name}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
@pytest.mark.parametrize(
    ("name", "answer"),
    [(name, answer) for name, group in BY_PROTOCOL.items() for answer in group],
)
def test_answer_of_another_service_is_foreign(
    protocol: Protocol, name: str, answer: bytes
) -> None:
    """A conversation recognises its own service, and takes no other for it."""
    may_be = {
        ("https", "tls"),
        ("grpc", "http2"),
        # Lines of text may come before SSH's identification.
        ("ssh", "plain"),
        ("ssh", "memcached"),
        # Both greet alike; the answer to the next command decides.
        ("ftp", "smtp"),
        ("smtp", "ftp"),
    }
    if protocol.name == name or (protocol.name, name) in may_be:
        return
    conversation = protocol.converse("localhost")
    conversation.start()
    conversation.receive(answer)
    assert conversation.recognition is None
    if len(answer) > len(answers.MOSQUITTO):  # the size of any binary message
        assert conversation.is_foreign


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"220 hello\r\n",
        b"hello",
        b"+OK\r\n",
        b"-ERR\r\n",
        b"N",
        b"S",
        bytes(64),
        b"\xff" * 64,
        b"{}",
    ],
)
def test_bytes_of_no_protocol_are_not_recognised(data: bytes) -> None:
    """Weak evidence is none."""
    assert recognise(data) is None


def test_names_and_aliases_are_unique() -> None:
    """A name finds one protocol."""
    names = [
        name for protocol in PROTOCOLS for name in (protocol.name, *protocol.aliases)
    ]
    assert len(names) == len(set(names))
    for protocol in PROTOCOLS:
        assert all(find_protocol(name) for name in names)
        assert find_protocol(protocol.name) is protocol


@pytest.mark.parametrize(
    ("port", "names"),
    [
        (22, ["ssh"]),
        (25, ["smtp"]),
        (53, ["dns-tcp"]),
        (80, ["http", "http2"]),
        (443, ["https"]),
        (3306, ["mysql"]),
        (5432, ["postgres"]),
        (6379, ["redis"]),
        (9092, ["kafka"]),
        (27017, ["mongodb"]),
        (12345, ["plain"]),
        (1, []),
    ],
)
def test_ports_name_their_protocols(port: int, names: list[str]) -> None:
    """The port suggests which protocol to try."""
    assert [protocol.name for protocol in protocols_of_port(port)] == names


def test_dns_is_asked_over_udp() -> None:
    """The protocols of a port differ between UDP and TCP."""
    [protocol] = protocols_of_port(53, datagrams=True)
    assert protocol.name == "dns"


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_who_speaks_first_is_declared(protocol: Protocol) -> None:
    """A service that speaks first is sent nothing before; any other is."""
    assert protocol.server_first == (protocol.converse("localhost").start() == b"")


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_limits_are_plausible(protocol: Protocol) -> None:
    """At least one connection may be made, and a limit of time has the setting's name."""
    assert 1 <= protocol.max_open <= protocol.max_connections
    assert bool(protocol.login_setting) == (protocol.login_timeout is not None)


def test_scheme_of_each_alias_has_its_own_port() -> None:
    """``amqps://host`` is TLS, but not on the port of another protocol in TLS."""
    ports = {word: scheme.port for word, scheme in SCHEMES.items()}
    assert (ports["amqps"], ports["rediss"], ports["tls"]) == (5671, 6379, 443)
    assert (ports["postgresql"], ports["h2c"], ports["https"]) == (5432, 80, 443)
