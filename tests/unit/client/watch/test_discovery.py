"""Which peers a client watches: rendezvous hashing, and names that change."""

from __future__ import annotations

import random
import socket
from collections import Counter

from netduet.client.net.dial import Address, Cause, Resolution
from netduet.client.results.target import parse_target
from netduet.client.watch.discovery import (
    DEPARTED_SECONDS,
    EMPTY_SECONDS,
    MAX_ABSENT_SECONDS,
    MAX_DEPARTED,
    PATIENCE_SECONDS,
    ResolvedTarget,
    TargetSet,
    choose,
    is_local_address,
)


def addresses(count: int, first: int = 0) -> list[Address]:
    """Return this number of addresses of a network."""
    return [
        Address(socket.AF_INET, f"10.0.{number // 256}.{number % 256}", 12345)
        for number in range(first, first + count)
    ]


def test_choice_does_not_depend_on_order() -> None:
    """The same client gets the same peers; another client gets others."""
    candidates = addresses(50)
    assert choose(candidates, "a", 8) == choose(
        [*reversed(candidates), candidates[0]], "a", 8
    )
    assert len(set(choose(candidates, "a", 8))) == 8
    assert choose(candidates, "a", 8) != choose(candidates, "b", 8)
    assert len(choose(candidates, "a", 0)) == 50
    assert len(choose(candidates[:3], "a", 8)) == 3


def test_added_address_moves_few_choices() -> None:
    """One more of n addresses takes about 1/n of the choices; no others move."""
    candidates = addresses(100)
    new = addresses(1, first=100)
    moved = 0
    for number in range(200):
        before = set(choose(candidates, f"client-{number}", 8))
        after = set(choose([*candidates, *new], f"client-{number}", 8))
        assert after - before <= set(new)
        assert len(before - after) == len(after - before)
        moved += len(after - before)
    assert 0 < moved < 2 * 200 * 8 / 101
    # What leaves is replaced, and nothing else.
    gone = candidates[0]
    for number in range(50):
        before = set(choose(candidates, f"client-{number}", 8))
        after = set(choose(candidates[1:], f"client-{number}", 8))
        assert before - after <= {gone}


def test_addresses_have_similar_numbers_of_watchers() -> None:
    """If each of n clients watches k of n, an address has about k watchers.

    By chance a share of e^-k has none: the metric of recent clients shows them.
    """
    candidates = addresses(200)
    watchers = Counter(
        address
        for number in range(200)
        for address in choose(candidates, f"c{number}", 8)
    )
    assert sum(not watchers[address] for address in candidates) <= 2
    assert max(watchers.values()) <= 24


def test_failed_lookup_keeps_the_addresses() -> None:
    """A failure is reported when it starts and ends, and removes no address."""
    named = ResolvedTarget(parse_target("web:1", 1))
    pair = tuple(addresses(2))
    assert not named.update(Resolution(pair, None, "", 0.0, 0.1))
    for reported in (True, False):
        failed = Resolution((), Cause.TIMEOUT, "no response in time", 1.0, 6.0)
        assert named.update(failed) is reported
        assert (named.addresses, named.error) == (pair, "no response in time")
    assert named.update(Resolution(pair[:1], None, "", 7.0, 7.1))
    assert (named.addresses, named.error, named.resolved) == (pair[:1], "", True)


def test_empty_answer_counts_only_when_caches_have_expired() -> None:
    """Two resolvers cache differently: an empty answer may follow one with addresses."""
    named = ResolvedTarget(parse_target("web:1", 1))

    def empty(at: float) -> Resolution:
        return Resolution((), Cause.NOT_FOUND, "no address", at, at, is_empty=True)

    pair = tuple(addresses(2))
    assert named.update(empty(0.0))
    assert (named.is_empty, named.resolved) == (True, False)
    assert named.update(Resolution(pair, None, "", 5.0, 5.0))
    assert not named.update(empty(5.0 + EMPTY_SECONDS - 1.0))
    assert (named.addresses, named.error, named.is_empty) == (pair, "", False)
    assert named.update(empty(5.0 + EMPTY_SECONDS))
    assert (named.addresses, named.error, named.is_empty) == (pair, "no address", True)


def test_loopback_is_not_left_out_as_own_address() -> None:
    """Only addresses that others could have too are left out as this host's own."""
    assert not is_local_address(Address(socket.AF_INET, "127.0.0.1", 1))
    assert not is_local_address(Address(socket.AF_INET6, "::1", 1))
    assert not is_local_address(Address(socket.AF_INET, "192.0.2.1", 1))


def answer(*found: Address) -> Resolution:
    """Return what a look-up says."""
    return Resolution(tuple(found), None, "", 0.0, 0.0)


def make_targets(most: int, *names: str) -> TargetSet:
    """Return who watches these names."""
    targets = [parse_target(name, 1) for name in names or ("web",)]
    return TargetSet(tuple(map(ResolvedTarget, targets)), "me", most)


def test_partial_answers_lead_to_the_choice_among_all() -> None:
    """A resolver gives 8 of 40, different each time: the choice is stable."""
    candidates = addresses(40)
    for most, give in ((8, 8), (8, 3), (0, 8)):
        target_set, chance = make_targets(most), random.Random(3)
        choices = []
        for number in range(200):
            target_set.update([answer(*chance.sample(candidates, give))], 5.0 * number)
            assert not target_set.expired(5.0 * number)
            assert len(target_set.chosen) <= (most or 40)
            choices.append(set(target_set.chosen))
        assert all(
            choice == set(choose(candidates, "me", most)) for choice in choices[100:]
        )


