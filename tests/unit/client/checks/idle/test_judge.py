"""Judging idle connections: which died, when, how, and who ended them."""

from __future__ import annotations

import socket

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.idle import CHECK, known_timers
from netduet.client.checks.idle.measure import FULL_RUNGS_SECONDS, RUNGS_SECONDS, plans
from netduet.client.checks.idle.results import (
    HeldConnection,
    HoldOutcome,
    HoldPlan,
    IdleResult,
)
from netduet.client.net.dial import Address, Cause
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView
from netduet.client.results.location import Side
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    conclude,
)
from netduet.net.time_span import TimeSpan
from netduet.wire.messages import ErrorMessage, TcpInfo
from tests.unit.client.fake_server import (
    HOSTILE_TEXT,
    make_ledger_entry,
    make_welcome,
    tcp_info,
)

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
US, THEM = Side.CLIENT, Side.SERVER
WELCOMED = Handshake(welcome=make_welcome())
WAITED = TimeSpan(8, 11)
RESET = ConnectionEnd("reset", "ECONNRESET: Connection reset by peer")
EOF = ConnectionEnd("eof", "the server closed its sending side")
DRAINED = ConnectionEnd("error", "draining: the server is shutting down")
OPEN = ServerView(make_ledger_entry(ended=None, ended_by=None, bytes_received=126))
RESET_THERE = ServerView(
    make_ledger_entry(ended="reset", ended_by="client", duration=8.0)
)
CLOSED_THERE = ServerView(
    make_ledger_entry(ended="eof", ended_by="client", duration=8.0)
)
GONE = ServerView(missing="only other instances responded", found=False)


def client_tcp_info(**fields: int) -> TcpInfo:
    """Return our kernel's view of a connection that is well, its fields changed."""
    return tcp_info(**({"bytes_acked": 145, "bytes_received": 500} | fields))


def view(**fields: int) -> TcpInfo:
    """Return the server's kernel's view of a connection that is well."""
    return tcp_info(**({"bytes_acked": 501, "bytes_received": 144} | fields))


def held(
    rung: float, waker: Side, keepalive: int | None = None, /, **fields: object
) -> HeldConnection:
    """Return a held connection without an answer, with changed fields."""
    known: dict[str, object] = {
        "plan": HoldPlan(rung, waker, keepalive),
        "handshake": WELCOMED,
        "wait": WAITED,
        "sent": 144,
        "tcp_info": client_tcp_info(),
        "server": OPEN,
    }
    return HeldConnection(**(known | fields))  # type: ignore[arg-type]


def lived(rung: float, keepalive: int | None = None) -> list[HeldConnection]:
    """Return two connections that lived, whichever end woke them."""
    return [held(rung, waker, keepalive, answered=True) for waker in (US, THEM)]


def judged(*connections: HeldConnection, **fields: object) -> Judgement:
    """Judge the connections of one address."""
    known: dict[str, object] = {"limit": 7200.0, "held": connections}
    ladder = IdleResult(THERE, **(known | fields))  # type: ignore[arg-type]
    return CHECK.judge(AddressResults((ladder,), CheckOptions()))


def found(*connections: HeldConnection) -> Finding:
    """Return the only finding about 8 s connections beside surviving 2 s ones."""
    [finding] = judged(*lived(2), *connections).findings
    return finding


# Fates

