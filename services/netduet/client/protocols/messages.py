"""Conversations in messages: received bytes are collected until a message is complete."""

from __future__ import annotations

import struct
from typing import ClassVar

from netduet.client.protocols.base import MAX_ANSWER_BYTES, Conversation

MAX_UNASKED_MESSAGES = 1000
"""Messages that a service may send without a further question of ours."""


class ForeignDataError(ValueError):
    """The service sent what the protocol does not allow."""


class MessageConversation(Conversation):
    """A conversation that reads message by message.

    A subclass says where a message ends and reads it. Both may raise
    ``ForeignDataError``; a message that is too short for its own fields, one larger
    than ``MAX_ANSWER_BYTES``, and messages without end are foreign, too.
    """

    def __init__(self, host: str) -> None:
        """Prepare; nothing is received yet."""
        super().__init__(host)
        self._received = bytearray()
        self._questions = 0
        self._unasked = 0

    def receive(self, data: bytes) -> bytes:
        """Read every message that is now complete; return the replies to them."""
        if self.is_foreign:
            return b""
        self._received += data
        replies = bytearray()
        try:
            while size := self._message_size(self._received):
                message = bytes(self._received[:size])
                del self._received[:size]
                self._unasked += 1
                if self._unasked > MAX_UNASKED_MESSAGES:
                    raise ForeignDataError("no end of messages")
                replies += self._read_message(message)
            if len(self._received) > MAX_ANSWER_BYTES:
                raise ForeignDataError("no end of a message")
        except (ValueError, IndexError, struct.error):
            self.is_foreign = True
            self._received.clear()
        return bytes(replies)

    def _question(self, data: bytes) -> bytes:
        """Return a question for ``ask``; b"" while the service does not serve."""
        if self.is_foreign or self.recognition is None or self.recognition.refusal:
            return b""
        self._questions += 1
        self._unasked = 0
        return data

    def _count_answer(self) -> None:
        """Count an answer, unless nothing was asked."""
        self.answers = min(self.answers + 1, self._questions)

    def _message_size(self, received: bytearray) -> int:
        """Return the size of the first message, 0 if it is not complete."""
        raise NotImplementedError

    def _read_message(self, message: bytes) -> bytes:
        """Read a message; return the reply to it, b"" for none."""
        raise NotImplementedError


class NumberedConversation(MessageConversation):
    """A conversation in which each request has the next number, from ``FIRST`` on."""

    FIRST: ClassVar[int] = 0

    def __init__(self, host: str) -> None:
        """Prepare; nothing is asked yet."""
        super().__init__(host)
        self._number = self.FIRST

    def start(self) -> bytes:
        """Return the first request."""
        return self._request(self._number)

    def ask(self, size: int = 0) -> bytes:
        """Return another request; it cannot be padded."""
        del size
        question = self._question(self._request(self._number + 1))
        self._number += bool(question)
        return question

    def _request(self, number: int) -> bytes:
        """Return the request of a number."""
        raise NotImplementedError


class LineConversation(MessageConversation):
    """A conversation in lines. A line is read without its end, CR LF or LF."""

    def _message_size(self, received: bytearray) -> int:
        size = received.find(b"\n") + 1
        if received and not size and self.recognition is None:
            self._check_beginning(bytes(received))
        return size

    def _read_message(self, message: bytes) -> bytes:
        return self._read_line(message.rstrip(b"\r\n"))

    def _check_beginning(self, beginning: bytes) -> None:
        """Raise ``ForeignDataError`` if no line of this protocol begins so.

        Without it, a foreign service that sends no line would never be recognised as
        foreign.
        """
        raise NotImplementedError

    def _read_line(self, line: bytes) -> bytes:
        """Read a line; return the reply to it, b"" for none."""
        raise NotImplementedError


def agrees(beginning: bytes, prefix: bytes) -> bool:
    """Return whether data that begins so has, or may come to have, the prefix."""
    return beginning[: len(prefix)] == prefix[: len(beginning)]


def require_prefix(beginning: bytes, *prefixes: bytes) -> None:
    """Raise ``ForeignDataError`` if the data agrees with none of the prefixes."""
    if not any(agrees(beginning, prefix) for prefix in prefixes):
        raise ForeignDataError(beginning[:20])


def first_line(data: bytes) -> bytes:
    """Return the first line without its end."""
    return data.partition(b"\n")[0].rstrip(b"\r")


def raw_text(data: bytes) -> str:
    """Return the bytes as text; those that are not UTF-8 as surrogates (PEP 383)."""
    return data.decode("utf-8", "surrogateescape")
