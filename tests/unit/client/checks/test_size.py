"""Which sizes are tried, and how the results are judged."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.size import CHECK
from netduet.client.checks.size.measure import LARGER_BYTES, MIN_SEARCH_BYTES, search
from netduet.client.checks.size.results import (
    SizeResult,
    SizeTrial,
    TrialOutcome,
    TrialPlan,
)
from netduet.client.net.dial import Address, Cause
from netduet.client.results.location import Direction, Side
from netduet.client.results.verdict import Figures, Finding, Judgement
from netduet.net.time_span import TimeSpan
from netduet.wire.messages import LedgerEntry, TcpInfo
from tests.unit.client.fake_server import make_ledger_entry, tcp_info

UP, DOWN = Direction
THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
THERE6 = Address(socket.AF_INET6, "2001:db8::2", 12345)
BEFORE = tcp_info(bytes_acked=100)
ALL_SENT = tcp_info(bytes_acked=2000)
IN_VAIN = tcp_info(unacked=1, total_retrans=4, bytes_acked=100)
HELD = tcp_info(notsent_bytes=1448, bytes_acked=100)
WINDOW = TimeSpan(10.0, 11.9)
STALLED, PASSED = TrialOutcome.STALLED, TrialOutcome.PASSED


def whole(
    direction: Direction, outcome: TrialOutcome = PASSED, **fields: object
) -> SizeTrial:
    """Return the trial of a full packet, with changed fields."""
    return trial(TrialPlan(direction), 1448, outcome, **fields)


def packet(
    direction: Direction, size: int, outcome: TrialOutcome = PASSED
) -> SizeTrial:
    """Return the trial of one packet in search of the limit."""
    plan = TrialPlan(direction, size, one_packet=True, brief=True)
    return trial(plan, size, outcome, after=None)


def amount(
    direction: Direction, size: int, outcome: TrialOutcome = PASSED, **fields: object
) -> SizeTrial:
    """Return the trial of many packets."""
    return trial(TrialPlan(direction, size), size, outcome, **fields)


def trial(
    plan: TrialPlan, size: int, outcome: TrialOutcome, **fields: object
) -> SizeTrial:
    """Return a trial; one that stalled did so without the sender's fault."""
    known: dict[str, object] = {"before": BEFORE, "after": ALL_SENT}
    return SizeTrial(plan, size, outcome, WINDOW, **(known | fields))  # type: ignore[arg-type]


def well(direction: Direction) -> tuple[SizeTrial, ...]:
    """Return the trials of a direction that has no fault."""
    return (whole(direction), *(amount(direction, size) for size in LARGER_BYTES))


def hole(
    direction: Direction, after: TcpInfo | None = IN_VAIN, limit: int = 1348
) -> tuple[SizeTrial, ...]:
    """Return the trials of a direction where packets above a limit stall."""
    return (
        *[whole(direction, STALLED, after=after, arrived=0)] * 3,
        *(amount(direction, size, STALLED) for size in LARGER_BYTES),
        packet(direction, limit),
        packet(direction, limit + 1, STALLED),
        packet(direction, 300),
        packet(direction, 1400, STALLED),
    )


def judge(*results: SizeResult) -> Judgement:
    """Judge the results of these addresses."""
    return CHECK.judge(AddressResults(results, CheckOptions()))


def judged(
    up: tuple[SizeTrial, ...] | None = None, down: tuple[SizeTrial, ...] | None = None
) -> Judgement:
    """Judge the trials of an address; a missing direction is healthy."""
    return judge(SizeResult(THERE, up or well(UP), down or well(DOWN)))


def way(direction: Direction, trials: tuple[SizeTrial, ...]) -> Judgement:
    """Judge one direction."""
    return judged(trials) if direction is UP else judged(down=trials)


def record(ended: str | None, by: str | None) -> LedgerEntry:
    """Return what the server remembers of a connection."""
    return make_ledger_entry(
        ended=ended, ended_by=by, bytes_received=900, bytes_sent=500
    )


def only(judgement: Judgement) -> Finding:
    """Return the only finding."""
    [finding] = judgement.findings
    return finding


# A path without fault


