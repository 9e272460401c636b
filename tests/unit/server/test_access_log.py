"""The access log: what is counted and logged, at which level, how often."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog

from netduet.server.access_log import REFUSAL_INTERVAL, AccessLog
from netduet.server.address import Address
from netduet.server.admission import Admission, AdmissionDecision
from netduet.server.client_runs import QUIET_SECONDS, ClientRuns
from netduet.server.connection_record import ConnectionRecord
from netduet.server.counters import Counters
from netduet.server.line_budget import (
    INTERVAL_SECONDS,
    MAX_LINES,
    MAX_LINES_PER_CLIENT,
)
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
    run_id: int = 0,
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
        run_id=run_id,
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


NOW = 1000.0
REFUSED = AdmissionDecision.REFUSED_TOTAL
TURNED_AWAY = AdmissionDecision.TURNED_AWAY
RUN = 0xABCDEF0123456789
OPENING = MAGIC + serialize(Kind.OPEN, b'{"version":1,"nonce":"%s"}' % (b"0" * 32))


def last(lines: LogLines) -> dict[str, Any]:
    """Return the only line."""
    [line] = lines.all
    return line


def test_plain_connection_is_one_line(
    access_log: AccessLog, lines: LogLines, counters: Counters
) -> None:
    """A plain connection is logged with its text, its end and its bytes."""
    access_log.closed(record(b"Hello, server!", ended="greeted"), NOW)
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
    access_log.closed(record(data, conn_id="f" * 32, peer=("2001:db8::1", 1)), NOW)
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
    access_log.closed(record(error=error), NOW)
    found = {
        name: value for name, value in last(lines).items() if name.startswith("error.")
    }
    assert found == fields


def test_connection_without_a_byte_has_no_dialect(
    access_log: AccessLog, lines: LogLines, counters: Counters
) -> None:
    """A peer that sent nothing used neither dialect; its address has a run."""
    access_log.closed(record(), NOW)
    assert last(lines)["netduet.dialect"] == "none"
    assert (counters.plain, counters.framed) == (0, 0)


@pytest.mark.parametrize(
    ("facts", "runs"),
    [
        ({}, 0),
        ({"peer": ("::1", 9)}, 0),
        ({"peer": ("192.0.2.1", 9)}, 1),
        ({"ended": "eof"}, 1),
        ({"run_id": RUN}, 1),
        ({"data": OPENING + serialize(Kind.ECHO) + serialize(Kind.END)}, 1),
    ],
)
def test_health_check_is_no_run(
    access_log: AccessLog, lines: LogLines, facts: dict[str, Any], runs: int
) -> None:
    """A connection over loopback without a question is logged at debug only."""
    known = {
        "data": OPENING + serialize(Kind.END),
        "peer": ("127.0.0.1", 9),
        "ended": "end",
        "conn_id": "f" * 32,
    }
    entry = record(**(known | facts))
    access_log.opened(entry.peer[0], entry.run_id, NOW)
    access_log.closed(entry, NOW)
    assert last(lines)["level"] == "debug"
    access_log.close(NOW)
    assert len(lines.of("run.finished")) == runs


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
    access_log.closed(record(b"Hello", served=False), NOW)
    assert lines.all == []
    assert (counters.plain, counters.bytes_received) == (0, 5)


def test_limits_are_counted_by_name(counters: Counters) -> None:
    """Each limit that ends connections has its own counter."""
    for name in ("idle", "write", "idle"):
        counters.limit(name)
    assert counters.limits == {"idle": 2, "write": 1}


# Runs


def test_run_is_one_line(access_log: AccessLog, lines: LogLines) -> None:
    """Connections of a run are added up; the line comes once they have been closed."""
    data = OPENING + serialize(Kind.ECHO, b"x")
    for number in range(3):
        access_log.opened("192.0.2.1", RUN, NOW + number)
    access_log.datagram("192.0.2.1")
    access_log.refused("192.0.2.1", TURNED_AWAY, NOW)
    opened = {"conn_id": "f" * 32, "run_id": RUN}
    access_log.closed(record(data, ended="end", **opened), NOW + 3)
    access_log.closed(record(data, ended="end", **opened), NOW + 3)
    access_log.sweep(NOW + QUIET_SECONDS + 20)
    assert lines.of("run.finished") == []  # a connection is still open
    broken = RemoteError(Code.TOO_LARGE, "much")
    entry = record(data, error=broken, **opened)
    access_log.closed(entry, NOW + 30)
    access_log.sweep(NOW + 30 + QUIET_SECONDS - 1)
    assert lines.of("run.finished") == []
    access_log.sweep(NOW + 30 + QUIET_SECONDS)
    assert lines.of("run.finished") == [
        {
            "event": "run.finished",
            "level": "info",
            "client.address": "192.0.2.1",
            "netduet.run": "abcdef0123456789",
            "netduet.connections": 3,
            "netduet.bytes_received": 3 * len(data),
            "netduet.bytes_sent": 3 * len(MAGIC),
            "netduet.frames_received": 6,
            "netduet.frames_sent": 0,
            "netduet.ended_by_client": {"end": 2, "eof": 1},
            "netduet.errors": {"too_large": 1},
            "netduet.refused": 1,
            "netduet.datagrams": 1,
            "netduet.duration_s": 30.0,
        }
    ]
    assert {line["level"] for line in lines.of("connection.closed")} == {"debug"}
    access_log.close(NOW + 60)
    assert len(lines.of("run.finished")) == 1


def test_stalls_of_the_server_are_in_the_line(
    lines: LogLines, counters: Counters
) -> None:
    """A run says for how long of it the server did not run, and nothing else if never."""
    stalled = iter([5.0, 5.5, 5.5, 5.5])
    log = AccessLog(
        lines.logger(),
        counters,
        Admission(10, 5, 100_000),
        max_text=9,
        stalled=lambda: next(stalled),
    )
    log.opened("192.0.2.1", RUN, NOW)
    log.close(NOW + 1)
    log.opened("192.0.2.1", RUN, NOW)
    log.close(NOW + 1)
    first, second = lines.of("run.finished")
    assert first["netduet.stalled_s"] == 0.5
    assert first["netduet.open"] == 1
    assert "netduet.stalled_s" not in second


def test_long_run_has_a_line_at_growing_intervals(
    access_log: AccessLog, lines: LogLines
) -> None:
    """A watch of a day: after 1, 3, 7, 15 and 25 minutes, then every 10 minutes."""
    access_log.opened("192.0.2.1", RUN, 0.0)
    minutes = []
    for minute in range(1, 24 * 60 + 1):
        access_log.sweep(minute * 60.0)
        if len(lines.of("run.progress")) > len(minutes):
            minutes.append(minute)
    assert minutes[:6] == [1, 3, 7, 15, 25, 35]
    assert len(minutes) == 146
    assert lines.all[-1]["netduet.open"] == 1


# The bound on lines


def test_flood_of_texts_is_summed_up(access_log: AccessLog, lines: LogLines) -> None:
    """Beyond the bound, lines are at debug, and one line counts them."""
    for number in range(100):
        access_log.closed(record(b"x" * 10), NOW + number / 100)
    levels = [line["level"] for line in lines.of("connection.closed")]
    assert levels == ["info"] * MAX_LINES_PER_CLIENT + ["debug"] * (
        100 - MAX_LINES_PER_CLIENT
    )
    access_log.sweep(NOW + INTERVAL_SECONDS - 1)
    assert lines.of("logs.suppressed") == []
    access_log.sweep(NOW + INTERVAL_SECONDS + 1)
    [line] = lines.of("logs.suppressed")
    assert line["level"] == "warning"
    assert line["netduet.suppressed"] == line["netduet.connections"] == 80
    assert line["netduet.bytes_received"] == 800
    assert line["client.address"] == "192.0.2.1"
    access_log.closed(record(b"x"), NOW + INTERVAL_SECONDS + 1)
    assert lines.all[-1]["level"] == "info"


def test_client_that_invents_runs_is_bounded(
    lines: LogLines, counters: Counters
) -> None:
    """Memory and lines are bounded however many ids come, and nothing goes uncounted."""
    runs = ClientRuns(max_runs=50)
    log = AccessLog(
        lines.logger(), counters, Admission(10, 5, 100_000), max_text=9, runs=runs
    )
    log.opened("192.0.2.9", RUN, NOW)
    for number in range(1000):
        log.opened("192.0.2.1", RUN + number, NOW)
        entry = record(OPENING, conn_id="f" * 32, run_id=RUN + number)
        log.closed(entry, NOW)
        assert len(runs) <= 50
    log.sweep(NOW + INTERVAL_SECONDS - 1)
    written = lines.of("run.finished")
    # The other client's run was pushed out, and has its line.
    assert len(written) == MAX_LINES_PER_CLIENT + 1
    assert written[0]["client.address"] == "192.0.2.9"
    log.sweep(NOW + INTERVAL_SECONDS + 1)
    [summed_up] = lines.of("logs.suppressed")
    counted = [*written, summed_up]
    assert sum(line["netduet.connections"] for line in counted) == 1000


def test_flood_from_many_addresses_is_bounded(
    access_log: AccessLog, lines: LogLines
) -> None:
    """All clients together have a bound, too."""
    for number in range(1000):
        peer = (f"192.0.{number // 250}.{number % 250}", 1)
        access_log.closed(record(b"x", peer=peer), NOW)
    assert sum(line["level"] == "info" for line in lines.all) == MAX_LINES


def test_stop_writes_every_open_run(access_log: AccessLog, lines: LogLines) -> None:
    """At the end each run has its line, beyond the bound as well."""
    for number in range(2 * MAX_LINES_PER_CLIENT):
        access_log.opened("192.0.2.1", RUN + number, NOW)
    access_log.close(NOW)
    assert len(lines.of("run.finished")) == 2 * MAX_LINES_PER_CLIENT


def test_level_info_renders_no_single_connection(
    lines: LogLines, counters: Counters
) -> None:
    """At level info a connection of a run costs no line, and is counted."""
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    quiet = structlog.wrap_logger(
        None, processors=lines.logger()._processors, wrapper_class=wrapper
    )
    log = AccessLog(quiet, counters, Admission(10, 5, 100_000), max_text=9)
    log.closed(record(OPENING, conn_id="f" * 32), NOW)
    assert lines.all == []
    assert counters.framed == 1
    log.close(NOW)
    assert [line["event"] for line in lines.all] == ["run.finished"]
