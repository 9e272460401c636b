"""Judging UDP exchanges: tables of measurements, no network."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.udp import CHECK
from netduet.client.checks.udp.judge import judge
from netduet.client.checks.udp.judge_loss import GROSS_SHARE
from netduet.client.checks.udp.judge_sizes import vanishing_direction
from netduet.client.checks.udp.results import (
    Burst,
    DatagramFlow,
    DatagramTrial,
    UdpResult,
    UdpSizes,
)
from netduet.client.net.dial import Address
from netduet.client.net.udp_handshake import UdpOpeningResult
from netduet.client.net.udp_socket import IcmpNotice
from netduet.client.results.location import Side
from netduet.client.results.verdict import Judgement, Outcome
from netduet.net.time_span import TimeSpan
from netduet.wire.messages import ErrorMessage
from netduet.wire.udp_count import PLAIN, CountAnswer
from tests.unit.client.fake_server import HOSTILE_TEXT, make_welcome

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
OPENED = UdpOpeningResult(1, make_welcome(), round_trip=0.0005, start=1, end=2)
UNANSWERED = UdpOpeningResult(4, start=1, end=4)


def tally(**fields: int | None) -> CountAnswer:
    """Return the server's last word on a burst of 300 that all arrived."""
    good = CountAnswer(1, 0, PLAIN, 300, 0, 0, 300, size=37, dropped=0)
    return dataclasses.replace(good, **fields)


def burst(**fields: object) -> Burst:
    """Return a burst without loss, with changed fields."""
    good = Burst(
        300, 300, answered=300, server_count=tally(), send_seconds=0.6, start=2, end=3
    )
    return dataclasses.replace(good, **fields)  # type: ignore[arg-type]


def passing(size: int = 1472) -> DatagramTrial:
    """Return a trial whose first datagram was answered."""
    return DatagramTrial(size, DatagramFlow(1, 1))


def trial(
    flow: DatagramFlow, beside: DatagramFlow | None = None, size: int = 1472
) -> DatagramTrial:
    """Return a trial that had to send many."""
    return DatagramTrial(size, flow, beside or DatagramFlow(16, 16, 16, 16))


UP_GONE = trial(DatagramFlow(19, 0, 0, 0))
DOWN_GONE = trial(DatagramFlow(19, 0, 19, 19))


def sizes(**fields: object) -> UdpSizes:
    """Return sizes that all pass, with changes."""
    good = UdpSizes(28, 1500, 1500, passing(), fragments=passing(4000))
    return dataclasses.replace(good, **fields)  # type: ignore[arg-type]


def exchange(**fields: object) -> UdpResult:
    """Return a healthy exchange, with changed fields."""
    good = UdpResult(
        THERE, make_welcome(), OPENED, burst(), make_welcome().boot_id, sizes()
    )
    return dataclasses.replace(good, **fields)  # type: ignore[arg-type]


def judged(max_loss: float = 0.02, **fields: object) -> Judgement:
    """Judge the only exchange."""
    return judge(exchange(**fields), CheckOptions(max_loss=max_loss))


def found(judgement: Judgement) -> list[tuple[str, str | None]]:
    """Return the classes that were found, and where."""
    return [(finding.failure, finding.where) for finding in judgement.findings]


def test_healthy_exchange_passes_without_notes() -> None:
    """If all datagrams come back, only the sizes that pass are reported."""
    assert judged() == Judgement(
        "300 datagrams to 192.0.2.2:12345 and back, none lost; "
        "up to 1472 bytes get through unfragmented in both directions; fragmented datagrams get through too",
        figures={
            "round_trip_ms": 0.5,
            "planned": 300,
            "unsent": 0,
            "send_late_ms": 0.0,
            "lost_in_a_row": 0,
            "up_sent": 300,
            "up_received": 300,
            "up_lost": 0,
            "up_dropped": 0,
            "up_duplicated": 0,
            "up_reordered": 0,
            "down_sent": 300,
            "down_received": 300,
            "down_lost": 0,
            "down_dropped": 0,
            "down_duplicated": 0,
            "down_reordered": 0,
            "interface_mtu": 1500,
            "path_mtu": 1500,
            "up_largest": 1472,
            "down_largest": 1472,
            "up_fragments": True,
            "down_fragments": True,
        },
    )


# Whether anything answers


