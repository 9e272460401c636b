"""TLS: handshake, certificate and verdict, alerts, and HTTP inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from netduet.client.protocols import find_protocol, tls_session
from netduet.client.protocols.base import (
    Certificate,
    Conversation,
    Recognition,
    Refusal,
)
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import converse, is_foreign
from tests.unit.client.protocols.tls_server import DAY, NOW, Issued, TlsServer, issue

AUTHORITY = issue("Test CA", is_authority=True)
GOOD = issue("web", "web.example", "*.web.example", "192.0.2.7", issuer=AUTHORITY)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this host trust the authority, and no other."""
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    tls_session._context.cache_clear()
    monkeypatch.setattr(tls_session, "_context", tls_session._context.__wrapped__)


def exchange(conversation: Conversation, server: TlsServer, sent: bytes) -> None:
    """Pass bytes between both until neither has more to say."""
    for _ in range(20):
        received = server.receive(sent)
        if not received:
            return
        sent = conversation.receive(received)
    raise AssertionError("no end")


def meet(
    server: TlsServer, host: str = "web.example", name: str = "tls"
) -> Conversation:
    """Start a conversation with a server and go on until both wait."""
    protocol = find_protocol(name)
    assert protocol is not None
    conversation = protocol.converse(host)
    exchange(conversation, server, conversation.start())
    return conversation


def certificate_of(issued: Issued, host: str = "web.example") -> Certificate:
    """Return the certificate as a conversation reports it."""
    recognition = meet(TlsServer(issued), host).recognition
    assert recognition is not None
    assert recognition.certificate is not None
    return recognition.certificate


@pytest.mark.usefixtures("trusted")
def test_handshake_shows_version_cipher_and_certificate() -> None:
    """What a person would look up with openssl s_client."""
    recognition = meet(TlsServer(GOOD)).recognition
    assert recognition == Recognition(
        "tls",
        notes=("TLSv1.3, TLS_AES_256_GCM_SHA384", "ALPN none"),
        certificate=Certificate(
            subject="CN=web",
            issuer="CN=Test CA",
            names=("web.example", "*.web.example", "192.0.2.7"),
            not_before=NOW - DAY,
            not_after=NOW + DAY,
            self_signed=False,
            fingerprint=GOOD.certificate.fingerprint(SHA256()).hex(),
        ),
    )


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("web.example", ""),
        ("WEB.example.", ""),
        ("a.web.example", ""),
        ("192.0.2.7", ""),
        ("a.b.web.example", "name"),
        ("example", "name"),
        ("192.0.2.8", "name"),
        ("2001:db8::1", "name"),
    ],
)
@pytest.mark.usefixtures("trusted")
def test_name_of_the_target_is_verified(host: str, problem: str) -> None:
    """A wildcard stands for one label (RFC 9525 §6.3)."""
    certificate = certificate_of(GOOD, host)
    assert certificate.problem == problem
    assert certificate.detail == (
        f"not valid for {host.rstrip('.')}" if problem else ""
    )


@pytest.mark.parametrize(
    ("not_before", "not_after", "problem"),
    [
        (NOW - 2 * DAY, NOW - DAY, "expired"),
        (NOW + DAY, NOW + 2 * DAY, "not yet valid"),
    ],
)
@pytest.mark.usefixtures("trusted")
def test_dates_are_verified(
    not_before: object, not_after: object, problem: str
) -> None:
    """Everything else about the certificate is right."""
    dates = {"not_before": not_before, "not_after": not_after}
    late = issue("web", "web.example", issuer=AUTHORITY, **dates)  # type: ignore[arg-type]
    assert certificate_of(late).problem == problem


@pytest.mark.usefixtures("trusted")
def test_unknown_authority_is_untrusted() -> None:
    """And the reason is in words."""
    other = issue("Other CA", is_authority=True)
    certificate = certificate_of(issue("web", "web.example", issuer=other))
    assert certificate.problem == "untrusted"
    assert "issuer" in certificate.detail
    assert not certificate.self_signed


@pytest.mark.usefixtures("trusted")
def test_self_signed_certificate_is_untrusted() -> None:
    """As the development server of a framework has it."""
    certificate = certificate_of(issue("web", "web.example"))
    assert (certificate.problem, certificate.self_signed) == ("untrusted", True)


@pytest.mark.usefixtures("trusted")
def test_several_problems_are_all_in_the_detail() -> None:
    """The problem is one that does not depend on the authorities of this host."""
    old = issue("web", "old.example", not_after=NOW - DAY / 2)
    certificate = certificate_of(old)
    assert certificate.problem == "expired"
    assert "self-signed" in certificate.detail
    assert "not valid for web.example" in certificate.detail


@pytest.mark.usefixtures("trusted")
def test_certificate_without_alternative_names_has_its_common_name() -> None:
    """As OpenSSL takes it."""
    assert certificate_of(issue("web.example", issuer=AUTHORITY)).problem == ""


def nginx(_: bytes) -> bytes:
    """Answer each request."""
    return answers.NGINX


@pytest.mark.parametrize(
    ("name", "alpn"), [("tls", b"http/1.1"), ("https", b"http/1.1"), ("https", b"")]
)
def test_http_inside_is_read_and_asked(name: str, alpn: bytes) -> None:
    """The same connection carries more requests."""
    server = TlsServer(GOOD, nginx, alpn)
    conversation = meet(server, name=name)
    assert conversation.recognition is not None
    assert conversation.recognition.protocol == name
    assert conversation.recognition.product == "nginx 1.22.1"
    assert conversation.recognition.notes[-1] == "HTTP/1.1 200 OK"
    exchange(conversation, server, conversation.ask(1000))
    assert conversation.answers == 1


