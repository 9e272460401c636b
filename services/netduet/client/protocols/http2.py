"""HTTP/2 with prior knowledge (RFC 9113 §3.3), without TLS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netduet.client.protocols.base import Conversation, Protocol, Recognition
from netduet.client.protocols.http import MAX_REQUEST_BYTES, authority, recognition

if TYPE_CHECKING:
    from h2.events import Event
    from hpack import HeaderTuple

_SETTINGS: Final = re.compile(rb"\0[\0\1][\0-\xff]\x04[\0\1]\0{4}", re.DOTALL)
_GOAWAY: Final = re.compile(rb"\0[\0-\xff]{2}\x07\0\0{4}", re.DOTALL)
_FRAME_HEAD_BYTES: Final = 9

_KEPT_BYTES: Final = 1024
"""The beginning of the first response's content is kept."""


class Http2Conversation(Conversation):
    """GET / on streams of one connection."""

    name = "http2"
    scheme = "http"

    def __init__(self, host: str) -> None:
        """Prepare; the parser is loaded here, for most runs need none."""
        from h2.config import H2Configuration  # noqa: PLC0415
        from h2.connection import H2Connection  # noqa: PLC0415

        super().__init__(host)
        self._parser = H2Connection(H2Configuration(client_side=True))
        self._beginning = b""
        self._first_stream = 0
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def start(self) -> bytes:
        """Return the preface, the settings and the first request."""
        self._parser.initiate_connection()
        self._first_stream = self._request(0)
        return self._parser.data_to_send()

    def ask(self, size: int = 0) -> bytes:
        """Return another request, padded with a header."""
        if self.is_foreign or self.recognition is None or self.recognition.refusal:
            return b""
        from h2.exceptions import H2Error  # noqa: PLC0415

        try:
            self._request(min(size, MAX_REQUEST_BYTES))
        except H2Error:  # GOAWAY, or too many streams are open
            return b""
        return self._parser.data_to_send()

    def receive(self, data: bytes) -> bytes:
        """Read frames; what is in their DATA is dropped."""
        from h2.exceptions import H2Error  # noqa: PLC0415

        if self.is_foreign or not data:
            return b""
        self._beginning += data[: _FRAME_HEAD_BYTES - len(self._beginning)]
        if not _may_begin(self._beginning):
            self.is_foreign = True
            return b""
        try:
            for event in self._parser.receive_data(data):
                self._read_event(event)
        except (H2Error, ValueError):
            self.is_foreign = True
            return b""
        return self._parser.data_to_send()

    def end(self) -> bytes:
        """Return GOAWAY."""
        if self.is_foreign or self.recognition is None:
            return b""
        self._parser.close_connection()
        return self._parser.data_to_send()

    def _request(self, size: int) -> int:
        """Open a stream with a request; return its number."""
        from hpack import NeverIndexedHeaderTuple  # noqa: PLC0415

        stream = self._parser.get_next_available_stream_id()
        headers: list[HeaderTuple | tuple[str, str]] = [*self._request_headers()]
        if size:
            # A letter that HPACK encodes in 8 bits, and a field that it does not index.
            headers.append(NeverIndexedHeaderTuple("x-padding", "X" * size))
        body = self._request_body()
        self._parser.send_headers(stream, headers, end_stream=not body)
        if body:
            self._parser.send_data(stream, body, end_stream=True)
        return stream

    def _request_headers(self) -> list[tuple[str, str]]:
        return [
            (":method", "GET"),
            (":scheme", self.scheme),
            (":authority", authority(self.host)),
            (":path", "/"),
            ("user-agent", "netduet"),
            ("accept", "*/*"),
        ]

    def _request_body(self) -> bytes:
        return b""

    def _read_event(self, event: Event) -> None:
        from h2 import events  # noqa: PLC0415

        is_first = getattr(event, "stream_id", None) == self._first_stream
        match event:
            case events.ResponseReceived() if is_first:
                self._headers = dict(event.headers)
                self._read_response()
            case events.TrailersReceived() if is_first:
                self._headers |= dict(event.headers)
            case events.DataReceived():
                self._parser.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
                if is_first:
                    self._body += event.data[: _KEPT_BYTES - len(self._body)]
            case events.StreamEnded() if is_first:
                self._read_end()
            case events.StreamEnded():
                self.answers += 1
            case events.StreamReset() if is_first:
                self._read_end_without_answer(
                    f"reset the request: {event.error_code!r}"
                )
            case events.StreamReset():
                self.answers += 1
            case events.ConnectionTerminated():
                self._read_end_without_answer(
                    f"ended the connection: {event.error_code!r}"
                )

    def _read_response(self) -> None:
        """Read the headers of the first response."""
        status = int(self._headers[b":status"])
        server = self._headers.get(b"server", b"")
        self.recognition = recognition(b"2", status, b"", server, self.name)

    def _read_end(self) -> None:
        """Read the first response, which is complete."""

    def _read_end_without_answer(self, note: str) -> None:
        if self.recognition is None:
            self.recognition = Recognition(self.name, notes=(note,))


def _may_begin(data: bytes) -> bool:
    if len(data) < _FRAME_HEAD_BYTES:
        return data.startswith(b"\0")
    return recognise(data) is not None


def recognise(data: bytes) -> Recognition | None:
    """Recognise the SETTINGS that begin each connection, and GOAWAY in their place."""
    if _SETTINGS.match(data) or _GOAWAY.match(data):
        return Recognition("http2")
    return None


PROTOCOL: Final = Protocol(
    name="http2",
    title="HTTP/2 without TLS",
    ports=(80,),
    converse=Http2Conversation,
    recognise=recognise,
    aliases=("h2c", "h2"),
)
