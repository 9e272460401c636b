"""Admission: the arithmetic of the limits."""

from __future__ import annotations

from netduet.server.admission import (
    LOBBY,
    LOCAL_CLIENTS,
    RESERVED,
    Admission,
    AdmissionDecision,
)

PLENTY = 100_000


def test_total_limit_covers_all_clients() -> None:
    """Beyond the limit each one is refused, and beyond the lobby reset."""
    admission = Admission(2, 2, PLENTY)
    outcomes = [admission.enter(f"192.0.2.{number}") for number in range(2 + LOBBY + 1)]
    assert outcomes[:2] == [AdmissionDecision.SERVED] * 2
    assert set(outcomes[2:-1]) == {AdmissionDecision.REFUSED_TOTAL}
    assert outcomes[-1] is AdmissionDecision.TURNED_AWAY


def test_client_limit_affects_that_client_only() -> None:
    """A client's own limit has its own lobby."""
    admission = Admission(1000, 1, PLENTY)
    assert admission.enter("192.0.2.1") is AdmissionDecision.SERVED
    for _ in range(LOBBY):
        assert admission.enter("192.0.2.1") is AdmissionDecision.REFUSED_CLIENT
    assert admission.enter("192.0.2.1") is AdmissionDecision.TURNED_AWAY
    assert admission.enter("192.0.2.2") is AdmissionDecision.SERVED


def test_closed_connection_frees_its_place() -> None:
    """Nothing is remembered about a client that left."""
    admission = Admission(1, 1, PLENTY)
    for number in range(1000):
        address = f"2001:db8::{number:x}"
        assert admission.enter(address) is AdmissionDecision.SERVED
        admission.leave(address)
    assert admission.open == 0
    assert admission._by_client == {}


def test_refused_connections_count_until_they_close() -> None:
    """A place in the lobby must be released too."""
    admission = Admission(1, 1, PLENTY)
    admission.enter("192.0.2.1")
    admission.enter("192.0.2.1")
    admission.leave("192.0.2.1")
    assert admission.enter("192.0.2.1") is AdmissionDecision.REFUSED_TOTAL
    admission.leave("192.0.2.1")
    admission.leave("192.0.2.1")
    assert admission.enter("192.0.2.1") is AdmissionDecision.SERVED


def test_few_descriptors_lower_the_limit() -> None:
    """The lobby and the process's own descriptors always fit."""
    admission = Admission(10_000, 10_000, 1024)
    assert admission.total == admission.per_client == 1024 - LOBBY - RESERVED
    assert Admission(100, 100, 1024).total == 100
    few = Admission(10_000, 10_000, RESERVED + 10)
    assert (few.total, few.lobby) == (5, 5)
    assert Admission(10_000, 10_000, 16).total == 1


def test_local_clients_are_told_however_many_others_come() -> None:
    """The health check must not fail because strangers fill the lobby."""
    admission = Admission(1, 1, PLENTY)
    for number in range(1 + LOBBY):
        admission.enter(f"192.0.2.{number}")
    for address in ("127.0.0.1", "::1"):
        decision = admission.enter(address)
        assert decision is AdmissionDecision.REFUSED_TOTAL
    assert admission.enter("192.0.2.200") is AdmissionDecision.TURNED_AWAY
    decisions = [admission.enter("127.0.0.1") for _ in range(LOCAL_CLIENTS)]
    assert decisions[-1] is AdmissionDecision.TURNED_AWAY
    assert set(decisions[:-1]) == {AdmissionDecision.REFUSED_TOTAL}


def test_refusal_names_open_files_that_set_the_limit() -> None:
    """Only if they do: a lower setting, or a client's own limit, is what it is."""
    few = Admission(1000, 2, 2 * LOBBY + RESERVED)
    total = few.refusal(AdmissionDecision.REFUSED_TOTAL)
    mine = few.refusal(AdmissionDecision.REFUSED_CLIENT)
    assert total is not None
    assert mine is not None
    assert total.facts == {"limit": LOBBY, "descriptors": 2 * LOBBY + RESERVED}
    assert f"{2 * LOBBY + RESERVED} open files" in total.message
    assert mine.facts == {"limit": 2}


def test_refusal_names_the_limit_that_was_reached() -> None:
    """It has the number of connections and whose limit it is."""
    admission = Admission(5, 2, PLENTY)
    assert admission.refusal(AdmissionDecision.SERVED) is None
    mine = admission.refusal(AdmissionDecision.REFUSED_CLIENT)
    total = admission.refusal(AdmissionDecision.REFUSED_TOTAL)
    assert mine is not None
    assert total is not None
    assert (mine.facts, total.facts) == ({"limit": 2}, {"limit": 5})
    assert "from this address" in mine.message
    assert "in total" in total.message
