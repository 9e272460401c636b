"""The sum of connections: what is counted, and which fields a line has."""

from __future__ import annotations

from netduet.server.connection_totals import ConnectionTotals


def totals(**counts: int) -> ConnectionTotals:
    """Return a sum with these counts, with an end and an error of its own."""
    return ConnectionTotals(
        **counts,
        ends={("client", "end"): 2, ("server", "limit.idle"): 1},
        errors={"idle": 1},
    )


def test_merge_adds_every_field() -> None:
    """Each number of both sums is in the result: none is forgotten."""
    numbers = [
        name
        for name in ConnectionTotals.__slots__
        if isinstance(getattr(ConnectionTotals(), name), int)
    ]
    merged = totals(**dict.fromkeys(numbers, 1))
    merged.merge(totals(**dict.fromkeys(numbers, 2)))
    assert {getattr(merged, name) for name in numbers} == {3}
    assert merged.ends == {("client", "end"): 4, ("server", "limit.idle"): 2}
    assert merged.errors == {"idle": 2}


def test_line_names_who_ended_and_leaves_out_zeros() -> None:
    """Ends are grouped by side; a count that is usually zero is there only if not."""
    fields = totals(connections=3, silent=1).fields()
    assert fields["netduet.ended_by_client"] == {"end": 2}
    assert fields["netduet.ended_by_server"] == {"limit.idle": 1}
    assert fields["netduet.silent"] == 1
    assert not {"netduet.refused", "netduet.datagrams"} & set(fields)
    assert "netduet.errors" not in ConnectionTotals().fields()
