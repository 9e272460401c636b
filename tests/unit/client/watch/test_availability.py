"""Availability and outages of a watch, in numbers and as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.client.outages.outage import (
    UNAVAILABLE_CLASSES,
    Outage,
    OutageEnded,
    OutageNotice,
    OutageOpen,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.report.text import plain
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location
from netduet.client.watch import text
from netduet.client.watch.availability import (
    MAX_REMEMBERED,
    AvailabilityTracker,
    OutageTotals,
)


def make_outage(
    start: float,
    end: float,
    failure: str = "stream.outage",
    where: Location = Location.TO_SERVER,
) -> Outage:
    """Return an outage."""
    return Outage(failure, where, start, end, "nothing arrived")


def make_tracker(*outages: Outage) -> AvailabilityTracker:
    """Return the account of two peers, of which the first had outages."""
    made = AvailabilityTracker(0.0, history=100)
    made.add("a", "web", 0.0)
    made.add("b", "web", 0.0)
    for outage in outages:
        made.record("a", OutageEnded(1, outage))
    return made


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 2.0), (5.0, 6.5)], 2.5),
        ([(1.0, 4.0), (2.0, 3.0)], 3.0),
        ([(1.0, 4.0), (3.0, 5.0)], 4.0),
    ],
)
def test_overlapping_outages_count_once(
    spans: list[tuple[float, float]], seconds: float
) -> None:
    """Outages that overlap count once."""
    total = OutageTotals()
    for start, end in spans:
        total.add(make_outage(start, end))
    assert total.seconds == seconds
    assert total.outages == len(spans)


def test_availability_is_the_share_of_time_without_outage() -> None:
    """Of two peers watched for 100 seconds, one was out for 10."""
    summary = make_tracker(
        make_outage(10, 14), make_outage(20, 26, where=Location.FROM_SERVER)
    ).summary(100.0)
    assert summary.availability == pytest.approx(0.95)
    assert (summary.outages, summary.longest_seconds, summary.peers) == (2, 6, 2)
    assert summary.counts == {
        ("stream.outage", "to_server"): 1,
        ("stream.outage", "from_server"): 1,
    }
    assert [row.peer for row in summary.rows] == ["a", "b"]


def test_inconclusive_and_harmless_outages_do_not_count() -> None:
    """An old connection that stalls, and what starvation explains, cost nothing."""
    old = make_outage(10, 20, "stream.old_connections", Location.INTERMEDIARY)
    starved = Outage("stream.outage", Location.TO_SERVER, 30, 40, "", proven=False)
    summary = make_tracker(old, starved).summary(100.0)
    assert summary.availability == 1.0
    assert (summary.outages, summary.unproven) == (1, 1)
    assert "stream.old_connections" not in UNAVAILABLE_CLASSES


def test_open_outage_counts_up_to_now() -> None:
    """It lowers the availability before it is over."""
    made = make_tracker()
    made.peers["a"].ongoing = make_outage(90, 91)
    assert made.summary(100.0).availability == pytest.approx(0.95)


def test_counter_of_time_out_advances_and_never_falls() -> None:
    """It has the seconds of an ongoing outage, also if they prove nothing later."""
    tracker = make_tracker(make_outage(10, 12))
    peer = tracker.peers["a"]
    assert peer.count_down(50.0) == 2.0
    peer.ongoing = make_outage(60, 61)
    assert tracker.ongoing(63.0) == {("stream.outage", "to_server"): 3.0}
    assert (peer.count_down(63.0), peer.count_down(65.0)) == (5.0, 7.0)
    unproven = replace(make_outage(60, 65), proven=False)
    tracker.record("a", OutageEnded(2, unproven))
    assert (peer.down_seconds(66.0), peer.count_down(66.0)) == (2.0, 7.0)
    tracker.record("a", OutageEnded(3, make_outage(70, 71)))
    assert peer.count_down(72.0) == 8.0
    assert tracker.by_target(72.0)["web"].down_seconds == 8.0


def test_peer_that_never_answered_has_no_availability() -> None:
    """It is 0, and the summary says why, whether or not an outage was reported."""
    tracker = make_tracker()
    tracker.peers["a"].reached = False
    tracker.peers["b"].reached = True
    summary = tracker.summary(100.0)
    assert summary.availability == pytest.approx(0.5)
    assert summary.never_reached == ("a",)
    lines = [plain(line) for line in text.summary(summary, 0.0)]
    assert "  a (web): never reached, 0.000 %" in lines
    tracker.peers["a"].reached = True
    assert tracker.summary(100.0).never_reached == ()


def test_removed_peer_of_which_nothing_is_known_counts_for_nothing() -> None:
    """A stale answer of DNS had it, and no outage of it was reported."""
    tracker = AvailabilityTracker(0.0, 10)
    for peer in ("a", "b"):
        tracker.add(peer, "web", 0.0)
    tracker.remove("b", 5.0, reached=False)
    summary = tracker.summary(10.0)
    assert (summary.peers, summary.watched_seconds, summary.down_seconds) == (1, 10, 0)
    assert [row.peer for row in summary.rows] == ["a"]


def test_name_that_never_had_an_address_was_never_reached() -> None:
    """Nothing could be watched: that is no missing value, but 0."""
    summary = AvailabilityTracker(0.0, 10).summary(60.0, ("db:5432",))
    assert (summary.availability, summary.never_reached) == (0.0, ("db:5432",))
    printed = "\n".join(plain(line) for line in text.summary(summary, 0.0))
    assert "availability 0.000 %" in printed
    assert "db:5432: never reached, since it never had an address" in printed


def test_open_outage_counts_at_the_end_of_the_watch() -> None:
    """It is in the summary as not over."""
    tracker = make_tracker(make_outage(10, 12))
    ongoing = replace(make_outage(90, 100), ended=False)
    tracker.record("a", OutageOpen(2, ongoing))
    summary = tracker.summary(100.0)
    assert (summary.outages, summary.open_outages) == (2, 1)
    assert summary.down_seconds == 12.0
    printed = "\n".join(plain(line) for line in text.summary(summary, 0.0))
    assert "2 outages, the longest 10.00 s, 1 not over" in printed


def test_peer_that_left_during_an_outage_is_remembered() -> None:
    """Peers that come and go later do not crowd it out, and its metrics stay."""
    tracker = make_tracker(make_outage(10, 62, "watch.stale_dns", Location.SERVER))
    tracker.remove("a", 62.0)
    for number in range(300):
        tracker.add(f"c{number}", "web", 100.0)
        tracker.remove(f"c{number}", 100.0)
    printed = "\n".join(plain(row) for row in text.summary(tracker.summary(200.0), 0.0))
    assert "a (web): 16.129 %, 1 outage of 52.00 s, left during an outage" in printed
    (row,) = tracker.remembered()
    assert (row.peer, row.count_down(300.0)) == ("a", 52.0)
    assert tracker.by_target(300.0)["web"].outages == 1
    tracker.add("a", "web", 310.0)
    assert tracker.remembered() == []
    assert tracker.by_target(320.0)["web"].outages == 1


def test_remembered_peers_are_bounded() -> None:
    """Each has series of its own."""
    tracker = make_tracker()
    for number in range(90):
        tracker.add(f"c{number}", "web", 100.0)
        tracker.record(f"c{number}", OutageEnded(1, make_outage(101, 102)))
        tracker.remove(f"c{number}", 103.0)
    assert len(tracker.remembered()) == MAX_REMEMBERED
    assert tracker.remembered()[-1].peer == "c89"
    assert tracker.by_target(200.0)["web"].outages == 90


def test_clients_own_stall_is_not_watched_time() -> None:
    """Time in which the client did not run counts for no peer."""
    made = make_tracker()
    made.peers["a"].client_stalled = 60.0
    assert made.summary(100.0).watched_seconds == pytest.approx(140.0)


def test_removed_peer_still_counts() -> None:
    """Its numbers stay in the totals, and in a bounded list."""
    made = make_tracker(make_outage(10, 20))
    made.remove("a", 50.0)
    summary = made.summary(100.0)
    assert (summary.watched_seconds, summary.down_seconds) == (150.0, 10.0)
    assert [row.peer for row in summary.rows] == ["a", "b"]
    for number in range(300):
        made.add(f"c{number}", "web", 100.0)
        made.remove(f"c{number}", 100.0)
    assert len(made.summary(100.0).rows) <= 101
    assert made.summary(100.0).peers == 302


def test_history_is_bounded_and_totals_are_complete() -> None:
    """Only the latest outages are remembered one by one."""
    made = make_tracker(*(make_outage(n, n + 0.5) for n in range(1000)))
    assert len(made.history) == 100
    assert made.summary(2000.0).outages == 1000


def test_summary_text() -> None:
    """It says how much, how often, how long, what, where, and what to try."""
    made = make_tracker(make_outage(10, 11.5), make_outage(20, 20.3))
    made.findings["balance.unhealthy_backend"] += 1
    lines = [plain(line) for line in text.summary(made.summary(3700.0), 0.0)]
    assert lines[1] == "Watched 2 peers for 1 h 1 min 40 s"
    assert lines[2] == "  availability 99.975 %, 2 outages, the longest 1.50 s"
    printed = "\n".join(lines)
    assert "2 × stream.outage, on the way to the server" in printed
    assert "1 × balance.unhealthy_backend" in printed
    assert "a (web): 99.951 %, 2 outages, the longest 1.50 s" in printed
    assert "b (web): 100.000 %, no outages" in printed
    assert "netduet explain stream.outage" in printed


def test_summary_without_peers_claims_nothing() -> None:
    """It says that nothing was watched."""
    lines = [
        plain(line)
        for line in text.summary(AvailabilityTracker(0.0, 10).summary(3.0), 0.0)
    ]
    assert lines[1] == "Watched 0 peers for 3.00 s"
    assert "nothing was watched" in lines[2]


def test_availability_is_never_rounded_up() -> None:
    """A second per year makes it less than 100 %."""
    assert text.availability_percent(1.0) == "100.000 %"
    assert text.availability_percent(1 - 1 / 31_536_000) == "99.999 %"


def test_outage_lines_have_time_peer_length_class_and_location() -> None:
    """Both lines of an outage, with and without a number."""
    open_outage = Outage(
        "stream.outage", Location.UNKNOWN, 10, 11, "nothing comes back", ended=False
    )
    line = plain(text.outage_line("a", OutageStarted(3, open_outage), 11.0, 0.0))
    assert line == (
        "1970-01-01 00:00:11Z OUT   a: nothing comes back (since 00:00:10Z, #3)"
    )
    line = plain(text.outage_line("a", OutageEnded(3, make_outage(10, 12)), 14.0, 0.0))
    assert line == (
        "1970-01-01 00:00:14Z BACK  a: out for 2.00 s from 00:00:10Z (#3): nothing "
        "arrived [stream.outage; the path to the server]"
    )
    line = plain(text.outage_line("a", OutageOpen(3, open_outage), 14.0, 0.0))
    assert "OUT   a (ongoing, 1.00 s): nothing comes back (#3)" in line


def test_peer_is_named_with_its_instance() -> None:
    """While the instance is unknown, or behind a load balancer, it is the name."""
    instance, who = Instance("a", "node-2", "eu-1b"), Instance("b")
    assert text.peer_name("10.0.0.1:1", "web:1") == "10.0.0.1:1 (web:1)"
    assert text.peer_name("10.0.0.1:1", "10.0.0.1:1") == "10.0.0.1:1"
    assert (
        text.peer_name("10.0.0.1:1", "web:1", instance)
        == "10.0.0.1:1 (a on node-2 in eu-1b)"
    )
    assert text.identity_line("10.0.0.1:1", [instance]) == (
        "10.0.0.1:1 is instance a on node-2 in eu-1b"
    )
    assert text.identity_line("10.0.0.1:1", [instance, who]) == (
        "10.0.0.1:1 is several instances, including a (node-2, eu-1b), b"
    )


def look(*outages: Outage) -> list[str]:
    """Return the lines of one update in which each of many peers had an outage."""
    rows = [
        (f"peer-{n}", OutageEnded(n, outage))
        for n, outage in enumerate(outages, start=1)
    ]
    return [plain(line) for line in text.outage_lines(rows, 0.0, 0.0)]


def test_peers_with_the_same_outage_share_a_line() -> None:
    """Hundreds of peers do not repeat a line hundreds of times."""
    few = [make_outage(10, 11)] * text.MAX_ALIKE
    assert len(look(*few)) == text.MAX_ALIKE
    other = make_outage(10, 12, where=Location.FROM_SERVER)
    many = [make_outage(10, 11 + n / 100) for n in range(300)]
    shared, single = look(*many, other)
    assert "BACK  300 peers (peer-1, peer-2, peer-3 and 297 more), the" in shared
    assert "out for 3.99 s" in shared
    assert "BACK  peer-301: out for 2.00 s" in single
    one_alone = [("peer", OutageEnded(0, outage)) for outage in many]
    assert len(list(text.outage_lines(one_alone, 0.0, 0.0))) == len(many)


def test_open_outage_is_shown_with_what_is_known() -> None:
    """It says how long it has lasted, and that it is not over."""
    notice: OutageNotice = OutageUpdated(
        7, Outage("watch.refused", Location.SERVER, 10, 13, "refused")
    )
    line = plain(text.outage_line("peer", notice, 0.0, 0.0))
    assert line.endswith("OUT   peer (ongoing, 3.00 s): refused (#7)")


def test_long_lists_of_names_are_shortened() -> None:
    """A line stays short."""
    names = [str(number) for number in range(300)]
    assert text.join_names(names) == "0, 1, 2 and 297 more"
    assert text.join_names(names[:3]) == "0, 1, 2"


def test_zero_duration_is_a_moment() -> None:
    """A broken old connection is not out for 0.00 s."""
    assert text.duration(0.0) == "a moment"


def test_hint_explains_the_most_frequent_class() -> None:
    """Its explanation is what a reader wants first."""
    often = [make_outage(n, n + 0.5) for n in range(20, 23)]
    made = make_tracker(make_outage(10, 11, "watch.paused", Location.SERVER), *often)
    *_, hint = text.summary(made.summary(100.0), 0.0)
    assert "`netduet explain stream.outage`" in plain(hint)


def test_peers_without_outage_are_only_counted() -> None:
    """Twenty lines without content would not be read."""
    made = make_tracker(make_outage(10, 14))
    for number in range(300):
        made.add(f"c{number}", "web", 0.0)
    lines = [plain(line) for line in text.summary(made.summary(100.0), 0.0)]
    assert "  a (web): 96.000 %, 1 outage of 4.00 s" in lines
    assert "  301 more peers: no outages" in lines
    assert not [line for line in lines if "c1" in line]
    for number in range(300):
        made.record(f"c{number}", OutageEnded(0, make_outage(10, 11)))
    lines = [plain(line) for line in text.summary(made.summary(100.0), 0.0)]
    assert "  and 282 more peers with no longer downtime" in lines
