"""TLS (RFC 8446), and what the server chose to speak inside of it (ALPN, RFC 7301)."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from netduet.client.protocols.base import (
    Conversation,
    Protocol,
    Recognition,
    Refusal,
)
from netduet.client.protocols.http import HttpConversation, expects_tls
from netduet.client.protocols.http2 import Http2Conversation
from netduet.client.protocols.messages import agrees
from netduet.client.protocols.tls_session import TlsError, TlsSession

_ALPN: Final = (b"h2", b"http/1.1")
_RECORD: Final = re.compile(
    rb"\x15\x03[\0-\x04]\0\x02[\x01\x02]|\x16\x03[\0-\x04].{2}\x02\0", re.DOTALL
)
"""An alert in the clear, or a handshake record with a ServerHello."""

_RECORD_BYTES: Final = 6
_ALERT: Final = re.compile(r"(?:(?:sslv3|tls|ssl/tls) alert|tlsv13?(?: alert)?) (.+)")
"""How OpenSSL calls the alerts that it receives (sslerr.h, from 1000 on)."""

_CERTIFICATE_REQUIRED: Final = "certificate required"
_NO_APPLICATION_PROTOCOL: Final = "no application protocol"


class _Http2InsideConversation(Http2Conversation):
    scheme = "https"


_INNER: Final[dict[str, type[HttpConversation | Http2Conversation]]] = {
    "http/1.1": HttpConversation,
    "h2": _Http2InsideConversation,
}


class TlsConversation(Conversation):
    """A handshake; then HTTP, if the server chose it."""

    name = "tls"
    default_inner: type[HttpConversation] | None = None
    """What is spoken inside if the server chose nothing."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._session = TlsSession(host, _ALPN)
        self._beginning = b""
        self._inner: HttpConversation | Http2Conversation | None = None
        self._has_replied = False
        self._has_ended = False

    def start(self) -> bytes:
        """Return the ClientHello."""
        self._session.receive()
        return self._session.pending()

    def receive(self, data: bytes) -> bytes:
        """Continue the handshake, then what is spoken inside."""
        if self.is_foreign or self._has_ended or not data:
            return b""
        self._beginning += data[: _RECORD_BYTES - len(self._beginning)]
        if not agrees(self._beginning, b"\x16\x03") and not agrees(
            self._beginning, b"\x15\x03"
        ):
            self.is_foreign = True
            return b""
        try:
            received = self._session.receive(data)
        except TlsError as error:
            self._has_ended = True
            self._break_off(str(error))
            return b""
        if self._session.is_ready:
            self._continue_inside(received)
        reply = self._session.pending()
        self._has_replied |= bool(reply)
        return reply

    def ask(self, size: int = 0) -> bytes:
        """Return a request of HTTP; b"" if the server chose no HTTP."""
        if self.is_foreign or self._inner is None:
            return b""
        self._session.send(self._inner.ask(size))
        return self._session.pending()

    @property
    def is_answering(self) -> bool:
        """As for what is spoken inside."""
        return self._inner is not None and self._inner.is_answering

    def end(self) -> bytes:
        """Return the farewell of what is spoken inside, and close_notify."""
        if self.is_foreign or not self._session.is_ready:
            return b""
        if self._inner is not None:
            self._session.send(self._inner.end())
        self._session.close()
        return self._session.pending()

    def _continue_inside(self, received: bytes) -> None:
        if self._inner is None and self.recognition is None:
            inner = _INNER.get(self._session.alpn, self.default_inner)
            if inner is None:
                self.recognition = self._recognition()
                return
            self._inner = inner(self.host)
            self._session.send(self._inner.start())
        if self._inner is None:
            return
        self._session.send(self._inner.receive(received))
        self.answers = self._inner.answers
        self.is_foreign = self._inner.is_foreign
        if self.recognition is None and self._inner.recognition is not None:
            self.recognition = self._recognition(self._inner.recognition)

    def _recognition(self, inner: Recognition | None = None) -> Recognition:
        session = self._session
        alpn = session.alpn or "none"
        notes = (f"{session.version}, {session.cipher}", f"ALPN {alpn}")
        certificate = session.certificate
        if inner is None:
            return Recognition(self.name, notes=notes, certificate=certificate)
        return Recognition(
            self.name,
            inner.product,
            notes + inner.notes,
            inner.refusal,
            inner.reason,
            certificate,
        )

    def _break_off(self, reason: str) -> None:
        """Take an alert as an answer of TLS, and anything else as foreign."""
        alert = _ALERT.fullmatch(reason)
        if alert is None:
            self.is_foreign = True
        elif self.recognition is None:
            self.recognition = self._read_alert(alert[1])

    def _read_alert(self, alert: str) -> Recognition:
        text = f'TLS alert "{alert}"'
        if alert == _CERTIFICATE_REQUIRED:
            return Recognition(self.name, notes=("requires a client certificate",))
        if self._has_replied:
            # Before TLS 1.3 there is no alert of its own for that.
            note = f"ended the handshake ({text}): it may require a client certificate"
            return Recognition(self.name, notes=(note,))
        if alert == _NO_APPLICATION_PROTOCOL and self.default_inner is None:
            return Recognition(self.name, notes=(f"speaks no HTTP ({text})",))
        if not self._session.sends_name:
            text += "; no name was sent, for the target is an address"
        return Recognition(self.name, refusal=Refusal.DENIED, reason=text)


def recognise(data: bytes) -> Recognition | None:
    """Recognise an alert, a ServerHello, and answers to HTTP without TLS."""
    if _RECORD.match(data) or expects_tls(data):
        return Recognition("tls")
    return None


PROTOCOL: Final = Protocol(
    name="tls",
    title="TLS",
    ports=(465, 636, 853, 990, 993, 995, 5671, 6380, 6443, 8883, 9093),
    converse=TlsConversation,
    recognise=recognise,
    aliases=(
        "ssl",
        "amqps",
        "imaps",
        "ldaps",
        "mqtts",
        "pop3s",
        "rediss",
        "smtps",
        "wss",
    ),
    alias_ports=MappingProxyType(
        {
            "amqps": 5671,
            "imaps": 993,
            "ldaps": 636,
            "mqtts": 8883,
            "pop3s": 995,
            "rediss": 6379,
            "smtps": 465,
            "ssl": 443,
            "tls": 443,
            "wss": 443,
        }
    ),
)
