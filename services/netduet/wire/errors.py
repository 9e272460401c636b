"""Errors of the wire protocol, by whose fault they are.

WireError
├── LocalError    misuse of the protocol by this program: a defect
└── RemoteError   a protocol error of the peer; says what to answer
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The closed list of error codes an ERROR frame carries."""

    MAGIC_BROKEN = "magic_broken"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_FLAGS = "unknown_flags"
    RESERVED_BITS = "reserved_bits"
    UNKNOWN_FIELD = "unknown_field"
    BAD_MESSAGE = "bad_message"
    TOO_LARGE = "too_large"
    OUT_OF_ORDER = "out_of_order"
    TRUNCATED = "truncated"
    TOO_SLOW = "too_slow"
    IDLE = "idle"
    TOO_MANY_QUESTIONS = "too_many_questions"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    DRAINING = "draining"
    TLS_REQUIRED = "tls_required"
    OVERLOADED = "overloaded"
    UNAUTHORIZED = "unauthorized"
    EXPIRED = "expired"


class WireError(Exception):
    """Any error of the wire protocol."""


class LocalError(WireError):
    """A misuse of the protocol by this program, whatever the peer did."""


class RemoteError(WireError):
    """The peer broke a rule of the protocol.

    ``code`` and ``facts`` (names and numbers) are what the ERROR frame carries;
    ``frame_id`` is the id of the invalid frame, 0 when there is none.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        facts: dict[str, int | str] | None = None,
        frame_id: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts = facts or {}
        self.frame_id = frame_id

    def without_origin(self) -> RemoteError:
        """Return it, without where it was raised: to be kept.

        The frames of a traceback, and of the errors behind it, hold all that was being
        parsed: megabytes for each connection that lingers.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self
