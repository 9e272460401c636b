"""Errors of the wire, by whose fault they are.

WireError
├── LocalError    we misused the protocol: a defect of ours
└── RemoteError   the peer broke the rules; says what to answer
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


class WireError(Exception):
    """Any error of the wire protocol."""


class LocalError(WireError):
    """We used the protocol wrongly: nothing the peer did explains it."""


class RemoteError(WireError):
    """The peer broke a rule.

    ``code`` and ``facts`` (names and numbers of the breach) are what the ERROR
    frame carries; ``frame_id`` is the id of the frame at fault, 0 when none.
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