@pytest.mark.parametrize(
    ("knock", "where"),
    [
        (UNANSWERED, None),
        (
            UdpOpeningResult(2, notices=(IcmpNotice("ECONNREFUSED", "192.0.2.2"),)),
            "intermediary",
        ),
    ],
)
def test_port_that_leads_elsewhere_is_published_for_tcp_alone(
    knock: UdpOpeningResult, where: str | None
) -> None:
    """The server has another address than the one that was named."""
    behind = make_welcome(local={"address": "172.17.0.2", "port": 80})
    [finding] = judged(tcp=behind, opening=knock).findings
    assert finding.where == where
    [cause] = finding.causes
    assert "for TCP alone: connections to it reach 172.17.0.2:80" in cause
    assert "docker run -p 12345:80/udp" in cause
    [finding] = judged(opening=knock).findings
    assert finding.causes == ()


def test_port_of_this_host_that_leads_elsewhere_has_a_class_of_its_own() -> None:
    """Who publishes a port for TCP alone can publish it for UDP: no proxy excuses it."""
    behind = make_welcome(local={"address": "172.17.0.2", "port": 80})
    notices = (IcmpNotice("ECONNREFUSED", "192.0.2.2"),)
    knock = UdpOpeningResult(2, notices=notices)
    assert found(judged(tcp=behind, opening=knock, is_published_here=True)) == [
        ("udp.tcp_alone", "client")
    ]
    assert found(judged(opening=knock, is_published_here=True)) == [
        ("udp.rejected", "server")
    ]


@pytest.mark.parametrize(
    ("knock", "failure", "where", "words"),
    [
        (
            UNANSWERED,
            "udp.silent",
            None,
            "4 opening datagrams in 3.0 s, no response",
        ),
        (
            UdpOpeningResult(2, notices=(IcmpNotice("ECONNREFUSED", "192.0.2.2"),)),
            "udp.rejected",
            "server",
            "datagrams are rejected by ICMP (ECONNREFUSED, port unreachable), sent by the address",
        ),
        (
            UdpOpeningResult(2, notices=(IcmpNotice("EHOSTUNREACH", "198.51.100.1"),)),
            "udp.rejected",
            "intermediary",
            "sent by 198.51.100.1, not by the target",
        ),
        (
            UdpOpeningResult(2, notices=(IcmpNotice("ECONNREFUSED"),)),
            "udp.rejected",
            "unknown",
            "the sender is unknown to this kernel",
        ),
        (
            UdpOpeningResult(4, answered_from="192.0.2.2:4711"),
            "udp.misaddressed",
            None,
            "datagrams are answered from 192.0.2.2:4711 instead",
        ),
        (
            UdpOpeningResult(2, error="EPERM"),
            "udp.rejected",
            "client",
            "this host cannot send datagrams: EPERM",
        ),
        (
            UdpOpeningResult(
                1, foreign=b"\x1b[31m", notices=(IcmpNotice("ECONNREFUSED"),)
            ),
            "udp.not_netduet",
            None,
            r'not netduet: "\x1b[31m"',
        ),
    ],
)
def test_unanswered_opening_is_classified(
    knock: UdpOpeningResult, failure: str, where: str | None, words: str
) -> None:
    """A refusal is distinguished from silence, and located if the kernel knows."""
    judgement = judged(opening=knock, burst=None, sizes=None)
    assert found(judgement) == [(failure, where)]
    assert words in judgement.findings[0].seen


def test_only_silence_carries_missed_deadline() -> None:
    """A refusal was received: no stall explains it."""
    silent = judged(opening=UNANSWERED, burst=None, sizes=None)
    refused = UdpOpeningResult(
        2, notices=(IcmpNotice("ECONNREFUSED", "192.0.2.2"),), start=1, end=2
    )
    rejected = judged(opening=refused, burst=None, sizes=None)
    assert silent.findings[0].missed_deadline == TimeSpan(1, 4)
    assert rejected.findings[0].missed_deadline is None


def test_other_service_on_udp_fails() -> None:
    """TCP and UDP of one address that lead to different services are a fault."""
    knock = dataclasses.replace(OPENED, welcome=make_welcome(service="shop"))
    judgement = judged(opening=knock, boot_id_after=None)
    assert found(judgement) == [("udp.not_netduet", None)]


