"""Strict JSON: whatever RFC 8259 leaves to the parser is an error."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from netduet.wire.errors import Code, RemoteError
from netduet.wire.untrusted import log_safe

MAX_DEPTH: Final = 32
"""Maximum nesting depth of a control payload."""

MAX_DIGITS: Final = 20
"""Digits an integer may have: 2**64 has 20; long ones take long (CVE-2020-10735)."""


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """What a payload may have at most: bytes, and fields and elements in all."""

    size: int
    fields: int


class _FormError(ValueError):
    """A form of JSON that a control payload must not have."""


def judge_bounds(payload: bytes, bounds: JsonBounds, frame_id: int) -> None:
    """Raise RemoteError when a payload exceeds its bounds, without parsing it.

    Each field or element follows a bracket or a comma, so these are counted. Those
    inside strings count too: no question has such a string.
    """
    size = len(payload)
    facts: dict[str, int | str]
    if size > bounds.size:
        message = f"a payload of {size} bytes: at most {bounds.size} here"
        facts = {"length": size, "limit": bounds.size}
        raise RemoteError(Code.TOO_LARGE, message, facts, frame_id)
    # A payload this short cannot have more fields: spare it the counting.
    if size > bounds.fields and sum(map(payload.count, b",[{")) > bounds.fields:
        message = f"control payload: more than {bounds.fields} fields"
        facts = {"limit": bounds.fields}
        raise RemoteError(Code.BAD_MESSAGE, message, facts, frame_id)


def parse_object(payload: bytes, frame_id: int) -> dict[str, Any]:
    """Return the payload's object.

    Duplicate keys, lone surrogates, numbers out of range and deep nesting are errors:
    parsers may differ on them (RFC 8259 §4, §6, §8.2, §9), two ends must not.
    """
    try:
        value = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_bounded_int,
            parse_float=_finite_float,
        )
        return _fit(payload, value)
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except RecursionError:
        problem = _TOO_DEEP
    except _FormError as error:
        problem = str(error)
    except ValueError as error:
        problem = f"not JSON: {log_safe(str(error).encode(), 128)}"
    raise RemoteError(Code.BAD_MESSAGE, f"control payload: {problem}", {}, frame_id)


_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} deep"


def _fit(payload: bytes, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _FormError("not an object")
    if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH:
        _judge_depth(value)
    if b"\\u" in payload:  # only an escape can produce a lone surrogate
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _FormError("a lone surrogate is no text") from None
    return value


def _judge_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = inner
    if any(isinstance(item, dict | list) for item in level):
        raise _FormError(_TOO_DEEP)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _FormError("a key stands twice in one object")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise _FormError(f"{name} is no number")


def _bounded_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise _FormError(f"an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _FormError("a number out of range")
    return value