UNHEARD = {"tcp_info": client_tcp_info(unacked=1), "retrans": 4}
ERROR = ErrorMessage(code="too_many_connections", message="full")


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"answered": True}, HoldOutcome.ALIVE),
        ({"ending": RESET}, HoldOutcome.RESET),
        ({"ending": RESET, "server": GONE}, HoldOutcome.RESET),
        ({"ending": EOF}, HoldOutcome.CLOSED),
        ({"ending": ConnectionEnd("broken", "a frame")}, HoldOutcome.CLOSED),
        ({}, HoldOutcome.SILENT),
        ({"ending": ConnectionEnd("timeout", "ETIMEDOUT")}, HoldOutcome.SILENT),
        ({"server": RESET_THERE}, HoldOutcome.RESET),
        ({"server": CLOSED_THERE}, HoldOutcome.CLOSED),
        (
            {
                "server": ServerView(
                    make_ledger_entry(ended="limit.idle", ended_by="server")
                )
            },
            HoldOutcome.SILENT,
        ),
        (
            {
                "server": ServerView(
                    make_ledger_entry(ended="limit.idle", ended_by="server")
                ),
                "ending": RESET,
            },
            HoldOutcome.ENDED_BY_SERVER,
        ),
        (
            {
                "server": ServerView(
                    make_ledger_entry(ended="drained", ended_by="server")
                )
            },
            HoldOutcome.ENDED_BY_SERVER,
        ),
        ({"ending": DRAINED}, HoldOutcome.ENDED_BY_SERVER),
        ({"handshake": Handshake(refused=ERROR)}, HoldOutcome.ENDED_BY_SERVER),
        ({"handshake": Handshake(cause=Cause.TIMEOUT)}, HoldOutcome.NOT_HELD),
        (
            {"refused": "while asking the server to hold it: no response in time"},
            HoldOutcome.NOT_HELD,
        ),
    ],
)
def test_outcome_combines_evidence_of_both_ends(
    fields: dict[str, object], outcome: HoldOutcome
) -> None:
    """The server's record completes the client's view; its own closes do not count."""
    assert held(8, US, **fields).outcome is outcome


# All is well


def test_surviving_connections_pass() -> None:
    """If all survive, the longest silence is reported and nothing is found."""
    assert judged(*lived(2), *lived(8), *lived(2, 1), *lived(8, 2)) == Judgement(
        "connections idle for 2 s and 8 s stay alive",
        figures={
            "longest_lived": 8,
            "shortest_died": None,
            "keepalive_longest_lived": 8,
            "keepalive_shortest_died": None,
        },
    )


def test_quick_profile_is_skipped_without_effect_on_verdict() -> None:
    """A check that was not asked for is skipped, and the verdict may still be PASS."""
    judgement = judged()
    assert judgement.skipped == ("not part of profile quick; use --profile full")
    results = [
        CheckResult("path", "?", Outcome.PASS, ""),
        CheckResult("idle", "?", Outcome.SKIP, "", blocks=judgement.blocks),
    ]
    assert conclude("server:80", results).outcome is Outcome.PASS


def test_longer_profile_contains_the_shorter_one() -> None:
    """A timer that soak finds can be told from a shorter one."""
    assert FULL_RUNGS_SECONDS == RUNGS_SECONDS["full"] == (30, 65, 125)
    assert RUNGS_SECONDS["soak"] == (*FULL_RUNGS_SECONDS, 305, 360, 610, 910, 3700)


def test_plan_covers_both_ends_and_keepalive() -> None:
    """Keepalive probes are sent well within the silence, at most one per minute."""
    intervals = {plan.rung: plan.keepalive for plan in plans([1, 2, 8, 360])}
    assert intervals == {1: None, 2: 1, 8: 2, 360: 60}
    assert len(plans([1])) == 2
    assert set(plans([8])) == {
        HoldPlan(8, waker, keepalive) for waker in (US, THEM) for keepalive in (None, 2)
    }


# Deaths


@pytest.mark.parametrize(
    ("by_us", "by_them", "failure", "where"),
    [
        ({"ending": RESET}, {"server": RESET_THERE}, "idle.reset", None),
        ({"ending": RESET}, {}, "idle.reset", None),
        ({"ending": EOF}, {"ending": EOF}, "idle.closed", None),
        (UNHEARD, {"server": CLOSED_THERE}, "idle.closed", None),
        (UNHEARD, {}, "idle.silent", None),
        (
            {},
            {"server": ServerView(OPEN.entry, view(unacked=1, total_retrans=3))},
            "idle.silent",
            None,
        ),
        (
            {"server": ServerView(OPEN.entry, view(bytes_received=126))},
            {},
            "idle.silent",
            None,
        ),
        (
            {},
            {
                "server": ServerView(OPEN.entry, view()),
                "tcp_info": client_tcp_info(bytes_received=480),
            },
            "idle.silent",
            None,
        ),
        ({"server": ServerView(OPEN.entry, view())}, {}, "idle.silent", "unknown"),
        ({}, {}, "idle.silent", "unknown"),
        (
            {
                "ending": RESET,
                "server": ServerView(missing="the instance no longer has a record"),
            },
            {},
            "idle.reset",
            None,
        ),
    ],
)
def test_dead_connection_has_a_class_and_a_location(
    by_us: dict[str, object],
    by_them: dict[str, object],
    failure: str,
    where: str | None,
) -> None:
    """A reset outranks a FIN, which outranks silence; only kernels prove a location."""
    finding = found(held(8, US, **by_us), held(8, THEM, **by_them))
    assert (finding.failure, finding.where) == (failure, where)
    assert finding.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("fields", "missed"),
    [
        ({}, WAITED),
        (UNHEARD, None),
        ({"ending": RESET}, None),
        ({"server": ServerView(OPEN.entry, view(bytes_received=126))}, None),
    ],
)
def test_only_silence_carries_missed_deadline(
    fields: dict[str, object], missed: TimeSpan | None
) -> None:
    """Missing data may be late; data that a kernel kept retransmitting is lost."""
    finding = found(held(8, US, **fields), held(8, THEM, answered=True))
    assert finding.missed_deadline == missed