@pytest.mark.parametrize(
    ("fields", "remark"),
    [
        (
            {
                "opening": dataclasses.replace(
                    OPENED, welcome=make_welcome(boot_id="d" * 32, node="n2", zone="z")
                ),
                "boot_id_after": "d" * 32,
            },
            (
                "connections reach instance here, datagrams here on n2 in z: "
                "several servers share the address"
            ),
        ),
        (
            {"opening": dataclasses.replace(OPENED, openings=3)},
            "the opening datagram had to be sent 3 times",
        ),
        (
            {
                "opening": UdpOpeningResult(
                    1, refused=ErrorMessage(code="draining", message="no more")
                ),
            },
            "the server says: no more",
        ),
        (
            {"burst": None, "sizes": None},
            (
                "the server's version cannot count datagrams: loss and sizes were not tested"
            ),
        ),
        (
            {"boot_id_after": "e" * 32},
            (
                "the datagrams of one socket were answered by several servers, or by one "
                "that restarted: losses cannot be counted"
            ),
        ),
        (
            {"burst": burst(contradictory=True)},
            (
                "the datagrams of one socket were answered by several servers, or by one "
                "that restarted: losses cannot be counted"
            ),
        ),
        (
            {
                "burst": burst(
                    sent=200, server_count=tally(received=200, number=200), answered=200
                )
            },
            "this client sent 200 of 300 datagrams: this process was suspended or starved of CPU",
        ),
        (
            {
                "burst": burst(
                    sent=299,
                    unsent=1,
                    error="ENOBUFS",
                    server_count=tally(received=299, number=299),
                    answered=299,
                )
            },
            "this client sent 299 of 300 datagrams: ENOBUFS",
        ),
        (
            {"burst": burst(answered=250, dropped=50)},
            (
                "50 of 300 datagrams (16.7 %) arrived on the way back and were "
                "dropped because this client's buffer was full: not counted as lost"
            ),
        ),
        (
            {
                "burst": burst(
                    server_count=tally(received=250, dropped=60), answered=300
                )
            },
            (
                "50 of 300 datagrams (16.7 %) arrived on the way to the server and "
                "were dropped because the server's buffer was full: not counted as lost"
            ),
        ),
        (
            {
                "burst": burst(
                    server_count=tally(received=298, number=298), answered=298
                )
            },
            (
                "2 of 300 datagrams (0.7 %) were lost on the way to the server: between "
                "0 % and 4.6 % with 99.99 % confidence; too few to rule out chance, "
                "--profile full sends more"
            ),
        ),
        (
            {"burst": burst(reordered=15)},
            "15 of 300 datagrams (5 %) arrived out of order on the way back",
        ),
        (
            {"burst": burst(server_count=tally(duplicated=3))},
            "3 of 300 datagrams (1 %) arrived more than once on the way to the server",
        ),
        (
            {"sizes": sizes(mtu=1400, largest_trial=passing(1372))},
            "the path MTU is 1400, the interface MTU 1500: already known to this host",
        ),
        (
            {
                "sizes": sizes(
                    mtu=1400,
                    largest_trial=passing(1372),
                    mtu_notices=(IcmpNotice("EMSGSIZE", "198.51.100.1", 1400),),
                )
            },
            (
                "the path MTU is 1400, the interface MTU 1500: ICMP from 198.51.100.1 "
                "reported it, as it should"
            ),
        ),
        (
            {
                "sizes": sizes(
                    largest_trial=trial(
                        DatagramFlow(19, 0, 0, 0), DatagramFlow(16, 2, 2, 2)
                    )
                )
            },
            (
                "cannot tell whether datagrams of 1472 bytes get through: none did, and too few "
                "small ones did"
            ),
        ),
    ],
)
def test_harmless_observation_is_a_note(fields: dict[str, object], remark: str) -> None:
    """Each is noted with its address and fails nothing."""
    judgement = judged(**fields)
    assert (judgement.remarks, judgement.findings) == ((f"{THERE}: {remark}",), ())


# A burst