def test_all_sizes_arriving_passes_without_notes() -> None:
    """The summary names the packet and the amount that arrived."""
    figures: Figures = {
        f"{way}_{name}": value
        for way in ("up", "down")
        for name, value in {
            "full_packet": 1448,
            "path_mtu": 1500,
            "largest_passed": 1048576,
            "least_failed": None,
            "retransmits": 0,
        }.items()
    }
    assert judged() == Judgement(
        "full-size segments (1,448 bytes) and transfers of up to 1,048,576 bytes arrive in both directions",
        figures=figures,
    )


def test_differing_addresses_are_summarized_separately() -> None:
    """Equal results are summarized once, others each with their address."""
    good, bad = (
        SizeResult(THERE, well(UP), well(DOWN)),
        SizeResult(THERE6, hole(UP), well(DOWN)),
    )
    assert "192.0.2.2" not in judge(good, replace(good, address=THERE6)).summary
    summary = judge(good, bad).summary
    assert summary.startswith("192.0.2.2:12345: full-size segments (1,448 bytes) and")
    assert "[2001:db8::2]:12345: to the server: packets with up to 1,348" in summary


def test_figures_of_further_addresses_are_numbered() -> None:
    """The figures of the first address have no number."""
    course = SizeResult(THERE, well(UP), well(DOWN))
    figures = judge(course, course).figures
    assert figures["up_full_packet"] == figures["2.up_full_packet"] == 1448


# A black hole


@pytest.mark.parametrize("direction", Direction)
def test_unsendable_packet_is_a_black_hole(
    direction: Direction,
) -> None:
    """Segments of its length that were cut in two do not refute the black hole."""
    trials = (
        whole(direction, STALLED, after=HELD, arrived=0),
        *[whole(direction)] * 2,
        *(amount(direction, size) for size in LARGER_BYTES),
        packet(direction, 1348),
        packet(direction, 1349, STALLED),
        packet(direction, 1440),
        packet(direction, 1448),
    )
    finding = only(way(direction, trials))
    assert (finding.failure, finding.figures["stalled"]) == ("size.black_hole", 1448)


@pytest.mark.parametrize(
    ("direction", "after", "side", "expected", "receiver"),
    [
        (
            UP,
            IN_VAIN,
            Side.CLIENT,
            (
                "the kernel sent the packet with 1,448 bytes and retransmitted it 4 times "
                "in 1.9 s without an acknowledgement; its path MTU is 1,500"
            ),
            Side.SERVER,
        ),
        (
            DOWN,
            IN_VAIN,
            Side.SERVER,
            (
                "the kernel sent the packet with 1,448 bytes and retransmitted it 4 times "
                "in 1.9 s without an acknowledgement; its path MTU is 1,500"
            ),
            Side.CLIENT,
        ),
        (
            UP,
            HELD,
            Side.CLIENT,
            (
                "the kernel could not send a packet with 1,448 bytes in 1.9 s: "
                "its own link or firewall refuses it; its path MTU is 1,500"
            ),
            Side.SERVER,
        ),
    ],
)
def test_lost_length_is_a_black_hole(
    direction: Direction,
    after: TcpInfo,
    side: Side,
    expected: str,
    receiver: Side,
) -> None:
    """The sender's kernel proves it, so starvation is no excuse; the MTU is advised."""
    finding = only(way(direction, hole(direction, after)))
    to = "to" if direction is UP else "from"
    assert finding == Finding(
        "size.black_hole",
        f"192.0.2.2:12345: packets {to} the server with 1,349 bytes or more "
        "are lost without an ICMP error; packets of up to 1,348 bytes arrive: set the MTU to 1,400 or "
        "less at both ends",
        ((side, expected), (receiver, "0 of these 1,448 bytes arrived")),
        {
            "direction": direction.value,
            "seconds": 1.9,
            "retransmits": after.total_retrans,
            "snd_mss": 1448,
            "pmtu": 1500,
            "unacked": after.unacked,
            "notsent": after.notsent_bytes,
            "passed": 1348,
            "stalled": 1349,
            "mtu": 1400,
        },
        "path →" if direction is UP else "path ←",
    )