def test_summary_describes_the_idle_timer() -> None:
    """It says what survives, what dies, whether keepalive helps, and the timer."""
    judgement = judged(
        *lived(305),
        held(360, US, ending=RESET, server=OPEN),
        held(
            360,
            THEM,
            server=ServerView(
                make_ledger_entry(ended="reset", ended_by="client", duration=360.0)
            ),
        ),
        *lived(360, 60),
    )
    [finding] = judgement.findings
    assert finding.seen == (
        "192.0.2.2:12345: connections idle for 360 s are reset; those idle for 305 s stay alive; with keep-alive every 60 s they stay alive; the idle timeout is between 305 s and "
        "360 s: 350 s is the idle timeout of an AWS Network Load Balancer or NAT gateway"
    )
    assert finding.evidence == (
        (US, "woken by this client after 360 s: ECONNRESET: Connection reset by peer"),
        (THEM, "same connection: still open, 126 of 144 bytes arrived"),
        (US, "woken by the server after 360 s: nothing arrived in 3.0 s"),
        (
            THEM,
            (
                "same connection: reset by this end, according to its record; "
                "this end did not do that"
            ),
        ),
    )
    assert finding.figures == {
        "lived": 305,
        "died": 360,
        "woken_by_client": "reset",
        "woken_by_server": "reset",
        "client_unacked": 0,
        "client_retrans": 0,
        "keepalive": 60,
        "keepalive_lives": True,
        "known_timer": 350,
    }
    assert (
        judgement.summary == "connections idle for 305 s stay alive, idle for 360 s die"
    )
    assert judgement.remarks == ()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "no response in 3.0 s, although the data was acknowledged"),
        (
            UNHEARD,
            "no response in 3.0 s, and nothing was acknowledged despite 4 retransmissions",
        ),
        ({"tcp_info": None}, "nothing arrived in 3.0 s"),
        ({"ending": EOF}, "the stream ended"),
        (
            {"ending": ConnectionEnd("timeout", "ETIMEDOUT: x")},
            "ETIMEDOUT: x",
        ),
    ],
)
def test_evidence_has_the_clients_view(fields: dict[str, object], line: str) -> None:
    """Silence is described as acknowledged or as retransmitted."""
    finding = found(held(8, US, **fields))
    assert finding.evidence[0] == (US, f"woken by this client after 8 s: {line}")


@pytest.mark.parametrize(
    ("server_view", "line"),
    [
        (
            ServerView(OPEN.entry, view(unacked=1, total_retrans=3)),
            (
                "still open, 126 of 144 bytes arrived; what it sent was not acknowledged despite 3 retransmissions"
            ),
        ),
        (
            CLOSED_THERE,
            "closed by this end, according to its record; this end did not do that",
        ),
        (
            ServerView(make_ledger_entry(ended="limit.idle", ended_by="server")),
            "ended by the server: limit.idle",
        ),
        (
            ServerView(missing="the instance did not respond to the query"),
            (
                "the server's record is unavailable: "
                "the instance did not respond to the query"
            ),
        ),
    ],
)
def test_evidence_has_the_servers_view(server_view: ServerView, line: str) -> None:
    """The server's record is shown, or why there is none."""
    finding = found(held(8, US, server=server_view))
    assert finding.evidence[1] == (THEM, f"same connection: {line}")


def test_time_of_close_is_reported() -> None:
    """A connection that ends during its silence says after how long."""
    finding = found(held(125, THEM, server=CLOSED_THERE))
    assert finding.seen.endswith(
        "; the idle timeout is 8.0 s: not a well-known timeout"
    )
    finding = found(held(125, US, ending=EOF, ended_after=60.2, wait=None))
    assert (
        "the idle timeout is 60.2 s: 60 s is the idle timeout of nginx" in finding.seen
    )
    assert finding.evidence[0] == (
        US,
        "to be woken by this client: the stream ended, after 60.2 s of silence",
    )