def test_http2_inside_is_read() -> None:
    """A server of both chooses HTTP/2."""
    recognition = meet(TlsServer(GOOD, http2_once(), b"h2")).recognition
    assert recognition is not None
    assert recognition.notes[1:] == ("ALPN h2", "HTTP/2 200")


def http2_once() -> Callable[[bytes], bytes]:
    """Return what answers the first bytes alone."""
    left = [answers.NGINX_HTTP2]
    return lambda _: left.pop() if left else b""


def test_status_of_a_gateway_means_not_ready() -> None:
    """TLS ends in a proxy; what is behind it is down."""
    server = TlsServer(GOOD, lambda _: answers.NGINX_BAD_GATEWAY, b"http/1.1")
    recognition = meet(server, name="https").recognition
    assert recognition is not None
    assert recognition.refusal is Refusal.NOT_READY
    assert recognition.certificate is not None


def test_https_without_http_inside_is_foreign() -> None:
    """Some other protocol in TLS."""
    server = TlsServer(GOOD, lambda _: b"* BAD\r\n")
    conversation = meet(server, name="https")
    assert conversation.recognition is None
    assert conversation.is_foreign


def test_tls_without_http_has_no_question() -> None:
    """Nothing is known that could be asked."""
    assert meet(TlsServer(GOOD)).ask() == b""


def alert(code: int) -> bytes:
    """Return a fatal alert in the clear (RFC 8446 §6.2)."""
    return bytes([0x15, 3, 3, 0, 2, 2, code])


@pytest.mark.parametrize("name", ["tls", "https"])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (40, "handshake failure"),
        (70, "protocol version"),
        (80, "internal error"),
        (112, "unrecognized name"),
    ],
)
def test_alert_to_our_hello_refuses_this_client(
    name: str, code: int, text: str
) -> None:
    """The server speaks TLS, but not with us."""
    recognition = converse(name, alert(code), host="web.example").recognition
    assert recognition == Recognition(
        name, refusal=Refusal.DENIED, reason=f'TLS alert "{text}"'
    )


def test_alert_to_a_hello_without_a_name_says_so() -> None:
    """A server of several names may need one."""
    recognition = converse("https", alert(112), host="192.0.2.7").recognition
    assert recognition is not None
    assert "no name was sent" in recognition.reason


def test_required_certificate_is_a_note() -> None:
    """As a required login is."""
    recognition = converse("https", alert(116)).recognition
    assert recognition == Recognition("https", notes=("requires a client certificate",))


def test_alert_after_our_part_of_the_handshake_is_a_note() -> None:
    """Before TLS 1.3 a server that misses a client certificate says no more."""
    server = TlsServer(GOOD, version=SSL.TLS1_2_VERSION)
    protocol = find_protocol("https")
    assert protocol is not None
    conversation = protocol.converse("web.example")
    assert conversation.receive(server.receive(conversation.start()))
    conversation.receive(alert(40))
    assert conversation.recognition is not None
    assert "client certificate" in conversation.recognition.notes[0]


def test_server_of_another_application_protocol_is_tls_but_not_https() -> None:
    """It insists on an ALPN that we did not offer."""
    recognition = converse("tls", alert(120), host="web.example").recognition
    assert recognition is not None
    assert (recognition.refusal, "no HTTP" in recognition.notes[0]) == (None, True)
    recognition = converse("https", alert(120), host="web.example").recognition
    assert recognition is not None
    assert recognition.refusal is Refusal.DENIED


def test_name_of_the_target_is_sent() -> None:
    """SNI has names, not addresses (RFC 6066 §3)."""
    protocol = find_protocol("tls")
    assert protocol is not None
    assert b"web.example" in protocol.converse("web.example").start()
    assert b"192.0.2.7" not in protocol.converse("192.0.2.7").start()
    assert protocol.converse("a" * 300).start().startswith(b"\x16\x03")
    assert protocol.converse("bücher.example").start().startswith(b"\x16\x03")


def test_farewell_is_close_notify() -> None:
    """An alert in a record, so that the server sees no truncation."""
    server = TlsServer(GOOD)
    conversation = meet(server)
    assert conversation.end().startswith(b"\x17\x03\x03")


@pytest.mark.parametrize("data", [b"\x16\x03\x01\0\x05hello", b"hello", answers.NGINX])
def test_other_bytes_are_foreign(data: bytes) -> None:
    """Also those that begin like a record."""
    assert is_foreign("tls", data)


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=40), max_size=4),
    place=st.integers(0, 2000),
    byte=st.integers(0, 255),
    step=st.integers(1, 700),
)
def test_damaged_handshakes_and_sessions_never_raise(
    chunks: list[bytes], place: int, byte: int, step: int
) -> None:
    """One byte is changed, in pieces of any size; then anything follows."""
    server = TlsServer(GOOD, nginx, b"http/1.1")
    protocol = find_protocol("https")
    assert protocol is not None
    conversation = protocol.converse("web.example")
    sent, seen = conversation.start(), 0
    for _ in range(6):
        received = bytearray(server.receive(sent))
        if seen <= place < seen + len(received):
            received[place - seen] = byte
        seen += len(received)
        sent = b"".join(
            conversation.receive(bytes(received[start : start + step]))
            for start in range(0, len(received), step)
        )
    for chunk in chunks:
        assert isinstance(conversation.receive(chunk), bytes)
        assert isinstance(conversation.ask(100), bytes)
    assert isinstance(conversation.end(), bytes)