@pytest.mark.parametrize(
    ("address", "snd_mss", "pmtu", "mtu"),
    [
        (THERE, 1448, 1500, 1400),
        (THERE, 1460, 1500, 1388),  # no timestamps
        (THERE6, 1428, 1500, 1420),
        (THERE, 1448, 9000, 1400),  # the peer takes less than the path
        (THERE6, 1448, 9000, 1420),
        (THERE, 1500, 1500, 1400),
    ],
)
def test_mtu_to_set_counts_the_headers_in_use(
    address: Address, snd_mss: int, pmtu: int, mtu: int
) -> None:
    """It is the payload that passed plus its headers, whatever the MSS."""
    view = tcp_info(snd_mss=snd_mss, pmtu=pmtu)
    trials = tuple(
        replace(trial, before=view) if trial.delivered else trial for trial in hole(UP)
    )
    finding = only(judge(SizeResult(address, trials, well(DOWN))))
    assert finding.figures["mtu"] == mtu


def test_black_hole_without_a_passing_size_names_no_mtu() -> None:
    """If even the shortest packet is lost, no MTU is advised."""
    trials = tuple(trial for trial in hole(UP) if not trial.delivered)
    finding = only(judged((*trials, packet(UP, MIN_SEARCH_BYTES, STALLED))))
    assert finding.failure == "size.black_hole"
    assert finding.seen.endswith(f"with {MIN_SEARCH_BYTES} bytes or more are lost")
    assert (finding.figures["passed"], finding.figures["mtu"]) == (None, None)


def test_amounts_passing_a_black_hole_are_a_note() -> None:
    """Many packets may pass where a single one stalls."""
    trials = tuple(trial for trial in hole(UP) if trial.is_one_packet)
    judgement = judged((*trials, amount(UP, 4096), amount(UP, 65536)))
    assert only(judgement).failure == "size.black_hole"
    [remark] = judgement.remarks
    assert remark.startswith(
        "4,096 bytes to the server pass nevertheless: a virtual link"
    )


def test_black_hole_both_ways_is_two_findings() -> None:
    """Each direction is a separate fault, upload first."""
    findings = judged(hole(UP), hole(DOWN, limit=1200)).findings
    assert [finding.where for finding in findings] == ["path →", "path ←"]
    assert [finding.figures["mtu"] for finding in findings] == [1400, 1252]


def test_black_hole_at_several_addresses_is_one_finding() -> None:
    """The fault is reported once, with each address."""
    courses = tuple(
        SizeResult(address, hole(UP), well(DOWN)) for address in (THERE, THERE6)
    )
    seen = only(judge(*courses)).seen
    assert seen.startswith("192.0.2.2:12345: packets")
    assert "; [2001:db8::2]:12345: packets" in seen


def test_trial_of_two_segments_is_no_single_packet() -> None:
    """A size that needs two packets proves nothing about one packet."""
    short = tcp_info(snd_mss=1000, pmtu=1500)
    split = replace(packet(UP, 1400), before=short)
    finding = only(judged((*hole(UP), split)))
    assert finding.figures["passed"] == 1348


# What is no black hole


@pytest.mark.parametrize(
    "after",
    [
        ALL_SENT,
        tcp_info(unacked=1),  # nothing sent again
        tcp_info(total_retrans=3),  # acknowledged in the end
        tcp_info(notsent_bytes=1000),  # the rest of a full window
    ],
)
@pytest.mark.parametrize("direction", Direction)
def test_stall_without_sender_evidence_is_no_black_hole(
    direction: Direction, after: TcpInfo
) -> None:
    """A stopped proxy or a peer that does not read is no black hole and may be late."""
    finding = only(way(direction, hole(direction, after)))
    assert (finding.failure, finding.missed_deadline) == ("size.stalled", WINDOW)


def test_stall_with_unqueried_sender_is_no_black_hole() -> None:
    """Without the remote kernel's evidence nothing is proven; the reason is given."""
    why = "only other instances responded"
    trials = tuple(replace(trial, missing=why) for trial in hole(DOWN, None))
    finding = only(judged(down=trials))
    assert (finding.failure, finding.missed_deadline) == ("size.stalled", WINDOW)
    text = f"the server's kernel could not be queried: {why}"
    assert (Side.CLIENT, text) in finding.evidence


