"""The bounds of a question's JSON, which is judged before it is parsed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netduet.wire import messages
from netduet.wire.errors import Code, RemoteError
from netduet.wire.messages import (
    CloseQuestion,
    InspectQuestion,
    Open,
    ReportQuestion,
    SourceQuestion,
)
from netduet.wire.state_machine import Limits
from netduet.wire.strict_json import JsonBounds, judge_bounds

BOUNDS = Limits().question_bounds

values = st.recursive(
    st.one_of(st.none(), st.integers(-9, 9), st.text('ab,[{:"\\', max_size=4)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


def contents(value: object) -> int:
    """Count the fields and elements of a value, at every depth."""
    if isinstance(value, dict):
        return len(value) + sum(map(contents, value.values()))
    if isinstance(value, list):
        return len(value) + sum(map(contents, value))
    return 0


@settings(max_examples=200, deadline=None)
@given(values)
def test_what_has_more_fields_than_the_bound_is_refused(value: object) -> None:
    """However it is nested, and whatever its strings hold (P-81)."""
    payload = json.dumps(value).encode()
    bound = contents(value) - 1
    if bound >= 0:
        with pytest.raises(RemoteError):
            judge_bounds(payload, JsonBounds(size=10**6, fields=bound), 0)


@pytest.mark.parametrize(
    "question",
    [
        Open(nonce="f" * 32),
        ReportQuestion(),
        SourceQuestion(size=2**64 - 1, seed=2**64 - 1),
        CloseQuestion(how="after_eof", delay=1 / 3, size=2**64 - 1, seed=2**64 - 1),
        InspectQuestion(conn_id="f" * 32, window=1 / 3),
    ],
)
def test_largest_questions_are_far_from_the_bounds(
    question: messages.BaseModel,
) -> None:
    """Each question fits into an eighth of both bounds."""
    eighth = JsonBounds(BOUNDS.size // 8, BOUNDS.fields // 8)
    judge_bounds(messages.encode(question), eighth, 0)


@pytest.mark.parametrize(
    ("payload", "code", "limit"),
    [
        (b'{"x":"' + bytes(BOUNDS.size) + b'"}', Code.TOO_LARGE, BOUNDS.size),
        (b"[" * BOUNDS.size, Code.BAD_MESSAGE, BOUNDS.fields),
        (b"{}," * 100, Code.BAD_MESSAGE, BOUNDS.fields),
        (json.dumps(dict.fromkeys(map(str, range(99)))), Code.BAD_MESSAGE, 64),
    ],
)
def test_error_names_the_bound(payload: bytes | str, code: Code, limit: int) -> None:
    """What exceeds a bound is refused for that, whatever else is wrong with it."""
    data = payload.encode() if isinstance(payload, str) else payload
    with pytest.raises(RemoteError) as caught:
        messages.decode(Open, data, 7, BOUNDS)
    assert (caught.value.code, caught.value.frame_id) == (code, 7)
    assert caught.value.facts["limit"] == limit


def test_error_names_the_first_unknown_field_alone() -> None:
    """A question with many unknown fields gets a short answer."""
    fields = {"conn_id": "f" * 32} | dict.fromkeys(map(str, range(50)))
    with pytest.raises(RemoteError) as caught:
        messages.decode(InspectQuestion, json.dumps(fields).encode(), 0, BOUNDS)
    assert caught.value.code == Code.UNKNOWN_FIELD
    assert caught.value.message == "InspectQuestion: 0: unknown field"