@pytest.mark.parametrize(
    ("lost", "fails"), [(0, False), (17, False), (18, True), (300, True)]
)
def test_loss_fails_only_beyond_chance(lost: int, fails: bool) -> None:
    """Of 300 datagrams 18 must be lost to prove over 2 % loss, each way."""
    kept = 300 - lost
    up = judged(
        burst=burst(server_count=tally(received=kept, number=kept), answered=kept)
    )
    down = judged(burst=burst(answered=kept))
    assert found(up) == ([("udp.loss", "path →")] if fails else [])
    assert found(down) == ([("udp.loss", "path ←")] if fails else [])


def test_max_loss_is_respected() -> None:
    """Loss is compared with what the user allows."""
    half = burst(answered=150)
    assert found(judged(0.6, burst=half)) == []
    assert found(judged(0.3, burst=half)) == [("udp.loss", "path ←")]
    assert found(judged(0.0, burst=burst(answered=299))) == [("udp.loss", "path ←")]


def test_loss_has_evidence_of_both_ends() -> None:
    """The finding has the counts of both ends and the confidence."""
    lossy = burst(
        server_count=tally(received=270, number=270), answered=270, max_send_delay=0.004
    )
    [finding] = judged(burst=lossy).findings
    assert finding.seen == (
        "192.0.2.2:12345: 30 of 300 datagrams (10 %) were lost on the way to the "
        "server: between 4.7 % and 17.9 % with 99.99 % confidence; allowed: 2 %"
    )
    assert finding.evidence == (
        (
            Side.CLIENT,
            ("sent 300 datagrams of 200 bytes in 0.6 s, at most 4 ms late"),
        ),
        (
            Side.SERVER,
            (
                "received 270 datagrams, 0 duplicates, 0 out of order; sent 270 responses; "
                "its buffer dropped none"
            ),
        ),
        (
            Side.CLIENT,
            (
                "received 270 responses, 0 duplicates, 0 out of order; its buffer dropped none"
            ),
        ),
    )
    assert (finding.figures["lost"], finding.figures["share"]) == (30, 0.1)


@pytest.mark.parametrize(
    ("fields", "way", "where"),
    [
        ({"answered": 200, "dropped": 95}, "down", "client"),
        ({"server_count": tally(received=200, dropped=95)}, "up", "server"),
    ],
)
def test_receiver_drops_are_inconclusive(
    fields: dict[str, object], way: str, where: str
) -> None:
    """Datagrams dropped by a full socket were not lost on the way."""
    judgement = judged(burst=burst(**fields))
    [finding] = judgement.findings
    assert (finding.failure, finding.where) == ("udp.overflow", where)
    assert finding.outcome is Outcome.INCONCLUSIVE
    lost = judgement.figures[f"{way}_lost"], judgement.figures[f"{way}_dropped"]
    assert lost == (5, 95)


def test_loss_beyond_receiver_drops_fails() -> None:
    """Drops excuse as many datagrams as were dropped, and no more."""
    judgement = judged(burst=burst(server_count=tally(received=150, dropped=90)))
    assert found(judgement) == [("udp.loss", "path →")]
    assert judgement.findings[0].figures["lost"] == 60


@pytest.mark.parametrize(
    ("fields", "missed"),
    [
        ({"server_count": tally(received=200, number=200), "answered": 200}, None),
        ({"server_count": tally(received=200, number=200, dropped=None)}, None),
        (
            {
                "server_count": tally(received=200, number=200),
                "answered": 200,
                "lost_in_runs": 98,
                "first_run_start": 2.5,
                "runs_seconds": 0.25,
            },
            None,
        ),
        (
            {
                "server_count": tally(received=200, number=200, dropped=None),
                "answered": 200,
                "lost_in_runs": 98,
                "first_run_start": 2.5,
                "runs_seconds": 0.25,
            },
            TimeSpan(2.5, 2.75),
        ),
        (
            {
                "server_count": tally(received=200, number=200, dropped=None),
                "answered": 200,
                "lost_in_runs": 60,
                "first_run_start": 2.5,
                "runs_seconds": 0.25,
            },
            None,
        ),
        ({"answered": 200}, None),
        ({"answered": 200, "dropped": None}, TimeSpan(2, 3)),
    ],
)
def test_loss_carries_missed_deadline_only_if_a_stall_explains_it(
    fields: dict[str, object], missed: TimeSpan | None
) -> None:
    """A stalled server loses consecutive questions, and no answers."""
    [finding] = judged(burst=burst(**fields)).findings
    assert (finding.failure, finding.missed_deadline) == ("udp.loss", missed)