def test_single_acknowledged_trial_refutes_black_hole() -> None:
    """Every full packet whose sender could be queried must support it."""
    acknowledged = whole(UP, STALLED, after=ALL_SENT)
    assert only(judged((*hole(UP), acknowledged))).failure == "size.stalled"


def test_random_stalls_are_no_black_hole() -> None:
    """If short packets stall and longer ones pass, length is not the cause."""
    odd = packet(UP, 400, STALLED)
    assert only(judged((*hole(UP), odd))).failure == "size.black_hole"
    finding = only(judged((*hole(UP), odd, odd)))
    assert (finding.failure, finding.where, finding.missed_deadline) == (
        "size.stalled",
        "path →",
        None,
    )


@pytest.mark.parametrize(
    "outcome", [STALLED, TrialOutcome.ENDED, TrialOutcome.UNOPENED]
)
@pytest.mark.parametrize(
    "trials",
    [
        (whole, whole, lambda way, _=None: amount(way, 4096)),
        (
            lambda way, *outcome: amount(way, 4096, *outcome),
            lambda way: amount(way, 4096),
        ),
    ],
)
def test_single_failed_trial_is_a_note(
    outcome: TrialOutcome, trials: tuple[Callable[..., SizeTrial], ...]
) -> None:
    """A trial that passes when repeated is a note: packets get lost."""
    first, *others = trials
    made = (first(UP, outcome), *(make(UP) for make in others), whole(UP))
    judgement = judged(made)
    assert judgement.findings == ()
    assert judgement.remarks == (
        (
            f"1 of {len(made)} trials to the server failed, and passed when "
            "repeated: packets are lost"
        ),
    )


def test_unrepeated_failure_is_no_finding() -> None:
    """A single connection proves nothing."""
    for alone in (whole(UP, STALLED, after=IN_VAIN), amount(UP, 4096, STALLED)):
        assert judged((alone, packet(UP, 300))).findings == ()


# Other faults


@pytest.mark.parametrize(
    ("direction", "after", "arrived", "where", "missed"),
    [
        (UP, ALL_SENT, 9000, "path →", WINDOW),
        (UP, ALL_SENT, None, "path →", WINDOW),
        (UP, ALL_SENT, 65536, "server", WINDOW),  # its kernel has it all
        (UP, IN_VAIN, 9000, "path →", None),
        (DOWN, tcp_info(bytes_acked=70000), 9000, "path ←", WINDOW),
        (
            DOWN,
            tcp_info(bytes_acked=900),
            0,
            "server",
            WINDOW,
        ),  # never handed over
        (
            DOWN,
            IN_VAIN.model_copy(update={"notsent_bytes": 65000}),
            9000,
            "path ←",
            None,
        ),
        (DOWN, None, 9000, "path ←", WINDOW),
    ],
)
def test_amount_stalling_twice_is_stalled(
    direction: Direction,
    after: TcpInfo | None,
    arrived: int | None,
    where: str,
    missed: TimeSpan | None,
) -> None:
    """Only data that a kernel kept retransmitting is not late."""
    stopped = amount(direction, 65536, STALLED, after=after, arrived=arrived)
    trials = (whole(direction), amount(direction, 4096), stopped, stopped)
    finding = only(way(direction, trials))
    assert (finding.failure, finding.where, finding.missed_deadline) == (
        "size.stalled",
        where,
        missed,
    )
    assert "65,536 bytes" in finding.seen
    assert finding.seen.endswith("; no progress for 1.9 s; 4,096 bytes do arrive")
    assert ("completely (only 9,000 do)" in finding.seen) == (arrived == 9000)
    assert finding.figures["passed"] == 4096


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (ALL_SENT, "all data was sent and acknowledged"),
        (
            ALL_SENT.model_copy(update={"notsent_bytes": 5000}),
            (
                "5,000 bytes wait to be sent: the other end of this TCP connection "
                "accepts no more"
            ),
        ),
        (
            ALL_SENT.model_copy(update={"unacked": 2}),
            "2 packets are in flight; nothing was retransmitted",
        ),
        (
            ALL_SENT.model_copy(update={"unacked": 1}),
            "1 packet is in flight; nothing was retransmitted",
        ),
        (
            ALL_SENT.model_copy(update={"unacked": 2, "total_retrans": 7}),
            (
                "the kernel made 7 retransmissions; 2 packets are unacknowledged, and no acknowledgement arrived in 1.9 s; its path MTU is 1,500"
            ),
        ),
    ],
)
def test_stalled_transfer_shows_sender_evidence(after: TcpInfo, expected: str) -> None:
    """The sender's kernel says whether it waits, has sent all, or gets no ACK."""
    stopped = amount(UP, 65536, STALLED, after=after)
    finding = only(judged((whole(UP), stopped, stopped)))
    assert finding.evidence == ((Side.CLIENT, expected),)


