"""The ledger: open entries, closed ones, and its limit."""

from __future__ import annotations

import json

from netduet.server.connection_record import ConnectionRecord
from netduet.server.ledger import ConnectionEntry, Ledger
from netduet.wire.connection import Connection
from netduet.wire.frames import MAGIC, Kind, serialize
from netduet.wire.messages import encode
from netduet.wire.state_machine import Limits, Role

PEER = ("192.0.2.1", 1024)


def entry(number: int, connection: Connection | None = None) -> ConnectionEntry:
    """Return an entry of a connection that was accepted at 100 s."""
    wire = connection or Connection(Role.SERVER, Limits(), 0.0)
    conn_id = f"{number:032x}"
    return ConnectionEntry(conn_id, PEER, 1_700_000_000.0, 100.0, wire)


def opened_connection() -> Connection:
    """Return a connection that has received an opening."""
    wire = Connection(Role.SERVER, Limits(), 0.0)
    opening = b'{"version":1,"nonce":"%s"}' % (b"0" * 32)
    wire.receive_data(MAGIC + serialize(Kind.OPEN, opening), 0.0)
    return wire


def close(entry: ConnectionEntry, wire: Connection, ended: str) -> None:
    """Close an entry 2.5 s after its connection was accepted."""
    record = ConnectionRecord.from_connection(
        wire,
        peer=PEER,
        local=("192.0.2.2", 12345),
        served=True,
        conn_id=entry.conn_id,
        run_id=0,
        ended=ended,
        ended_by="client",
        error=None,
        duration=2.5,
    )
    entry.close(record)


def test_oldest_entry_is_dropped_first() -> None:
    """The ledger keeps the latest entries up to its limit."""
    ledger = Ledger(3)
    for number in range(10):
        ledger.add(entry(number))
    assert len(ledger) == 3
    kept = [number for number in range(10) if ledger.find(f"{number:032x}")]
    assert kept == [7, 8, 9]


def test_unknown_connection_is_none() -> None:
    """An id that was never there gives None."""
    assert Ledger(3).find("f" * 32) is None


def test_live_entry_follows_its_connection() -> None:
    """While a connection is open its entry has its current counters."""
    alive = opened_connection()
    live = entry(1, alive)
    before = live.message(100.5)
    assert (before.bytes_received, before.frames_received) == (alive.bytes_received, 1)
    assert (before.ended, before.duration) == (None, 0.5)
    alive.receive_data(serialize(Kind.ECHO, b"x"), 1.0)
    assert live.message(101.0).frames_received == 2


def test_closed_entry_is_frozen() -> None:
    """A close freezes counters, time and cause, and releases the connection."""
    alive = opened_connection()
    closed = entry(1, alive)
    close(closed, alive, "reset")
    alive.receive_data(serialize(Kind.ECHO, b"x"), 3.0)
    message = closed.message(1000.0)
    assert closed.state is closed.record
    assert (message.ended, message.ended_by) == ("reset", "client")
    assert message.duration == 2.5
    assert message.frames_received == 1


def test_closed_entry_has_no_descriptor() -> None:
    """The number of a closed descriptor may already be reused."""
    wire = opened_connection()
    live = entry(1, wire)
    live.descriptor = lambda: 7
    assert live.descriptor() == 7
    close(live, wire, "eof")
    assert live.descriptor is None


def test_message_has_all_fields_of_an_entry() -> None:
    """The message has every field in plain JSON."""
    message = json.loads(encode(entry(1).message(100.0)))
    assert message == {
        "conn_id": f"{1:032x}",
        "peer": {"address": "192.0.2.1", "port": 1024},
        "opened_at": 1_700_000_000.0,
        "duration": 0.0,
        "bytes_received": 0,
        "bytes_sent": 0,
        "frames_received": 0,
        "frames_sent": 0,
        "ended": None,
        "ended_by": None,
    }