@pytest.mark.parametrize(
    ("fields", "failure", "where"),
    [
        ({"server_count": tally(duplicated=300)}, "udp.duplicated", "path →"),
        ({"server_count": tally(duplicated=900)}, "udp.duplicated", "path →"),
        ({"duplicated": 150}, "udp.duplicated", "path ←"),
        ({"server_count": tally(reordered=150)}, "udp.reordered", "path →"),
        ({"reordered": 150}, "udp.reordered", "path ←"),
    ],
)
def test_gross_duplication_or_reordering_fails(
    fields: dict[str, object], failure: str, where: str
) -> None:
    """Half of all datagrams duplicated or overtaken is no accident."""
    judgement = judged(burst=burst(**fields))
    assert found(judgement) == [(failure, where)]
    assert judgement.remarks == ()


def test_mild_reordering_is_a_note() -> None:
    """What may be a quarter by chance is not called gross."""
    judgement = judged(burst=burst(reordered=int(GROSS_SHARE * 300)))
    assert (len(judgement.findings), len(judgement.remarks)) == (0, 1)


def test_burst_without_server_count_is_silent() -> None:
    """Answers at first and then none are reported as such."""
    judgement = judged(
        burst=burst(server_count=None, answered=90), boot_id_after=None, sizes=None
    )
    [finding] = judgement.findings
    assert (finding.failure, finding.missed_deadline) == ("udp.silent", TimeSpan(2, 3))
    assert (
        "300 more were sent, 90 of them were answered, and then the server stopped responding"
        in finding.seen
    )
    assert "up_lost" not in judgement.figures


def test_few_sent_datagrams_are_inconclusive() -> None:
    """An end that could hardly send proves nothing, and says so."""
    few = burst(sent=20, server_count=tally(received=20, number=20), answered=20)
    [finding] = judged(burst=few).findings
    assert (finding.failure, finding.outcome) == ("udp.unsent", Outcome.INCONCLUSIVE)
    assert "only 20 of 300" in finding.seen


# Sizes


@pytest.mark.parametrize(
    ("full", "where"),
    [
        (None, None),
        (passing(), None),
        (UP_GONE, "path →"),
        (DOWN_GONE, "path ←"),
        (trial(DatagramFlow(19, 1, 1, 1)), None),
        (trial(DatagramFlow(19, 0, 0, 0), DatagramFlow(16, 8, 8, 8)), None),
        (trial(DatagramFlow(19, 0, 0, 0), DatagramFlow(16, 12, 12, 12)), "path →"),
        (trial(DatagramFlow(19, 0, 2, 2)), None),
        (trial(DatagramFlow(19, 0, 9, 9)), "path ←"),
        (trial(DatagramFlow(19, 0)), None),
        (trial(DatagramFlow(19, 0, 0, 0), DatagramFlow(16, 16)), None),
    ],
)
def test_size_is_lost_only_if_small_ones_pass(
    full: DatagramTrial | None, where: str | None
) -> None:
    """A lossy path is no black hole: chance is ruled out in that direction."""
    assert vanishing_direction(full) == where


@pytest.mark.parametrize(
    ("fields", "where", "passes", "mtu"),
    [
        (
            {
                "largest_trial": UP_GONE,
                "return_trial": passing(1372),
                "largest_up": 1372,
                "fragments": None,
            },
            "path →",
            1372,
            1400,
        ),
        (
            {"largest_trial": DOWN_GONE, "largest_down": 1372, "fragments": None},
            "path ←",
            1372,
            1400,
        ),
    ],
)
def test_black_hole_has_a_direction_and_a_limit(
    fields: dict[str, object], where: str, passes: int, mtu: int
) -> None:
    """The finding names the direction, the largest size and the MTU to set."""
    [finding] = judged(sizes=sizes(**fields)).findings
    assert (finding.failure, finding.where) == ("udp.black_hole", where)
    assert (finding.figures["passes"], finding.figures["mtu"]) == (passes, mtu)
    assert (
        f"the largest that gets through has {passes} bytes (MTU {mtu})" in finding.seen
    )
    assert [side for side, _ in finding.evidence] == [
        Side.CLIENT,
        Side.SERVER,
        Side.CLIENT,
    ]


