"""HTTP inside TLS, also where the server does not say that it speaks HTTP."""

from __future__ import annotations

from typing import Final

from netduet.client.protocols.base import Protocol, Recognition
from netduet.client.protocols.http import HttpConversation
from netduet.client.protocols.tls import TlsConversation


class HttpsConversation(TlsConversation):
    """A handshake, then always HTTP."""

    name = "https"
    default_inner = HttpConversation


def recognise(_data: bytes) -> Recognition | None:
    """Recognise nothing: the first bytes of HTTPS are those of any TLS."""
    return None


PROTOCOL: Final = Protocol(
    name="https",
    title="HTTPS",
    ports=(443, 8443),
    converse=HttpsConversation,
    recognise=recognise,
)
