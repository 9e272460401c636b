"""The plain greeting of a netduet server, and of services made for it."""

from __future__ import annotations

from typing import Final

from netduet.client.protocols.base import Conversation, Protocol, Recognition
from netduet.client.protocols.messages import agrees

_QUESTION: Final = b"Hello, server!\n"
_ANSWER: Final = b"Hello, client!"


class PlainConversation(Conversation):
    """A text, and a text in return. The service then ends the connection."""

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._received = b""

    def start(self) -> bytes:
        """Return the greeting."""
        return _QUESTION

    def receive(self, data: bytes) -> bytes:
        """Compare with the greeting expected in return."""
        if self.recognition is None and not self.is_foreign:
            self._received += data[: len(_ANSWER)]
            self.recognition = recognise(self._received)
            self.is_foreign = not agrees(self._received, _ANSWER)
        return b""


def recognise(data: bytes) -> Recognition | None:
    """Recognise the greeting."""
    return Recognition(PROTOCOL.name) if data.startswith(_ANSWER) else None


PROTOCOL: Final = Protocol(
    name="plain",
    title="plain greeting",
    ports=(12345,),
    converse=PlainConversation,
    recognise=recognise,
    aliases=("hello", "netduet"),
    # plain_linger: the server waits so long for the client to end.
    login_timeout=30.0,
    login_setting="plain_linger",
)
