"""HTTP/2 and gRPC: statuses, health, streams as questions."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from netduet.client.protocols import find_protocol
from netduet.client.protocols.base import Conversation, Refusal
from netduet.client.protocols.http import MAX_REQUEST_BYTES
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import is_foreign, recognition_of

GRPC = [(":status", "200"), ("content-type", "application/grpc")]


class Http2Server:
    """Answers each stream with headers, content and trailers."""

    def __init__(
        self,
        headers: list[tuple[str, str]],
        content: bytes = b"",
        trailers: list[tuple[str, str]] | None = None,
    ) -> None:
        """Prepare; its settings go out with its first answer."""
        self._answer = headers, content, trailers
        self._connection = H2Connection(H2Configuration(client_side=False))
        self._connection.initiate_connection()
        self.requests: list[dict[bytes, bytes]] = []

    def receive(self, data: bytes) -> bytes:
        """Take what the client sends; return what it receives."""
        headers, content, trailers = self._answer
        for event in self._connection.receive_data(data):
            if isinstance(event, RequestReceived):
                self.requests.append(dict(event.headers))
            if isinstance(event, StreamEnded):
                stream = event.stream_id
                self._connection.send_headers(stream, headers)
                self._connection.send_data(stream, content, end_stream=not trailers)
                if trailers:
                    self._connection.send_headers(stream, trailers, end_stream=True)
        return self._connection.data_to_send()

    def reset(self, stream: int) -> bytes:
        """Reset a stream."""
        self._connection.reset_stream(stream, 7)
        return self._connection.data_to_send()

    def go_away(self) -> bytes:
        """End the connection."""
        self._connection.close_connection(11)
        return self._connection.data_to_send()


def meet(name: str, server: Http2Server) -> Conversation:
    """Start a conversation with a server."""
    protocol = find_protocol(name)
    assert protocol is not None
    conversation = protocol.converse("web.example")
    reply = conversation.receive(server.receive(conversation.start()))
    server.receive(reply)
    return conversation


def health(status: int) -> Http2Server:
    """Return a server whose health service says this."""
    content = b"\0\0\0\0\2\x08" + bytes([status])
    return Http2Server(GRPC, content, [("grpc-status", "0")])


def test_answer_of_nginx_names_product_and_status() -> None:
    """From the headers of the first stream."""
    recognition = recognition_of("http2", answers.NGINX_HTTP2)
    assert recognition.product == "nginx 1.22.1"
    assert recognition.notes == ("HTTP/2 200",)


def test_status_of_a_gateway_means_not_ready() -> None:
    """As in HTTP/1.1."""
    conversation = meet("http2", Http2Server([(":status", "503")]))
    assert conversation.recognition is not None
    assert conversation.recognition.refusal is Refusal.NOT_READY
    assert conversation.recognition.reason == "HTTP/2 503"


@pytest.mark.parametrize("name", ["http2", "grpc"])
@pytest.mark.parametrize("size", [0, 1000, MAX_REQUEST_BYTES, 100_000])
def test_questions_are_streams_of_one_connection(name: str, size: int) -> None:
    """Padded as asked for, each time: nothing is indexed."""
    server = health(1) if name == "grpc" else Http2Server([(":status", "200")])
    conversation = meet(name, server)
    for count in (1, 2):
        question = conversation.ask(size)
        assert len(question) >= min(size, MAX_REQUEST_BYTES)
        assert len(question) <= MAX_REQUEST_BYTES + 200
        conversation.receive(server.receive(question))
        assert conversation.answers == count
    assert len(server.requests) == 3


def test_reset_stream_is_an_answer() -> None:
    """To the first question it says little, but it says that HTTP/2 is spoken."""
    server = Http2Server([(":status", "200")])
    protocol = find_protocol("http2")
    assert protocol is not None
    conversation = protocol.converse("web.example")
    server._connection.receive_data(conversation.start())
    conversation.receive(server.reset(1))
    assert conversation.recognition is not None
    assert "reset the request" in conversation.recognition.notes[0]


def test_end_of_the_connection_is_an_answer() -> None:
    """GOAWAY; nothing more is asked."""
    server = Http2Server([(":status", "200")])
    conversation = meet("http2", server)
    conversation.receive(server.go_away())
    assert conversation.ask() == b""
    assert not conversation.is_foreign


@pytest.mark.parametrize("name", ["http2", "grpc"])
def test_http1_server_is_foreign(name: str) -> None:
    """It answers the preface with 400."""
    assert is_foreign(name, b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_http2_server_is_foreign_to_grpc() -> None:
    """It answers, but not with the type of gRPC."""
    assert is_foreign("grpc", answers.NGINX_HTTP2)


def test_etcd_is_recognised_by_its_health() -> None:
    """A real server with the standard service."""
    assert recognition_of("grpc", answers.ETCD_GRPC).notes == ("health: SERVING",)


def test_server_that_is_not_serving_is_not_ready() -> None:
    """HealthCheckResponse.NOT_SERVING."""
    recognition = meet("grpc", health(2)).recognition
    assert recognition is not None
    assert recognition.refusal is Refusal.NOT_READY
    assert recognition.reason == "health: NOT_SERVING"


@pytest.mark.parametrize(
    ("status", "note"),
    [
        ("12", "no health service"),
        ("5", "health: grpc-status 5"),
        ("16", "health: grpc-status 16"),
    ],
)
def test_server_without_an_answer_of_health_serves(status: str, note: str) -> None:
    """Many have no health service, or one that needs a login."""
    server = Http2Server([*GRPC, ("grpc-status", status)])
    recognition = meet("grpc", server).recognition
    assert recognition is not None
    assert (recognition.notes, recognition.refusal) == ((note,), None)


def test_unavailable_service_is_not_ready() -> None:
    """Status 14, as a proxy answers without an upstream."""
    server = Http2Server(
        [*GRPC, ("grpc-status", "14"), ("grpc-message", "no healthy upstream")]
    )
    recognition = meet("grpc", server).recognition
    assert recognition is not None
    assert recognition.refusal is Refusal.NOT_READY
    assert recognition.reason == "grpc-status 14 no healthy upstream"
