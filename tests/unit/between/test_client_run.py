"""What a client's container printed, and what is said if that is no report."""

from __future__ import annotations

import pytest

from netduet.between.client_run import parse_report
from netduet.between.errors import BetweenError
from netduet.between.evidence import parse
from tests.unit.between.samples import DB, listener, report, snapshot, verdict


def test_report_is_read_with_fields_of_a_later_version() -> None:
    """They are ignored."""
    text = report(verdict("db:12345")).model_dump_json(by_alias=True)
    later = text[:-1] + ', "later": 1}'
    assert parse_report(later.encode(), b"", 0, "web").targets[0].target == "db:12345"


@pytest.mark.parametrize(
    ("out", "err", "status", "expected"),
    [
        (
            b"",
            b"netduet: profile=x: must be\nquick",
            2,
            "the client beside web rejected its settings: netduet: profile=x: must be qui",
        ),
        (
            b"",
            b"",
            137,
            (
                "the client beside web ended with status 137 (killed: out of memory?) and "
                "without a readable report: no output"
            ),
        ),
        (
            b"{}",
            b"",
            0,
            "the client beside web ended with status 0 and without a readab",
        ),
    ],
)
def test_client_without_a_report_is_an_error(
    out: bytes, err: bytes, status: int, expected: str
) -> None:
    """In one line, with what it said."""
    with pytest.raises(BetweenError) as caught:
        parse_report(out, err, status, "web")
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_report_of_another_schema_is_an_error() -> None:
    """The remedy is an image of this version."""
    other = report(verdict("db:1")).model_copy(update={"schema_version": 2})
    text = other.model_dump_json(by_alias=True).encode()
    with pytest.raises(BetweenError, match="has schema version 2, not 1: use an image"):
        parse_report(text, b"", 0, "web")


def test_namespace_is_read_from_what_the_command_printed() -> None:
    """An image that lacks the command is named."""
    shown = snapshot(listener("0.0.0.0", 5432))
    assert parse(shown.model_dump_json().encode(), b"", 0, DB) == shown
    with pytest.raises(
        BetweenError, match="netduet namespace ended with status 2: net"
    ):
        parse(b"", b"netduet: Unknown command", 2, DB)