@pytest.mark.parametrize(
    ("kept", "words", "lives"),
    [
        (lived(8, 2), "with keep-alive every 2 s they stay alive", True),
        (
            [held(8, US, 2, ending=RESET), held(8, THEM, 2, answered=True)],
            "with keep-alive every 2 s they die too",
            False,
        ),
        ([], "those idle for 2 s stay alive; the idle timeout is between", None),
    ],
)
def test_effect_of_keepalive_is_reported(
    kept: list[HeldConnection], words: str, lives: bool | None
) -> None:
    """A remedy that works is what a user wants to know first."""
    finding = found(held(8, US, ending=RESET), held(8, THEM, ending=RESET), *kept)
    assert words in finding.seen
    assert finding.figures["keepalive_lives"] is lives


def test_death_with_keepalive_only_is_found() -> None:
    """If only connections with keepalive die, that is the finding."""
    judgement = judged(*lived(8), held(8, US, 2, ending=RESET), *lived(2, 1))
    [finding] = judgement.findings
    assert finding.failure == "idle.reset"
    assert judgement.remarks == ("only connections held with keep-alive die",)


@pytest.mark.parametrize(
    ("waker", "dies", "lives"),
    [(US, "this client", "the server"), (THEM, "the server", "this client")],
)
def test_death_depending_on_the_waking_end_is_noted(
    waker: Side, dies: str, lives: str
) -> None:
    """A note says so if it matters which end sends first."""
    other = THEM if waker is US else US
    judgement = judged(held(8, waker, ending=RESET), held(8, other, answered=True))
    assert judgement.remarks == (
        f"only those woken by {dies} die; those woken by {lives} stay alive",
    )
    assert judgement.summary == "connections idle for 8 s die"
    assert judgement.figures["longest_lived"] is None


def test_surviving_a_longer_silence_is_noted() -> None:
    """If a longer silence is survived, no idle timer is the cause."""
    judgement = judged(
        held(2, US, ending=RESET), held(2, THEM, ending=RESET), *lived(8)
    )
    assert judgement.remarks == (
        "those idle for 8 s stay alive, so this is not a simple idle timeout",
    )
    assert "the idle timeout is below 2 s" in judgement.findings[0].seen


# What is no middlebox's doing


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ending": DRAINED}, "draining: the server is shutting down"),
        ({"handshake": Handshake(refused=ERROR)}, "too_many_connections: full"),
        (
            {
                "ending": EOF,
                "server": ServerView(
                    make_ledger_entry(ended="limit.idle", ended_by="server")
                ),
            },
            "limit.idle",
        ),
    ],
)
def test_close_by_the_server_is_no_middlebox(
    fields: dict[str, object], why: str
) -> None:
    """A server that shuts down or is full says nothing about the network."""
    finding = found(held(8, US, **fields), held(8, THEM, **fields))
    assert finding.failure == "idle.interrupted"
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert finding.evidence == ((THEM, why),)
    assert finding.seen == (
        "192.0.2.2:12345: connections meant to be idle for 8 s were ended by the server "
        f"itself: {why}"
    )


def test_close_by_the_server_does_not_hide_another_connection() -> None:
    """A rung is judged by the connection that remains."""
    assert (
        judged(held(8, US, answered=True), held(8, THEM, ending=DRAINED)).findings == ()
    )
    finding = found(held(8, US, ending=RESET), held(8, THEM, ending=DRAINED))
    assert finding.failure == "idle.reset"


def test_vanished_server_leaves_the_cause_open() -> None:
    """A server that no longer answers may have closed them itself."""
    finding = found(held(8, US, ending=RESET, server=GONE), held(8, THEM, server=GONE))
    assert (finding.failure, finding.where) == ("idle.interrupted", "unknown")
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert finding.seen.endswith("is no longer reachable")


