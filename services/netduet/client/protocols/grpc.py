"""gRPC, asked with its standard health check (grpc.health.v1)."""

from __future__ import annotations

import re
from typing import Final

from netduet.client.protocols.base import Protocol, Recognition, Refusal
from netduet.client.protocols.http import authority
from netduet.client.protocols.http2 import Http2Conversation
from netduet.client.protocols.messages import raw_text

_EMPTY_MESSAGE: Final = bytes(5)
"""Not compressed, and of no bytes: the health of the server as a whole."""

# grpc.github.io, "Status codes".
_OK: Final = b"0"
_UNIMPLEMENTED: Final = b"12"
_UNAVAILABLE: Final = b"14"

_HEALTH: Final = re.compile(rb"\0\0\0\0[\x02-\xff].*?\x08([\0-\x7f])", re.DOTALL)
_SERVING: Final = 1
"""HealthCheckResponse.SERVING (health.proto)."""
_NOT_SERVING: Final = 2
"""HealthCheckResponse.NOT_SERVING."""


class GrpcConversation(Http2Conversation):
    """Health/Check on streams of one connection."""

    name = "grpc"

    def _request_headers(self) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", self.scheme),
            (":authority", authority(self.host)),
            (":path", "/grpc.health.v1.Health/Check"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "netduet"),
        ]

    def _request_body(self) -> bytes:
        return _EMPTY_MESSAGE

    def _read_response(self) -> None:
        """Other services of HTTP/2 answer, too, but not with this type."""
        if not self._headers.get(b"content-type", b"").startswith(b"application/grpc"):
            self.is_foreign = True

    def _read_end(self) -> None:
        if self.is_foreign:
            return
        product = raw_text(self._headers.get(b"server", b"")).replace("/", " ", 1)
        status = self._headers.get(b"grpc-status", b"")
        text = raw_text(self._headers.get(b"grpc-message", b""))
        health = _HEALTH.match(self._body)
        reason = ""
        if status == _UNAVAILABLE:
            reason = f"grpc-status 14 {text}".rstrip()
        elif status == _OK and health and health[1][0] == _NOT_SERVING:
            reason = "health: NOT_SERVING"
        if reason:
            self.recognition = Recognition(
                self.name, product, refusal=Refusal.NOT_READY, reason=reason
            )
            return
        if status == _OK and health and health[1][0] == _SERVING:
            note = "health: SERVING"
        elif status == _UNIMPLEMENTED:
            note = "no health service"
        else:
            note = f"health: grpc-status {raw_text(status)} {text}".rstrip()
        self.recognition = Recognition(self.name, product, (note,))


def recognise(_data: bytes) -> Recognition | None:
    """Recognise nothing: the first bytes of gRPC are those of any HTTP/2."""
    return None


PROTOCOL: Final = Protocol(
    name="grpc",
    title="gRPC",
    ports=(50051,),
    converse=GrpcConversation,
    recognise=recognise,
)
