"""The specification's tables and diagrams, compared with the declarations."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from netduet.server.udp_streams import MAX_STREAMS, MAX_STREAMS_PER_CLIENT
from netduet.wire import datagram, frames, messages, strict_json, udp_count, udp_stream
from netduet.wire.errors import Code
from netduet.wire.frames import ANSWER, DATA, FEATURES, Kind
from netduet.wire.messages import LimitsNotice, Welcome
from netduet.wire.state_machine import ACCEPTED, TRANSITIONS, Input, Limits, Role, State
from tests.unit.wire.vectors import load

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "protocol.md").read_text()
UNITS = {"": 1, "s": 1, "KiB": 1024, "MiB": 1024**2}


def table(first: str) -> list[list[str]]:
    """Return the rows of the table whose first column is headed so."""
    lines = iter(TEXT.splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    assert rows
    return rows


def diagrams() -> list[set[tuple[State, Input, State]]]:
    """Return the transitions that each diagram shows."""
    blocks = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    return [
        {
            (State[start], Input[cause.upper()], State[end])
            for start, end, cause in re.findall(r"(\w+) --> (\w+): (\w+)", block)
        }
        for block in blocks
    ]


def test_rules_are_numbered() -> None:
    """The rules are P-1, P-2, … without a gap, and the text says how many."""
    numbers = [
        int(number) for number in re.findall(r"^- \*\*P-(\d+)\*\*", TEXT, re.MULTILINE)
    ]
    assert numbers == list(range(1, len(numbers) + 1))
    assert f"P-1 to P-{len(numbers)};" in TEXT


def test_cited_rules_exist() -> None:
    """Each rule that a vector names is in the text."""
    rules = set(re.findall(r"\*\*(P-\d+)\*\*", TEXT))
    names = ("frames", "streams", "datagrams", "transcripts")
    rows = [row for name in names for row in load(name)]
    rows += [row for part in load("messages").values() for row in part]
    assert {row["rule"] for row in rows} - rules == set()


def test_diagrams_show_all_transitions() -> None:
    """The two diagrams together are the table of states."""
    declared = {
        (start, cause, end)
        for start, causes in TRANSITIONS.items()
        for cause, end in causes.items()
    }
    shown = diagrams()
    assert len(shown) == len(Role)
    assert set.union(*shown) == declared


def test_kinds_table_matches() -> None:
    """Numbers, names, payloads and features of the kinds are those declared."""
    rows = {row[1]: row for row in table("kind")}
    assert {name: int(row[0]) for name, row in rows.items()} == {
        kind.name: kind.value for kind in Kind
    }
    features = {
        feature: Kind[name]
        for name, row in rows.items()
        for feature in re.findall(r"\w+", row[4])
    }
    assert features == FEATURES
    for column, flags, models in (
        (2, 0, messages.QUESTIONS),
        (3, ANSWER, messages.ANSWERS),
    ):
        listed = {Kind[name]: row[column] for name, row in rows.items()}
        raw = {(kind, flags) for kind in listed if listed[kind].endswith(" bytes")}
        assert raw == {pair for pair in DATA if pair[1] == flags}
        json_kinds = {kind for kind in listed if listed[kind] == "JSON"} - {Kind.ERROR}
        assert json_kinds == set(models)


def test_header_table_matches() -> None:
    """Offsets and sizes of the header's fields are those of the struct."""
    rows = [(int(row[0]), int(row[1])) for row in table("offset")]
    formats = {1: "B", 2: "H", 4: "I", 8: "Q"}
    assert "!" + "".join(formats[size] for _, size in rows) == frames.HEADER.format
    ends = [offset + size for offset, size in rows]
    assert [0, *ends] == [*(offset for offset, _ in rows), frames.HEADER_SIZE]


def test_codes_table_matches() -> None:
    """The error codes are those declared, in their order."""
    assert [row[0] for row in table("code")] == list(Code)


def test_accepted_table_matches() -> None:
    """What each end accepts in each state is what is declared."""
    shown = {}
    for end, state, names in table("end"):
        pairs = set()
        for name in names.split(", "):
            kind, _, answer = name.partition(" ")
            pairs.add((Kind[kind], ANSWER if answer else 0))
        shown[Role[end.upper()], State[state]] = pairs
    assert shown == ACCEPTED


def test_limits_table_matches() -> None:
    """Names and defaults of the limits are those declared."""
    shown = {}
    for name, default, *_ in table("limit"):
        number, _, unit = default.partition(" ")
        shown[name] = int(number) * UNITS[unit]
    assert shown == {field.name: field.default for field in fields(Limits)}
    assert all(name in shown for name in LimitsNotice.model_fields)


def test_welcome_table_matches() -> None:
    """The fields of the welcome are those of the message, in their order."""
    assert [row[0] for row in table("field")] == list(Welcome.model_fields)


@pytest.mark.parametrize(
    "phrase",
    [
        " ".join(f"{byte:02x}" for byte in frames.MAGIC),
        f"port, {frames.PORT},",
        f"version {frames.VERSION}\n",
        f"every other one {frames.MAX_CONTROL:,}",
        f"the answer's size, {udp_count.ANSWER_SIZE} bytes",
        f"below {udp_count.MAX_SEQUENCE:,}",
        f"more than {strict_json.MAX_DIGITS} digits",
        f"more than {strict_json.MAX_DEPTH} levels",
        f"opening to {datagram.OPENING_SIZE:,} bytes",
        f"from the client, is {udp_stream.QUESTION_SIZE} bytes",
        f"to the next, {udp_stream.MIN_PERIOD_MS} to {udp_stream.MAX_PERIOD_MS})",
        f"pads the datagram to {udp_stream.SIZE} bytes",
        f"at most {udp_stream.MAX_GAPS}, and for each",
        f"came for {udp_stream.LEASE_SECONDS:.0f} seconds",
        f"at most {MAX_STREAMS} streams, and at most {MAX_STREAMS_PER_CLIENT} to one address",
    ],
)
def test_numbers_in_the_text_match(phrase: str) -> None:
    """Numbers in the rules are those of the code."""
    assert phrase in TEXT
