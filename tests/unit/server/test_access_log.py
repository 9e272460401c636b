"""Records: what is counted and logged, at what level, and how often."""

from __future__ import annotations

from typing import Any, cast

import pytest

from netduet.server.access_log import PERIOD, AccessLog
from netduet.server.admission import Admission, AdmissionDecision
from netduet.server.counters import Counters
from netduet.server.tcp_connection import TcpConnection
from netduet.wire.connection import Connection
from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import MAGIC, Kind, serialize
from netduet.wire.state_machine import Limits, Role
from tests.integration.running import Lines


class Ended:
    """A session that is over, as far as records look at one."""

    def __init__(self, said: bytes = b"", **facts: object) -> None:
        """Have a connection receive what was said."""
        self.connection = Connection(Role.SERVER, Limits(), 0.0, greeting=b"hi")
        if said:
            self.connection.receive_data(said, 0.0)
        self.admitted = AdmissionDecision.SERVED
        self.peer = ("192.0.2.1", 1024)
        self.local = ("192.0.2.2", 12345)
        self.ended = "eof"
        self.ended_by = "client"
        self.error: BaseException | None = None
        self.conn_id: str | None = None
        self.duration = 0.123456789
        vars(self).update(facts)

    def session(self) -> TcpConnection:
        """Return it under the type that records expect."""
        return cast("TcpConnection", self)


@pytest.fixture
def lines() -> Lines:
    """Return a log that remembers."""
    return Lines()


@pytest.fixture
def counters() -> Counters:
    """Return counters at zero."""
    return Counters()


@pytest.fixture
def records(lines: Lines, counters: Counters) -> AccessLog:
    """Return records that write there."""
    return AccessLog(lines.logger(), counters, Admission(10, 5, 100_000))


OPENING = MAGIC + serialize(Kind.OPEN, b'{"version":1,"nonce":"%s"}' % (b"0" * 32))


def last(lines: Lines) -> dict[str, Any]:
    """Return the only line."""
    [line] = lines.all
    return line


def test_plain_session_is_one_line(
    records: AccessLog, lines: Lines, counters: Counters
) -> None:
    """A plain conversation is logged with its text, its ends and its bytes."""
    records.ended(Ended(b"Hello, server!", ended="greeted").session())
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


def test_framed_session_has_its_id_and_frames(
    records: AccessLog, lines: Lines, counters: Counters
) -> None:
    """A framed connection is logged with its id and its frames, and no text."""
    said = OPENING + serialize(Kind.ECHO, b"x") * 3
    records.ended(Ended(said, conn_id="f" * 32, peer=("2001:db8::1", 1)).session())
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
    records: AccessLog,
    lines: Lines,
    error: BaseException | None,
    fields: dict[str, str],
) -> None:
    """What broke the connection is a field: our code, or the system's name of it."""
    records.ended(Ended(error=error).session())
    found = {
        name: value for name, value in last(lines).items() if name.startswith("error.")
    }
    assert found == fields


def test_connection_without_a_byte_has_no_dialect(
    records: AccessLog, lines: Lines, counters: Counters
) -> None:
    """Who said nothing spoke neither dialect."""
    records.ended(Ended().session())
    assert last(lines)["netduet.dialect"] == "none"
    assert (counters.plain, counters.framed) == (0, 0)


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({}, "debug"),
        ({"peer": ("::1", 9)}, "debug"),
        ({"peer": ("192.0.2.1", 9)}, "info"),
        ({"ended": "eof"}, "info"),
        ({"said": OPENING + serialize(Kind.ECHO) + serialize(Kind.END)}, "info"),
    ],
)
def test_health_check_is_not_worth_a_line(
    records: AccessLog, lines: Lines, facts: dict[str, Any], level: str
) -> None:
    """The check on loopback that asks nothing is logged at debug level alone."""
    known = {
        "said": OPENING + serialize(Kind.END),
        "peer": ("127.0.0.1", 9),
        "ended": "end",
        "conn_id": "f" * 32,
    }
    records.ended(Ended(**(known | facts)).session())
    assert last(lines)["level"] == level


def test_refusals_are_said_once_a_period(
    records: AccessLog, lines: Lines, counters: Counters
) -> None:
    """The first refusal is said at once, the others in sum when a period is over."""
    refused = Ended(admitted=AdmissionDecision.REFUSED_TOTAL).session()
    away = Ended(admitted=AdmissionDecision.TURNED_AWAY).session()
    for number in range(100):
        records.refused(refused if number % 2 else away, 5.0 + number * 0.01)
    assert last(lines)["netduet.refused"] == 1
    records.refused(away, 5.0 + PERIOD)
    assert [line["netduet.refused"] for line in lines.all] == [1, 100]
    assert {line["event"] for line in lines.all} == {"server.limit_reached"}
    assert (counters.refused, counters.turned_away) == (50, 51)


def test_refused_session_ends_without_a_line(
    records: AccessLog, lines: Lines, counters: Counters
) -> None:
    """A flood of refused connections fills no log, but its bytes are counted."""
    records.ended(Ended(b"Hello", admitted=AdmissionDecision.REFUSED_TOTAL).session())
    assert lines.all == []
    assert (counters.plain, counters.bytes_received) == (0, 5)


def test_limits_are_counted_by_name(counters: Counters) -> None:
    """Each limit that ends connections has a counter of its own."""
    for name in ("idle", "write", "idle"):
        counters.limit(name)
    assert counters.limits == {"idle": 2, "write": 1}