def test_lost_acknowledgements_are_located_on_the_opposite_path() -> None:
    """The receiver has more than the sender got acknowledged."""
    after = ALL_SENT.model_copy(update={"unacked": 2, "total_retrans": 7})
    trial = amount(UP, 65536, STALLED, after=after, arrived=9000, ack_gap=3000)
    finding = only(judged((whole(UP), trial, trial)))
    assert (finding.failure, finding.where) == ("size.stalled", "path ←")
    assert "the acknowledgements of the received bytes are lost" in finding.seen
    assert finding.evidence[-1] == (
        Side.SERVER,
        "it acknowledged 3,000 bytes more than the sender knows of",
    )
    within = amount(UP, 65536, STALLED, after=after, arrived=9000, ack_gap=1)
    assert only(judged((whole(UP), within, within))).where == "path →"


def test_lost_request_is_not_blamed_on_server() -> None:
    """If the request is lost on the way up, the server has nothing to send."""
    trial = amount(DOWN, 65536, STALLED, after=ALL_SENT, arrived=0)
    assert only(judged((), (whole(DOWN), trial, trial))).where == "server"
    lost = replace(trial, request_unacked=True)
    assert only(judged((), (whole(DOWN), lost, lost))).where == "path ←"


@pytest.mark.parametrize(
    ("ended", "by", "where", "expected"),
    [
        (None, None, "intermediary", "this connection is still open"),
        (
            "reset",
            "client",
            "intermediary",
            "the server received a reset that this client never sent",
        ),
        (
            "limit.frame",
            "server",
            "server",
            "the server ended the connection: limit.frame",
        ),
    ],
)
def test_ledger_entry_locates_cut(
    ended: str | None, by: str | None, where: str, expected: str
) -> None:
    """A close by neither end comes from in between."""
    cut = amount(UP, 4096, TrialOutcome.ENDED, detail="why", record=record(ended, by))
    finding = only(judged((whole(UP), cut, cut)))
    assert (finding.failure, finding.where) == ("size.cut", where)
    assert finding.evidence[-1] == (
        Side.SERVER,
        f"{expected}; received 900 and sent 500 bytes",
    )


def test_stall_after_end_at_server_is_a_cut() -> None:
    """A close that reached only one end is no stall."""
    cut = amount(DOWN, 4096, STALLED, after=None, record=record("reset", "client"))
    finding = only(judged((), (whole(DOWN), cut, cut)))
    assert (finding.failure, finding.where) == ("size.cut", "intermediary")
    assert "the server saw it end, this client did not" in finding.seen


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("too_many_connections", "identity.busy"),
        ("draining", "identity.draining"),
        ("unknown_version", "path.broken"),
    ],
)
def test_server_refusal_is_no_size_failure(code: str, failure: str) -> None:
    """The server's own reason is accepted."""
    closed = trial(
        TrialPlan(UP),
        0,
        TrialOutcome.UNOPENED,
        before=None,
        after=None,
        detail="why",
        refusal_code=code,
    )
    finding = only(judged((closed, closed)))
    assert (finding.failure, finding.where) == (failure, "server")


def test_connection_that_ends_twice_is_cut() -> None:
    """An early close is no lateness: its error is reported."""
    ended = amount(UP, 4096, TrialOutcome.ENDED, after=None, detail="ECONNRESET: reset")
    finding = only(judged((whole(UP), ended, ended)))
    assert (finding.failure, finding.where, finding.missed_deadline) == (
        "size.cut",
        "path →",
        None,
    )
    assert finding.seen == (
        "192.0.2.2:12345: the connection ends while it carries 4,096 bytes to the "
        "server: ECONNRESET: reset"
    )