def test_rung_beyond_the_servers_limit_is_noted_and_not_tried() -> None:
    """The server's own limit must not look like a middlebox's."""
    judgement = judged(*lived(2), limit=10.0, beyond=(8.0, 30.0))
    assert judgement.findings == ()
    assert judgement.remarks == (
        (
            "not tried: 8 s and 30 s, because the server holds an idle connection for at most 10 s (its hold timeout)"
        ),
    )
    judgement = judged(limit=10.0, beyond=(8.0, 30.0))
    assert judgement.skipped is not None
    assert judgement.skipped.startswith("not tried: 8 s and 30 s")
    assert judgement.blocks is False


@pytest.mark.parametrize(
    ("fields", "what", "missed"),
    [
        (
            {
                "handshake": Handshake(
                    cause=Cause.TIMEOUT, detail="late", start=1, end=4
                )
            },
            "late",
            TimeSpan(1, 4),
        ),
        ({"handshake": Handshake(closed=True)}, "closed without a response", None),
        ({"handshake": Handshake(foreign=b"?")}, "another program responds", None),
        (
            {"refused": "while asking the server to hold it: no response in time"},
            "while asking the server to hold it: no response in time",
            WAITED,
        ),
        (
            {"refused": "while asking the server to hold it: x", "ending": RESET},
            "while asking the server to hold it: x",
            None,
        ),
    ],
)
def test_failed_connection_is_a_finding(
    fields: dict[str, object], what: str, missed: TimeSpan | None
) -> None:
    """Only a timeout carries a missed deadline."""
    waited = WAITED if "refused" in fields else None
    finding = found(held(8, US, **({"wait": waited} | fields)))
    assert (finding.failure, finding.missed_deadline) == ("path.broken", missed)
    assert finding.seen == f"192.0.2.2:12345: a later connection failed: {what}"


def test_kernel_without_keepalive_is_noted() -> None:
    """What this host cannot do is noted and blames nobody."""
    refused = held(8, US, 2, wait=None, refused="keep-alive could not be set: EPERM")
    judgement = judged(*lived(8), refused)
    assert judgement.findings == ()
    assert judgement.remarks == (
        "none was held with keep-alive: keep-alive could not be set: EPERM",
    )


def test_nothing_judged_is_no_pass() -> None:
    """If no rung has a result, the verdict is not PASS."""
    refused = held(2, US, wait=None, refused="keep-alive could not be set: EPERM")
    judgement = judged(refused)
    assert judgement.skipped == "no connection could be held"
    assert judgement.blocks


def test_addresses_have_their_own_figures() -> None:
    """A finding at the second address does not hide that of the first."""
    good = IdleResult(THERE, held=tuple(lived(8)))
    bad = IdleResult(THERE, held=(held(8, US, ending=RESET),))
    judgement = CHECK.judge(AddressResults((good, bad), CheckOptions()))
    assert (
        judgement.figures["longest_lived"],
        judgement.figures["2.shortest_died"],
    ) == (
        8,
        8,
    )
    assert len(judgement.findings) == 1


def test_remote_text_is_escaped() -> None:
    """Text from the server cannot move a terminal's cursor."""
    nasty = ServerView(make_ledger_entry(ended=HOSTILE_TEXT, ended_by="server"))
    refused = Handshake(refused=ErrorMessage(code=HOSTILE_TEXT, message=HOSTILE_TEXT))
    silent = found(held(8, US, server=nasty))
    ended = found(held(8, US, handshake=refused))
    texts = [text for finding in (silent, ended) for _, text in finding.evidence]
    assert len(texts) == 3
    assert all(text.isprintable() for text in (*texts, ended.seen))


# Timers


@pytest.mark.parametrize(
    ("last", "died", "seconds"),
    [
        (30, 65, [50, 60]),
        (65, 125, []),
        (125, 305, [240]),
        (305, 360, [350]),
        (360, 610, [600]),
        (610, 910, [900]),
        (910, 3700, [1200, 3600]),
        (0, 30, []),
        (50, 60, [60]),
        (60, 65, []),
    ],
)
def test_known_timers_lie_between_rungs(
    last: float, died: float, seconds: list[float]
) -> None:
    """Each rung of the profiles is just above a well-known timer."""
    assert [timer.seconds for timer in known_timers.between(last, died)] == seconds


@pytest.mark.parametrize(
    ("cut", "seconds"), [(60.4, [60]), (61.5, [60]), (63.0, []), (351.0, [350])]
)
def test_time_of_close_identifies_the_timer(cut: float, seconds: list[float]) -> None:
    """A connection that ends just after a known timer points to that timer."""
    assert [timer.seconds for timer in known_timers.near(cut)] == seconds