def test_black_holes_in_both_directions_are_two_findings() -> None:
    """Each direction may lose a different size."""
    both = sizes(
        largest_trial=UP_GONE,
        return_trial=trial(DatagramFlow(19, 0, 19, 19), size=1372),
        largest_up=1372,
        largest_down=1272,
        fragments=None,
    )
    judgement = judged(sizes=both)
    assert found(judgement) == [
        ("udp.black_hole", "path →"),
        ("udp.black_hole", "path ←"),
    ]
    assert judgement.figures["up_largest"] == 1372
    assert judgement.figures["down_largest"] == 1272


def test_size_refused_by_link_is_in_evidence() -> None:
    """The evidence says which sizes the local kernel refused."""
    refused = trial(DatagramFlow(19, 0, 0, 0, 19, "ENOBUFS"))
    [finding] = judged(
        sizes=sizes(largest_trial=refused, largest_up=1376, fragments=None)
    ).findings
    assert "19 large ones did not leave this host" in finding.evidence[0][1]


@pytest.mark.parametrize(
    ("fragments", "where"),
    [
        (trial(DatagramFlow(19, 0, 0, 0), size=4000), "path →"),
        (trial(DatagramFlow(19, 0, 19, 19), size=4000), "path ←"),
    ],
)
def test_lost_fragments_fail(fragments: DatagramTrial, where: str) -> None:
    """Whole datagrams pass and fragments do not: the finding names the direction."""
    judgement = judged(sizes=sizes(fragments=fragments))
    assert found(judgement) == [("udp.fragments", where)]
    assert judgement.figures["up_fragments"] is (where == "path ←")
    assert judgement.figures["down_fragments"] is (False if where == "path ←" else None)


def test_fragments_lost_in_black_hole_are_a_note() -> None:
    """In a black hole fragments are lost for their length."""
    hole = sizes(
        largest_trial=UP_GONE,
        return_trial=passing(1372),
        largest_up=1372,
        fragments=trial(DatagramFlow(19, 0, 0, 0), size=4000),
    )
    judgement = judged(sizes=hole)
    assert found(judgement) == [("udp.black_hole", "path →")]
    assert "fragments are lost too" in judgement.remarks[0]


def test_trial_refused_by_kernel_is_not_judged() -> None:
    """A size that was never sent neither passes nor is lost."""
    refused = DatagramTrial(
        1472, DatagramFlow(1, 0, unsent=1, error="EMSGSIZE"), too_large=True
    )
    judgement = judged(sizes=sizes(largest_trial=refused, fragments=None))
    assert judgement.findings == ()
    assert judgement.figures["up_largest"] is None


# Several addresses


def test_addresses_have_their_own_figures() -> None:
    """The second address overwrites nothing of the first."""
    lossy = exchange(burst=burst(answered=150))
    judgement = CHECK.judge(AddressResults((exchange(), lossy), CheckOptions()))
    assert judgement.figures["down_lost"] == 0
    assert judgement.figures["2.down_lost"] == 150
    assert found(judgement) == [("udp.loss", "path ←")]


def test_address_without_a_socket_is_skipped() -> None:
    """If this host can send nothing, nothing is judged; with others a note says so."""
    bad = UdpResult(THERE, make_welcome(), socket_error="EMFILE: Too many open files")
    note = "192.0.2.2:12345: no datagram could be sent: EMFILE: Too many open files"
    assert judge(bad, CheckOptions()).skipped == note
    beside = CHECK.judge(AddressResults((bad, exchange()), CheckOptions()))
    assert (beside.skipped, beside.remarks) == (None, (note,))


def test_remote_text_is_escaped() -> None:
    """The server's name for itself cannot move a terminal's cursor."""
    knock = UdpOpeningResult(
        1,
        make_welcome(instance=HOSTILE_TEXT, service=HOSTILE_TEXT, boot_id="d" * 32),
        ErrorMessage(code="x", message=HOSTILE_TEXT),
    )
    tcp = make_welcome(instance=HOSTILE_TEXT, service="mine")
    judgement = judged(tcp=tcp, opening=knock, boot_id_after=None)
    texts = [judgement.summary, *judgement.remarks]
    for finding in judgement.findings:
        texts += [finding.seen, *(text for _, text in finding.evidence)]
    assert all(text.isprintable() for text in texts)
    assert sum(r"\x1b[31mred\n\u202egnp" in text for text in texts) == 4
