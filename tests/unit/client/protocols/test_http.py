"""HTTP/1.1: statuses, kept connections, padding, and servers that expect TLS."""

from __future__ import annotations

import pytest

from netduet.client.protocols.base import Refusal
from netduet.client.protocols.http import MAX_REQUEST_BYTES, PROTOCOL
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import converse, is_foreign, recognition_of

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def test_request_names_the_host_and_keeps_the_connection() -> None:
    """The request is one that every server takes."""
    request = PROTOCOL.converse("web.example").start()
    assert request.startswith(b"GET / HTTP/1.1\r\nHost: web.example\r\n")
    assert b"User-Agent: netduet\r\n" in request
    assert b"Connection: keep-alive\r\n" in request


def test_ipv6_address_is_bracketed_in_host() -> None:
    """RFC 9110 §7.2 takes the host as in a URL."""
    assert b"Host: [2001:db8::1]\r\n" in PROTOCOL.converse("2001:db8::1").start()


def test_answer_of_nginx_names_product_and_status() -> None:
    """The product comes from the field Server."""
    recognition = recognition_of("http", answers.NGINX)
    assert recognition.product == "nginx 1.22.1"
    assert recognition.notes == ("HTTP/1.1 200 OK",)
    assert recognition.refusal is None


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Maintenance", "504 Late"])
def test_gateway_statuses_mean_not_ready(status: str) -> None:
    """The proxy answers, but what is behind it does not serve."""
    data = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    recognition = recognition_of("http", data)
    assert recognition.refusal is Refusal.NOT_READY
    assert recognition.reason == f"HTTP/1.1 {status}"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "500 Oops"])
def test_other_statuses_are_answers(status: str) -> None:
    """An answer to a request without a login proves that the service works."""
    data = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    recognition = recognition_of("http", data)
    assert recognition.refusal is None
    assert recognition.notes == (f"HTTP/1.1 {status}",)


def test_questions_are_answered_on_the_kept_connection() -> None:
    """Each complete answer counts, and no other."""
    conversation = converse("http", answers.NGINX)
    assert conversation.answers == 0
    for count in (1, 2):
        assert conversation.ask().startswith(b"GET / ")
        conversation.receive(answers.NGINX[:-3])
        assert conversation.answers == count - 1
        conversation.receive(answers.NGINX[-3:])
        assert conversation.answers == count


def test_question_is_not_asked_while_another_is_open() -> None:
    """Servers need not support pipelining."""
    conversation = converse("http", answers.NGINX)
    assert conversation.ask()
    assert conversation.ask() == b""


@pytest.mark.parametrize("size", [94, 100, 1500, 7000, MAX_REQUEST_BYTES])
def test_question_is_as_large_as_asked_for(size: int) -> None:
    """A header pads the request."""
    conversation = converse("http", answers.NGINX)
    assert size <= len(conversation.ask(size)) <= max(size, 120)


def test_question_stays_within_what_servers_take() -> None:
    """More than 8 KiB would be answered with 431, or not at all."""
    conversation = converse("http", answers.NGINX)
    assert len(conversation.ask(1_000_000)) == MAX_REQUEST_BYTES


def test_no_question_follows_a_connection_that_is_not_kept() -> None:
    """An HTTP/1.0 server ends the connection."""
    data = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert converse("http", data).ask() == b""


def test_interim_responses_are_skipped() -> None:
    """103 is no answer."""
    data = b"HTTP/1.1 103 Early Hints\r\n\r\n" + NO_CONTENT
    assert recognition_of("http", data).notes == ("HTTP/1.1 204 No Content",)


@pytest.mark.parametrize("answer", [answers.NGINX_HTTPS_PORT, answers.GO_HTTPS_PORT])
def test_server_that_expects_tls_is_foreign(answer: bytes) -> None:
    """It answers in HTTP, but serves none without TLS."""
    assert is_foreign("http", answer)


def test_page_without_status_line_is_http() -> None:
    """HTTP/0.9, as small devices speak it."""
    assert recognition_of("http", b"<html><body>").notes == ("no status line",)


def test_malformed_header_is_still_http() -> None:
    """A status line says enough."""
    data = b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"
    assert converse("http", data).recognition is not None


def test_large_content_is_dropped() -> None:
    """A page of any size is read to its end."""
    size = 3_000_000
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    conversation = converse("http", head, *[b"x" * 100_000] * (size // 100_000))
    assert conversation.ask()
