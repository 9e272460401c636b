"""NATS, MQTT, AMQP and Kafka: greetings, refusals, logins, questions."""

from __future__ import annotations

import pytest

from netduet.client.protocols.base import Refusal
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import (
    begin,
    converse,
    is_foreign,
    recognition_of,
)

PONG = b"PONG\r\n"


def test_nats_is_recognised_when_it_answers_ping() -> None:
    """INFO comes also from a server that then refuses."""
    conversation = begin("nats")
    assert conversation.receive(answers.NATS) == b"PING\r\n"
    assert conversation.recognition is None
    conversation.receive(PONG)
    assert conversation.recognition is not None
    assert conversation.recognition.product == "NATS 2.9.10"
    assert conversation.recognition.notes == ()


@pytest.mark.parametrize("info", [answers.NATS, answers.NATS_LOGIN])
def test_full_nats_server_is_busy(info: bytes) -> None:
    """The error follows INFO."""
    recognition = converse("nats", info + answers.NATS_FULL).recognition
    assert recognition is not None
    assert recognition.refusal is Refusal.BUSY
    assert recognition.reason == "maximum connections exceeded"


def test_nats_server_with_logins_is_asked_nothing() -> None:
    """PING would be an authorization violation, which it logs."""
    conversation = begin("nats")
    assert conversation.receive(answers.NATS_LOGIN) == b""
    assert conversation.recognition is not None
    assert conversation.recognition.notes == ("requires a login",)
    assert conversation.ask() == b""


def test_nats_server_that_leaves_is_not_ready() -> None:
    """Lame duck mode: clients are to go elsewhere."""
    data = b'INFO {"server_id":"A","version":"2.9.10","ldm":true}\r\n'
    assert recognition_of("nats", data).refusal is Refusal.NOT_READY


def test_nats_pings_are_answered_both_ways() -> None:
    """The server disconnects a client that does not answer."""
    conversation = converse("nats", answers.NATS, PONG)
    assert conversation.receive(b"PING\r\n") == PONG
    assert conversation.ask(100) == b"PING\r\n"
    conversation.receive(PONG)
    assert conversation.answers == 1


@pytest.mark.parametrize(
    ("code", "notes"),
    [
        (0, ("requires no login",)),
        (1, ("does not accept MQTT 3.1.1",)),
        (2, ("requires a client id",)),
        (4, ("requires a login",)),
        (5, ("requires a login",)),
    ],
)
def test_mqtt_codes_are_notes(code: int, notes: tuple[str, ...]) -> None:
    """The broker serves, if not without a name."""
    recognition = recognition_of("mqtt", bytes([0x20, 2, 0, code]))
    assert (recognition.notes, recognition.refusal) == (notes, None)


def test_mqtt_server_that_is_unavailable_is_not_ready() -> None:
    """Code 3."""
    recognition = recognition_of("mqtt", b"\x20\2\0\3")
    assert recognition.refusal is Refusal.NOT_READY


def test_mqtt_question_is_a_ping() -> None:
    """Only after the connection was accepted."""
    conversation = converse("mqtt", answers.MOSQUITTO)
    assert conversation.ask(100) == b"\xc0\0"
    conversation.receive(b"\xd0")
    assert conversation.answers == 0
    conversation.receive(b"\0")
    assert conversation.answers == 1
    assert conversation.end() == b"\xe0\0"
    rejected = converse("mqtt", answers.MOSQUITTO_LOGIN)
    assert (rejected.ask(), rejected.end()) == (b"", b"")


@pytest.mark.parametrize("data", [b"\x20\2\1\0", b"\x20\2\0\6", b"\x20\3\0\0\0", b"H"])
def test_other_packets_are_foreign_to_mqtt(data: bytes) -> None:
    """A session that cannot be, an unknown code, MQTT 5."""
    assert is_foreign("mqtt", data)


def test_amqp_start_names_product_and_version() -> None:
    """They are in the server's properties."""
    recognition = recognition_of("amqp", answers.RABBITMQ)
    assert recognition.product == "RabbitMQ 3.10.8"
    assert recognition.notes == ()


@pytest.mark.parametrize("header", [b"AMQP\0\1\0\0", b"AMQP\3\1\0\0"])
def test_broker_of_amqp_1_0_answers_with_its_header(header: bytes) -> None:
    """And ends the connection (AMQP 1.0 §2.2)."""
    assert recognition_of("amqp", header).notes == ("speaks AMQP 1.0",)


def test_amqp_start_without_its_end_is_foreign() -> None:
    """The last byte of a frame is ce."""
    assert is_foreign("amqp", answers.RABBITMQ[:-1] + b"\0")


def test_kafka_is_recognised_by_our_correlation() -> None:
    """Nothing else in the answer is its own."""
    assert recognition_of("kafka", answers.KAFKA).notes == ("2 APIs",)
    assert is_foreign("kafka", answers.KAFKA.replace(b"ndue", b"nope"))


def test_kafka_question_has_the_next_number() -> None:
    """A repeated answer does not count."""
    conversation = converse("kafka", answers.KAFKA)
    assert b"nduf" in conversation.ask()
    conversation.receive(answers.KAFKA)
    assert conversation.answers == 0
    conversation.receive(answers.KAFKA.replace(b"ndue", b"nduf"))
    assert conversation.answers == 1


def test_kafka_error_is_a_note() -> None:
    """35: the version is not supported; a broker it is."""
    data = b"\0\0\0\x0andue\0\x23\0\0\0\0"
    assert recognition_of("kafka", data).notes == ("ApiVersions: error 35",)
