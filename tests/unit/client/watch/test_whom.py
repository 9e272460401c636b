"""Whom a client watches: rendezvous hashing, and names that change."""

from __future__ import annotations

import socket
from collections import Counter

from netduet.client.dial import Address, Cause, Resolution
from netduet.client.target import parse_target
from netduet.client.watch.whom import Named, choose, is_own


def addresses(count: int, first: int = 0) -> list[Address]:
    """Return so many addresses of a network."""
    return [
        Address(socket.AF_INET, f"10.0.{number // 256}.{number % 256}", 12345)
        for number in range(first, first + count)
    ]


def test_choice_is_the_same_whatever_the_order() -> None:
    """Who asks twice is told the same, and others are told something else."""
    some = addresses(50)
    assert choose(some, "a", 8) == choose([*reversed(some), some[0]], "a", 8)
    assert len(set(choose(some, "a", 8))) == 8
    assert choose(some, "a", 8) != choose(some, "b", 8)
    assert len(choose(some, "a", 0)) == 50
    assert len(choose(some[:3], "a", 8)) == 3


def test_address_that_comes_or_goes_moves_few_choices() -> None:
    """Of n addresses one more takes about 1/n of all choices, and none moves between others."""
    some = addresses(100)
    new = addresses(1, first=100)
    moved = 0
    for number in range(200):
        before = set(choose(some, f"client-{number}", 8))
        after = set(choose([*some, *new], f"client-{number}", 8))
        assert after - before <= set(new)
        assert len(before - after) == len(after - before)
        moved += len(after - before)
    assert 0 < moved < 2 * 200 * 8 / 101
    # What leaves is replaced, and nothing else.
    gone = some[0]
    for number in range(50):
        before = set(choose(some, f"client-{number}", 8))
        after = set(choose(some[1:], f"client-{number}", 8))
        assert before - after <= {gone}


def test_everybody_is_watched_by_about_as_many() -> None:
    """Where each of n takes k of n, each has about k watchers, and hardly one has none.

    Chance leaves a share of e^-k to nobody: their servers tell, by whom they see.
    """
    some = addresses(200)
    watchers = Counter(
        address for number in range(200) for address in choose(some, f"c{number}", 8)
    )
    assert sum(not watchers[one] for one in some) <= 2
    assert max(watchers.values()) <= 24


def test_name_that_does_not_resolve_keeps_its_addresses() -> None:
    """Trouble is told when it begins and when it ends, and takes no address away."""
    named = Named(parse_target("web:1", 1))
    two = tuple(addresses(2))
    assert not named.take(Resolution(two, None, "", 0.0, 0.1))
    for told in (True, False):
        failed = Resolution((), Cause.TIMEOUT, "no answer in time", 1.0, 6.0)
        assert named.take(failed) is told
        assert (named.addresses, named.trouble) == (two, "no answer in time")
    assert named.take(Resolution(two[:1], None, "", 7.0, 7.1))
    assert (named.addresses, named.trouble, named.resolved) == (two[:1], "", True)


def test_loopback_is_nobodys_own() -> None:
    """Only addresses that others could have too are left out as this host's own."""
    assert not is_own(Address(socket.AF_INET, "127.0.0.1", 1))
    assert not is_own(Address(socket.AF_INET6, "::1", 1))
    assert not is_own(Address(socket.AF_INET, "192.0.2.1", 1))