def test_missing_address_is_kept_for_a_time() -> None:
    """The time counts from the first answer without it, and restarts if it returns."""
    here, gone = addresses(2)
    target_set = make_targets(0)
    target_set.update([answer(here, gone)], 0.0)
    assert (set(target_set.chosen), target_set.absent_since) == ({here, gone}, {})
    target_set.update([answer(here)], 100.0)
    target_set.update([answer(here)], 200.0)
    assert (set(target_set.chosen), target_set.absent_since) == (
        {here, gone},
        {gone: 100.0},
    )
    assert target_set.has(here)
    assert not target_set.has(gone)
    assert target_set.expired(100.0 + MAX_ABSENT_SECONDS - 1) == []
    assert target_set.expired(100.0 + MAX_ABSENT_SECONDS) == [gone]
    target_set.update([answer(here, gone)], 300.0)
    assert target_set.absent_since == {}
    target_set.update([answer(here)], 305.0)
    target_set.forget(gone)
    target_set.update([answer(here)], 310.0)
    assert (set(target_set.chosen), target_set.absent_since) == ({here}, {})
    target_set.update([answer(here, gone)], 315.0)
    assert set(target_set.chosen) == {here, gone}


def test_kept_address_takes_a_place_in_the_choice() -> None:
    """It is ranked as if the name still had it, without an extra place."""
    first, second, third = choose(addresses(3), "me", 0)
    target_set = make_targets(2)
    target_set.update([answer(first, third)], 0.0)
    target_set.update([answer(second, third)], 5.0)
    assert (set(target_set.chosen), set(target_set.absent_since)) == (
        {first, second},
        {first},
    )
    target_set = make_targets(2)
    target_set.update([answer(second, third)], 0.0)
    target_set.update([answer(first, second)], 5.0)
    assert (set(target_set.chosen), target_set.absent_since) == ({first, second}, {})


def test_failed_lookup_expires_nothing() -> None:
    """Addresses of the name stay and do not age."""
    candidates = addresses(3)
    target_set = make_targets(0)
    target_set.update([answer(*candidates)], 0.0)
    target_set.update(
        [Resolution((), Cause.TIMEOUT, "no response in time", 1.0, 6.0)], 6.0
    )
    assert (set(target_set.chosen), target_set.absent_since) == (set(candidates), {})


def test_address_with_another_name_does_not_expire() -> None:
    """It belongs to that name from then on."""
    here, both = addresses(2)
    target_set = make_targets(0, "web", "db")
    target_set.update([answer(here, both), answer(both)], 0.0)
    target_set.update([answer(here), answer(both)], 5.0)
    assert (target_set.chosen, target_set.absent_since) == (
        {here: "web:1", both: "db:1"},
        {},
    )


def test_departed_address_is_not_taken_back_from_stale_answers() -> None:
    """Two resolvers disagree; only an instance that answers there brings it back."""
    here, gone = addresses(2)
    target_set = make_targets(0)
    target_set.update([answer(here, gone)], 0.0)
    target_set.depart(gone, 1.0, announced=True)
    for second in range(2, 1000, 5):
        found = (here, gone) if second % 2 else (here,)
        target_set.update([answer(*found)], float(second))
        assert set(target_set.chosen) == {here}
    target_set.update([answer(here, gone)], 1000.0)
    assert target_set.listed_departures() == {gone: "web:1"}
    target_set.take_back(gone, 1001.0)
    assert set(target_set.chosen) == {here, gone}


def test_departure_without_announcement_is_over_after_a_time() -> None:
    """It was out when one resolver dropped it, but the name has it after all."""
    here, gone = addresses(2)
    target_set = make_targets(0)
    target_set.update([answer(here, gone)], 0.0)
    target_set.depart(gone, 0.0, announced=False)
    target_set.update([answer(here, gone)], DEPARTED_SECONDS - 1)
    assert set(target_set.chosen) == {here}
    target_set.update([answer(here, gone)], DEPARTED_SECONDS)
    assert set(target_set.chosen) == {here, gone}


def test_departures_are_forgotten() -> None:
    """Those that no name has had for long, and the oldest of very many."""
    here, gone = addresses(2)
    target_set = make_targets(0)
    target_set.update([answer(here, gone)], 0.0)
    target_set.depart(gone, 0.0, announced=True)
    target_set.update([answer(here)], MAX_ABSENT_SECONDS - 1)
    assert set(target_set.departed) == {gone}
    target_set.update([answer(here)], MAX_ABSENT_SECONDS)
    assert not target_set.departed
    for address in addresses(MAX_DEPARTED + 5):
        target_set.depart(address, 0.0, announced=True)
    assert len(target_set.departed) == MAX_DEPARTED


def test_departed_address_takes_no_place_in_the_choice() -> None:
    """The next one is watched instead."""
    first, second, third = choose(addresses(3), "me", 0)
    target_set = make_targets(2)
    target_set.update([answer(first, second, third)], 0.0)
    target_set.depart(first, 1.0, announced=True)
    target_set.update([answer(first, second, third)], 2.0)
    assert set(target_set.chosen) == {second, third}


def test_only_addresses_of_names_may_be_stale() -> None:
    """An IP address that does not answer is out at once."""
    assert ResolvedTarget(parse_target("web:1", 1)).patience == PATIENCE_SECONDS
    for host in ("192.0.2.1", "[2001:db8::1]"):
        assert ResolvedTarget(parse_target(f"{host}:1", 1)).patience == 0.0