@pytest.mark.parametrize(
    ("cause", "missed"), [(Cause.TIMEOUT, WINDOW), (Cause.REFUSED, None)]
)
def test_failed_connections_are_no_size_failure(
    cause: Cause, missed: TimeSpan | None
) -> None:
    """If no trial can start, that is the finding; only silence may be excused."""
    closed = trial(
        TrialPlan(UP),
        0,
        TrialOutcome.UNOPENED,
        before=None,
        after=None,
        detail="why",
        cause=cause,
    )
    finding = only(judged((closed, closed)))
    assert (finding.failure, finding.missed_deadline) == ("path.broken", missed)
    assert finding.where == "unknown"
    assert finding.seen == "192.0.2.2:12345: another connection failed: why"


@pytest.mark.parametrize(
    ("direction", "side", "where"),
    [(UP, Side.SERVER, "path →"), (DOWN, Side.CLIENT, "path ←")],
)
def test_single_altered_byte_fails(
    direction: Direction, side: Side, where: str
) -> None:
    """One changed byte is proof without a second trial, beside other faults."""
    changed = amount(direction, 4096, TrialOutcome.CHANGED, changed_at=1234)
    finding = only(way(direction, (whole(direction), changed)))
    assert (finding.failure, finding.where) == ("size.changed", where)
    assert "of 4,080 bytes" in finding.seen
    assert "byte 1,234 arrives altered" in finding.seen
    assert [side for side, _ in finding.evidence] == [side]
    both = way(direction, (*hole(direction), changed)).findings
    assert [finding.failure for finding in both] == ["size.changed", "size.black_hole"]


# What is no fault


@pytest.mark.parametrize("direction", Direction)
def test_working_path_mtu_discovery_is_a_note(direction: Direction) -> None:
    """A smaller path MTU that the kernel learned is normal if all data arrives."""
    learned = ALL_SENT.model_copy(
        update={"pmtu": 1400, "snd_mss": 1348, "total_retrans": 1}
    )
    judgement = way(direction, (whole(direction, after=learned), *well(direction)[1:]))
    assert judgement.findings == ()
    [remark] = judgement.remarks
    assert remark.endswith(
        "the server is 1,400, the link MTU 1,500: a router reported it (path MTU "
        "discovery works)"
    )


def test_kernel_mtu_probing_is_a_note() -> None:
    """A kernel that shortens packets after losses hides a black hole."""
    shorter = ALL_SENT.model_copy(update={"snd_mss": 1024, "total_retrans": 3})
    [remark, *_] = judged((whole(UP, after=shorter), *well(UP)[1:])).remarks
    assert "until the kernel reduced their size by itself (to 1,024 bytes)" in remark


def test_slow_transfer_is_a_note() -> None:
    """A transfer that moves but does not finish in time is no fault."""
    slow = amount(DOWN, 1048576, TrialOutcome.SLOW)
    judgement = judged(down=(*well(DOWN)[:3], slow))
    assert judgement.findings == ()
    assert judgement.remarks == (
        (
            "1,048,576 bytes from the server took more than 1.9 s, with steady progress: "
            "the path is slow"
        ),
    )


@pytest.mark.parametrize(("again", "noted"), [(1, False), (2, False), (3, True)])
def test_retransmissions_are_a_note(again: int, noted: bool) -> None:
    """Repaired loss is noted, except for the kernel's own probes."""
    repaired = amount(
        UP, 65536, after=ALL_SENT.model_copy(update={"total_retrans": again})
    )
    remarks = judged((whole(UP), repaired)).remarks
    note = (
        "3 of about 47 packets to the server had to be retransmitted; all data arrived"
    )
    assert remarks == ((note,) if noted else ())


def test_server_frame_limit_is_a_note() -> None:
    """A server with a small frame limit bounds the trials, which is no fault."""
    limited = [trial(TrialPlan(UP, size), 1040, PASSED) for size in LARGER_BYTES]
    judgement = judged((replace(whole(UP), size=1040), *limited))
    assert judgement.findings == ()
    assert judgement.remarks == (
        (
            "more than 1,040 bytes to the server were not tried: "
            "the server accepts no larger frames"
        ),
    )


# Which sizes are tried


