"""Whether a question asks for more than the limits allow.

Judged here and not in the handlers, so that the input after such a question is dropped
whether or not it arrived in the same read (P-9).
"""

from __future__ import annotations

from netduet.wire.errors import Code, RemoteError
from netduet.wire.messages import CloseQuestion, HoldQuestion, SourceQuestion
from netduet.wire.state_machine import Limits


def judge(message: object, limits: Limits, frame_id: int) -> None:
    """Raise RemoteError when this question asks for too much time or data."""
    match message:
        case HoldQuestion(seconds=seconds):
            _judge_time("seconds", seconds, limits.hold, frame_id)
        case SourceQuestion(size=size):
            _judge_size(size, limits.max_frame, frame_id)
        case CloseQuestion(delay=delay, size=size):
            _judge_time("delay", delay, limits.hold, frame_id)
            _judge_size(size, limits.max_frame, frame_id)
        case _:
            pass


def _judge_time(field: str, seconds: float, limit: float, frame_id: int) -> None:
    if seconds > limit:
        message = f"{field} of {seconds:g} s: at most {limit:g} here"
        raise RemoteError(Code.BAD_MESSAGE, message, {"field": field}, frame_id)


def _judge_size(size: int, limit: int, frame_id: int) -> None:
    if size > limit:
        message = f"a pattern of {size} bytes: at most {limit} here"
        facts: dict[str, int | str] = {"length": size, "limit": limit}
        raise RemoteError(Code.TOO_LARGE, message, facts, frame_id)
