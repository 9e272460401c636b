"""Lines about several peers that are close in time."""

from __future__ import annotations

from netduet.client.watch.line_groups import (
    ADDED,
    GROUP_SECONDS,
    IDENTIFIED,
    MAX_SUBJECTS,
    LineGroups,
    removed,
)


def test_lines_of_a_kind_are_one_line() -> None:
    """Each kind has its line, when the oldest of them has waited."""
    groups = LineGroups()
    for number in range(3):
        groups.add(ADDED, f"peer-{number}", number / 10)
    groups.add(removed("it {left}"), "peer-8", 0.5)
    groups.add(removed("it {left}"), "peer-9", 0.5)
    groups.add(IDENTIFIED, "peer-0 is instance a", 1.0)
    groups.add(IDENTIFIED, "peer-1 is instance b", 1.0)
    assert groups.take(GROUP_SECONDS - 0.1, all_of_them=False) == []
    assert groups.take(GROUP_SECONDS, all_of_them=False) == [
        ("+", "now watching 3 addresses: peer-0, peer-1, peer-2"),
        ("-", "2 peers are no longer watched: peer-8, peer-9: it {left}"),
        ("IS", "peer-0 is instance a; peer-1 is instance b"),
    ]
    assert groups.take(100.0, all_of_them=True) == []


def test_single_line_is_as_before() -> None:
    """It waits too, unless another line must come behind it."""
    groups = LineGroups()
    groups.add(removed("no longer in DNS"), "peer-1", 5.0)
    assert groups.take(5.1, all_of_them=False) == []
    [line] = groups.take(5.1, all_of_them=True)
    assert line == ("-", "peer-1 is no longer watched: no longer in DNS")


def test_very_many_are_counted() -> None:
    """The first ones have their names."""
    groups = LineGroups()
    for number in range(MAX_SUBJECTS + 2):
        groups.add(ADDED, f"p{number}", 0.0)
    [(_, text)] = groups.take(0.0, all_of_them=True)
    assert text.endswith(f"p{MAX_SUBJECTS - 1} and 2 more")