class SimulatedPath:
    """What a path does with each plan; ``limit`` is the longest packet that passes."""

    def __init__(self, limit: int, mss: int = 1448) -> None:
        """Begin with nothing tried."""
        self.limit = limit
        self.mss = mss
        self.plans: list[TrialPlan] = []
        self.script: list[TrialOutcome] = []

    async def try_one(self, plan: TrialPlan) -> SizeTrial:
        """Let a size pass or not; what stands in the script comes first."""
        self.plans.append(plan)
        size = plan.size or self.mss
        outcome = PASSED if min(size, self.mss) <= self.limit else STALLED
        if self.script:
            outcome = self.script.pop(0)
        before = tcp_info(snd_mss=self.mss, pmtu=self.mss + 52)
        return SizeTrial(plan, size, outcome, WINDOW, before, IN_VAIN)


async def test_healthy_path_takes_one_trial_per_size() -> None:
    """If a full packet passes, larger sizes are tried once and smaller ones never."""
    network = SimulatedPath(1448)
    trials = await search(network.try_one, UP)
    assert [trial.plan.size for trial in trials] == [None, *LARGER_BYTES]
    assert all(trial.plan.direction is UP for trial in trials)


@pytest.mark.parametrize("mss", [536, 1448, 8948, 65483])
@pytest.mark.parametrize("share", [0.38, 0.5, 0.931, 0.9999])
async def test_limit_is_found_to_the_byte(mss: int, share: float) -> None:
    """The search ends between two adjacent sizes, after few trials."""
    limit = int(mss * share)
    network = SimulatedPath(limit, mss)
    trials = [
        trial for trial in await search(network.try_one, DOWN) if trial.is_one_packet
    ]
    assert max(trial.size for trial in trials if trial.delivered) == limit
    assert min(trial.size for trial in trials if not trial.delivered) == limit + 1
    assert len(network.plans) <= 60


async def test_full_packet_is_tried_again_before_it_counts() -> None:
    """A single connection does not prove a black hole."""
    network = SimulatedPath(1348)
    trials = await search(network.try_one, UP)
    assert [trial.outcome for trial in trials if trial.is_full_packet] == [STALLED] * 3
    assert not any(trial.plan.brief for trial in trials if trial.is_full_packet)


async def test_search_ends_if_smallest_packet_is_lost() -> None:
    """If even the shortest packet is lost, no further round starts."""
    network = SimulatedPath(MIN_SEARCH_BYTES - 1)
    trials = await search(network.try_one, UP)
    packets = [trial.size for trial in trials if trial.plan.one_packet]
    assert min(packets) == MIN_SEARCH_BYTES
    assert len(trials) <= 20


async def test_search_ends_if_full_packet_passes_again() -> None:
    """If the repetition passes, other failures are retried with more time."""
    network = SimulatedPath(1448)
    network.script = [STALLED, PASSED, STALLED]
    trials = await search(network.try_one, UP)
    assert len([trial for trial in trials if trial.plan.one_packet]) <= 11
    assert trials[-1].plan == TrialPlan(UP, LARGER_BYTES[1])
    assert judge(SizeResult(THERE, trials, well(DOWN))).findings == ()


@pytest.mark.parametrize(
    "outcome", [STALLED, TrialOutcome.ENDED, TrialOutcome.UNOPENED]
)
async def test_amount_that_fails_is_tried_twice(outcome: TrialOutcome) -> None:
    """A larger size that fails is repeated; a slow or altered one is not."""
    network = SimulatedPath(1448)
    network.script = [PASSED, TrialOutcome.SLOW, TrialOutcome.CHANGED, outcome]
    trials = await search(network.try_one, UP)
    assert [trial.plan.size for trial in trials] == [
        None,
        *LARGER_BYTES,
        LARGER_BYTES[2],
    ]


async def test_failed_connection_is_tried_twice() -> None:
    """After two failed connects there is nothing to try."""
    network = SimulatedPath(1448)
    network.script = [TrialOutcome.UNOPENED]
    assert len(await search(network.try_one, UP)) == 2 + len(LARGER_BYTES)
    network.script = [TrialOutcome.UNOPENED] * 2
    assert len(await search(network.try_one, UP)) == 2
