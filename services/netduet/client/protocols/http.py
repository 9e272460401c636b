"""HTTP/1.1 (RFC 9112)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netduet.client.protocols.base import (
    MAX_ANSWER_BYTES,
    Conversation,
    Protocol,
    Recognition,
    Refusal,
)
from netduet.client.protocols.messages import agrees, raw_text

if TYPE_CHECKING:
    import h11

NOT_READY_STATUSES: Final = frozenset({502, 503, 504})
"""Statuses of a proxy or a service that cannot serve now (RFC 9110 §15.6)."""

MAX_REQUEST_BYTES: Final = 7 * 1024
"""nginx (large_client_header_buffers) and Apache (LimitRequestFieldSize) take 8 KiB."""

_KEPT_BYTES: Final = 2048
"""The beginning of the first answer is kept for what the parser does not show."""

_STATUS_LINE: Final = re.compile(rb"HTTP/(\d(?:\.\d)?) (\d{3})(?:[ \t]+([^\r\n]*))?")
_PAGE: Final = re.compile(rb"\s*<(?i:!DOCTYPE html|html)[\s>]")
_OTHER_EXPECTED: Final = re.compile(
    rb"It looks like you are trying to access MongoDB over HTTP"
)
_PART_OF_PAGE: Final = re.compile(rb"\s{0,20}(<[!a-zA-Z ]{0,20})?")
_SERVER: Final = re.compile(rb"\nserver:[ \t]*([^\r\n]+)", re.IGNORECASE)
_TLS_EXPECTED: Final = re.compile(
    rb"Client sent an HTTP request to an HTTPS server"  # Go
    rb"|The plain HTTP request was sent to HTTPS port"  # nginx
    rb"|speaking plain HTTP to an SSL-enabled server port"  # Apache
)


def expects_tls(data: bytes) -> bool:
    """Return whether an answer is a TLS server's to a request without TLS."""
    return data.startswith(b"HTTP/") and _TLS_EXPECTED.search(data) is not None


def expects_another(data: bytes) -> bool:
    """Return whether an answer in HTTP says that the service speaks something else."""
    return expects_tls(data) or _OTHER_EXPECTED.search(data) is not None


def authority(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class HttpConversation(Conversation):
    """GET / on a connection that is kept."""

    def __init__(self, host: str) -> None:
        """Prepare; the parser is loaded here, for most runs need none."""
        import h11  # noqa: PLC0415

        super().__init__(host)
        self._parser = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_BYTES
        )
        self._beginning = b""
        self._response: h11.Response | None = None
        self._complete_answers = 0

    def start(self) -> bytes:
        """Return the first request."""
        return self._request(0)

    def ask(self, size: int = 0) -> bytes:
        """Return another request, padded with a header.

        b"" if the last request has no complete answer yet, or if the service does not
        keep the connection.
        """
        import h11  # noqa: PLC0415

        if self.is_foreign or self.recognition is None or self.recognition.refusal:
            return b""
        states = (self._parser.our_state, self._parser.their_state)
        if states == (h11.DONE, h11.DONE):
            self._parser.start_next_cycle()
        if self._parser.our_state is not h11.IDLE:
            return b""
        return self._request(min(size, MAX_REQUEST_BYTES))

    @property
    def is_answering(self) -> bool:
        """Whether the service has not sent all of a response."""
        import h11  # noqa: PLC0415

        return not self.is_foreign and self._parser.their_state is h11.SEND_BODY

    def receive(self, data: bytes) -> bytes:
        """Read responses; their bodies are dropped."""
        import h11  # noqa: PLC0415

        if self.is_foreign or not data:
            return b""
        self._beginning += data[: _KEPT_BYTES - len(self._beginning)]
        if not agrees(self._beginning, b"HTTP/"):
            self.recognition = recognise(self._beginning)
            self.is_foreign = self.recognition is None and not _PART_OF_PAGE.fullmatch(
                self._beginning
            )
            return b""
        try:
            self._parser.receive_data(data)
            self._read_events()
        except h11.RemoteProtocolError:
            # Not what the RFC allows, but perhaps still HTTP.
            self.is_foreign = self.recognition is not None
            self.recognition = self.recognition or recognise(self._beginning)
            self.is_foreign |= self.recognition is None
        return b""

    def _request(self, size: int) -> bytes:
        import h11  # noqa: PLC0415

        if self._parser.their_state is not h11.IDLE:
            return b""  # it has responded before there was a request
        headers = [
            ("Host", authority(self.host)),
            ("User-Agent", "netduet"),
            ("Accept", "*/*"),
            ("Connection", "keep-alive"),
        ]
        fields = sum(len(f"{name}: {value}\r\n") for name, value in headers)
        missing = size - fields - len("GET / HTTP/1.1\r\n\r\n")
        if missing > 0:
            padding = "n" * (missing - len("X-Padding: \r\n"))
            headers.append(("X-Padding", padding))
        request = h11.Request(method="GET", target="/", headers=headers)
        head = self._parser.send(request) or b""
        return head + (self._parser.send(h11.EndOfMessage()) or b"")

    def _read_events(self) -> None:
        import h11  # noqa: PLC0415

        while True:
            event = self._parser.next_event()
            if event is h11.PAUSED:
                unasked, _ = self._parser.trailing_data
                if len(unasked) > MAX_ANSWER_BYTES:
                    raise h11.RemoteProtocolError("no end of answers")
                break
            if event is h11.NEED_DATA:
                break
            if isinstance(event, h11.Response):
                self._response = self._response or event
            elif isinstance(event, h11.EndOfMessage):
                self._complete_answers += 1
        if expects_another(self._beginning):
            self.recognition, self.is_foreign = None, True
        elif self._response is not None:
            self.recognition = self.recognition or _recognition_of(self._response)
            self.answers = max(self._complete_answers - 1, 0)


def _recognition_of(response: h11.Response) -> Recognition:
    server = dict(response.headers).get(b"server", b"")
    return recognition(
        response.http_version, response.status_code, response.reason, server
    )


def recognition(
    version: bytes, status: int, reason: bytes, server: bytes, name: str = "http"
) -> Recognition:
    """Return what a status and a ``Server`` header say."""
    line = raw_text(b"HTTP/%s %d %s" % (version, status, reason)).rstrip()
    product = raw_text(server).strip().replace("/", " ", 1)
    if status in NOT_READY_STATUSES:
        return Recognition(name, product, refusal=Refusal.NOT_READY, reason=line)
    return Recognition(name, product, (line,))


def recognise(data: bytes) -> Recognition | None:
    """Recognise a status line, or a page of HTML without one (HTTP/0.9)."""
    if expects_another(data):
        return None
    match = _STATUS_LINE.match(data)
    if match is None:
        found = _PAGE.match(data)
        return found and Recognition("http", notes=("no status line",))
    version, status, reason = match.groups(b"")
    server = _SERVER.search(data)
    return recognition(version, int(status), reason, server[1] if server else b"")


PROTOCOL: Final = Protocol(
    name="http",
    title="HTTP",
    ports=(80, 3000, 8000, 8008, 8080, 8888, 9090),
    converse=HttpConversation,
    recognise=recognise,
    aliases=("http1", "http/1.1", "ws"),
)
