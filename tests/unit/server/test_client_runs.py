"""The table of runs: by address and id, bounded, and what a new run takes over."""

from __future__ import annotations

from netduet.server.client_runs import QUIET_SECONDS, ClientRuns

ADDRESS = "192.0.2.1"
A, B = 2**32 + 1, 2**63


def test_ids_of_an_address_are_separate_runs() -> None:
    """The same id from another address is another run, too."""
    runs = ClientRuns()
    first, _ = runs.get(ADDRESS, A, 0.0)
    assert runs.get(ADDRESS, A, 1.0) == (first, None)
    assert runs.get(ADDRESS, B, 1.0)[0] is not first
    assert runs.get("192.0.2.2", A, 1.0)[0] is not first
    assert len(runs) == 3


def test_latest_run_of_an_address() -> None:
    """It is the one that was active last; when it ends, the one before."""
    runs = ClientRuns()
    assert runs.latest(ADDRESS) is None
    first, _ = runs.get(ADDRESS, A, 0.0)
    second, _ = runs.get(ADDRESS, B, 0.0)
    assert runs.latest(ADDRESS) is second
    runs.get(ADDRESS, A, 1.0)
    assert runs.latest(ADDRESS) is first
    runs.remove(first)
    assert runs.latest(ADDRESS) is second
    runs.remove(second)
    assert runs.latest(ADDRESS) is None


def test_full_table_pushes_out_the_run_that_was_idle_longest() -> None:
    """The one that was just active stays."""
    runs = ClientRuns(max_runs=2)
    first, _ = runs.get(ADDRESS, A, 0.0)
    second, _ = runs.get(ADDRESS, B, 0.0)
    runs.get(ADDRESS, A, 1.0)
    _, pushed_out = runs.get("192.0.2.2", A, 2.0)
    assert pushed_out is second
    assert first in list(runs)
    assert len(runs) == 2


def test_run_takes_over_what_came_before_its_first_opening() -> None:
    """A connection without a byte, just before, is part of the run."""
    runs = ClientRuns()
    before, _ = runs.get(ADDRESS, 0, 0.0, 3.0)
    before.totals.connections = before.totals.silent = 1
    run, _ = runs.get(ADDRESS, A, 2.0, 4.0)
    assert (run.start, run.stalled_before) == (0.0, 3.0)
    assert run.totals.silent == 1
    assert list(runs) == [run]


def test_run_leaves_what_another_client_does() -> None:
    """A client without ids behind the same address keeps its own run."""
    runs = ClientRuns()
    old, _ = runs.get(ADDRESS, 0, 0.0)
    old.totals.opened = 1
    runs.get(ADDRESS, A, 2.0)
    assert old in list(runs)
    busy, _ = runs.get("192.0.2.2", 0, 0.0)
    busy.open = 1
    runs.get("192.0.2.2", A, 2.0)
    assert busy in list(runs)


def test_datagrams_keep_a_run_going() -> None:
    """A run that only sends datagrams is not over."""
    run, _ = ClientRuns().get(ADDRESS, A, 0.0)
    run.totals.datagrams = 5
    assert not run.is_over(QUIET_SECONDS)
    assert not run.is_over(2 * QUIET_SECONDS - 1)
    assert run.is_over(2 * QUIET_SECONDS)
