"""The access log: what is counted and logged, at which level, how often."""

from __future__ import annotations

from typing import Any

import pytest

from netduet.server.access_log import REFUSAL_INTERVAL, AccessLog
from netduet.server.address import Address
from netduet.server.admission import Admission, AdmissionDecision
from netduet.server.connection_record import ConnectionRecord
from netduet.server.counters import Counters
from netduet.wire.connection import Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import MAGIC, Kind, serialize
from netduet.wire.state_machine import Limits, Role
from tests.integration.servers import LogLines


def record(
    data: bytes = b"",
    *,
    peer: Address = ("192.0.2.1", 1024),
    served: bool = True,
    conn_id: str | None = None,
    ended: str = "eof",
    error: BaseException | None = None,
) -> ConnectionRecord:
    """Return the record of a connection that received the data."""
    wire = Connection(Role.SERVER, Limits(), 0.0, greeting=b"hi")
    if data:
        wire.receive_data(data, 0.0)
    return ConnectionRecord.from_connection(
        wire,
        peer=peer,
        local=("192.0.2.2", 12345),
        served=served,
        conn_id=conn_id,
        ended=ended,
        ended_by="client",
        error=error,
        duration=0.123456789,
    )


@pytest.fixture
def lines() -> LogLines:
    """Return a log that remembers."""
    return LogLines()


@pytest.fixture
def counters() -> Counters:
    """Return counters at zero."""
    return Counters()


@pytest.fixture
def access_log(lines: LogLines, counters: Counters) -> AccessLog:
    """Return an access log that writes to ``lines``."""
    admission = Admission(10, 5, 100_000)
    return AccessLog(lines.logger(), counters, admission, max_text=1024)


REFUSED = AdmissionDecision.REFUSED_TOTAL
TURNED_AWAY = AdmissionDecision.TURNED_AWAY
OPENING = MAGIC + serialize(Kind.OPEN, b'{"version":1,"nonce":"%s"}' % (b"0" * 32))


def last(lines: LogLines) -> dict[str, Any]:
    """Return the only line."""
    [line] = lines.all
    return line


def test_plain_connection_is_one_line(
    access_log: AccessLog, lines: LogLines, counters: Counters
) -> None:
    """A plain connection is logged with its text, its end and its bytes."""
    access_log.closed(record(b"Hello, server!", ended="greeted"))
    assert last(lines) == {
        "event": "connection.closed",
        "level": "info",
        "client.address": "192.0.2.1",
        "client.port": 1024,
        "network.local.address": "192.0.2.2",
        "network.local.port": 12345,
        "network.transport": "tcp",
        "network.type": "ipv4",
        "netduet.dialect": "plain",
        "netduet.ended": "greeted",
        "netduet.ended_by": "client",
        "netduet.duration_s": 0.123457,
        "netduet.bytes_received": 14,
        "netduet.bytes_sent": 2,
        "netduet.text": "Hello, server!",
    }
    assert (counters.plain, counters.framed, counters.bytes_received) == (1, 0, 14)


def test_framed_connection_has_its_id_and_frames(
    access_log: AccessLog, lines: LogLines, counters: Counters
) -> None:
    """A framed connection is logged with its id and frame counts, without text."""
    data = OPENING + serialize(Kind.ECHO, b"x") * 3
    access_log.closed(record(data, conn_id="f" * 32, peer=("2001:db8::1", 1)))
    line = last(lines)
    assert (line["netduet.dialect"], line["network.type"]) == ("framed", "ipv6")
    assert (line["netduet.conn_id"], line["netduet.frames_received"]) == ("f" * 32, 4)
    assert "netduet.text" not in line
    assert (counters.framed, counters.frames_received) == (1, 4)


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (
            RemoteError(Code.TOO_LARGE, "much"),
            {"error.type": "too_large", "error.message": "much"},
        ),
        (ConnectionResetError(104, "reset"), {"error.type": "ECONNRESET"}),
        (OSError(99999, "odd"), {"error.type": "99999"}),
        (ConnectionError("bare"), {"error.type": "ConnectionError"}),
        (None, {}),
    ],
)
def test_error_is_named_by_its_kind(
    access_log: AccessLog,
    lines: LogLines,
    error: BaseException | None,
    fields: dict[str, str],
) -> None:
    """The error is a field: our code, or the system's errno name."""
    access_log.closed(record(error=error))
    found = {
        name: value for name, value in last(lines).items() if name.startswith("error.")
    }
    assert found == fields


def test_connection_without_a_byte_has_no_dialect(
    access_log: AccessLog, lines: LogLines, counters: Counters
) -> None:
    """A peer that sent nothing used neither dialect."""
    access_log.closed(record())
    assert last(lines)["netduet.dialect"] == "none"
    assert (counters.plain, counters.framed) == (0, 0)


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({}, "debug"),
        ({"peer": ("::1", 9)}, "debug"),
        ({"peer": ("192.0.2.1", 9)}, "info"),
        ({"ended": "eof"}, "info"),
        ({"data": OPENING + serialize(Kind.ECHO) + serialize(Kind.END)}, "info"),
    ],
)
def test_health_check_is_logged_at_debug(
    access_log: AccessLog, lines: LogLines, facts: dict[str, Any], level: str
) -> None:
    """A connection over loopback without a question is logged at debug only."""
    known = {
        "data": OPENING + serialize(Kind.END),
        "peer": ("127.0.0.1", 9),
        "ended": "end",
        "conn_id": "f" * 32,
    }
    access_log.closed(record(**(known | facts)))
    assert last(lines)["level"] == level


def test_refusals_are_logged_once_per_interval(
    access_log: AccessLog, lines: LogLines, counters: Counters
) -> None:
    """The first is logged at once, later ones as a count after the interval."""
    for number in range(100):
        decision = REFUSED if number % 2 else TURNED_AWAY
        access_log.refused("192.0.2.1", decision, 5.0 + number * 0.01)
    assert last(lines)["netduet.refused"] == 1
    access_log.refused("192.0.2.1", TURNED_AWAY, 5.0 + REFUSAL_INTERVAL)
    assert [line["netduet.refused"] for line in lines.all] == [1, 100]
    assert {line["event"] for line in lines.all} == {"server.limit_reached"}
    assert (counters.refused, counters.turned_away) == (50, 51)


def test_refused_connection_is_not_logged_singly(
    access_log: AccessLog, lines: LogLines, counters: Counters
) -> None:
    """A flood of refusals does not fill the log, but bytes are counted."""
    access_log.closed(record(b"Hello", served=False))
    assert lines.all == []
    assert (counters.plain, counters.bytes_received) == (0, 5)


def test_limits_are_counted_by_name(counters: Counters) -> None:
    """Each limit that ends connections has its own counter."""
    for name in ("idle", "write", "idle"):
        counters.limit(name)
    assert counters.limits == {"idle": 2, "write": 1}
