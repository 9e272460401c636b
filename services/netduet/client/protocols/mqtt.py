"""MQTT 3.1.1: CONNECT without a client id and without a user."""

from __future__ import annotations

from typing import Final

from netduet.client.protocols.base import Protocol, Recognition, Refusal
from netduet.client.protocols.messages import ForeignDataError, MessageConversation

# MQTT 3.1.1 §3.1: name, level 4, a clean session, no keep-alive, no client id.
_CONNECT: Final = b"\x10\x0c\0\4MQTT\4\2\0\0\0\0"
_PINGREQ: Final = b"\xc0\0"
_PINGRESP: Final = b"\xd0\0"
_DISCONNECT: Final = b"\xe0\0"
_CONNACK_HEAD: Final = b"\x20\2\0"
"""Type and length; no session is present, for a clean one was asked for."""

_CONNACK_BYTES: Final = 4
_ACCEPTED: Final = 0
"""Connect return code (MQTT 3.1.1 §3.2.2.3)."""
_UNAVAILABLE: Final = 3
"""The server is unavailable."""
_NOTES: Final = {
    1: "does not accept MQTT 3.1.1",
    2: "requires a client id",
    4: "requires a login",
    5: "requires a login",
}


class MqttConversation(MessageConversation):
    """CONNECT and CONNACK, PINGREQ as the question, DISCONNECT."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._is_accepted = False

    def start(self) -> bytes:
        """Return CONNECT."""
        return _CONNECT

    def ask(self, size: int = 0) -> bytes:
        """Return PINGREQ; b"" if the server has not accepted the connection."""
        del size
        return self._question(_PINGREQ) if self._is_accepted else b""

    def end(self) -> bytes:
        """Return DISCONNECT."""
        return _DISCONNECT if self._is_accepted and not self.is_foreign else b""

    def _message_size(self, received: bytearray) -> int:
        if self._is_accepted:
            size = len(_PINGRESP)
            return size if len(received) >= size else 0
        if not _CONNACK_HEAD.startswith(bytes(received[: len(_CONNACK_HEAD)])):
            raise ForeignDataError(bytes(received[:20]))
        return _CONNACK_BYTES if len(received) >= _CONNACK_BYTES else 0

    def _read_message(self, message: bytes) -> bytes:
        if self.recognition is None:
            self.recognition = recognise(message)
            if self.recognition is None:
                raise ForeignDataError(message)
            self._is_accepted = message[-1] == _ACCEPTED
        elif message == _PINGRESP:
            self._count_answer()
        else:
            raise ForeignDataError(message)
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise CONNACK; brokers say nothing to other protocols."""
    if len(data) != _CONNACK_BYTES or not data.startswith(_CONNACK_HEAD):
        return None
    code = data[-1]
    if code == _UNAVAILABLE:
        return Recognition(
            PROTOCOL.name, refusal=Refusal.NOT_READY, reason="server unavailable"
        )
    if code == _ACCEPTED:
        return Recognition(PROTOCOL.name, notes=("requires no login",))
    note = _NOTES.get(code)
    return Recognition(PROTOCOL.name, notes=(note,)) if note else None


PROTOCOL: Final = Protocol(
    name="mqtt",
    title="MQTT",
    ports=(1883,),
    converse=MqttConversation,
    recognise=recognise,
)
