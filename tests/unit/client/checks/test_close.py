"""Judging closes: what arrived, and which end or middlebox changed it."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from netduet.client.checks.addresses import AddressResults
from netduet.client.checks.base import CheckOptions
from netduet.client.checks.close import CHECK
from netduet.client.checks.close.judge import judge
from netduet.client.checks.close.results import (
    CloseMethod,
    CloseResult,
    CloseTrial,
)
from netduet.client.net.dial import Address, Cause
from netduet.client.net.handshake import ConnectionEnd, Handshake
from netduet.client.net.server_evidence import ServerView
from netduet.client.results.location import Side
from netduet.client.results.verdict import Finding, Judgement, Outcome
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
WAITED = TimeSpan(1, 4)
EOF = ConnectionEnd("eof", "the server closed its sending side")
CUT = ConnectionEnd("broken", "the stream ended inside a frame")
RESET = ConnectionEnd("reset", "ECONNRESET: Connection reset by peer")
DRAINED = ConnectionEnd("error", "draining: the server is shutting down")
ASKED = ServerView(
    make_ledger_entry(ended="asked.after_eof", ended_by="client", bytes_received=900)
)
FINISHED = ServerView(
    make_ledger_entry(ended="asked.finish", ended_by="server", bytes_received=900)
)
DID_RESET = ServerView(make_ledger_entry(ended="asked.reset", ended_by="server"))
BY_US = ServerView(make_ledger_entry(ended="reset", ended_by="client"))
MISSING = ServerView(missing="only other instances responded", found=False)


def state(name: str, retrans: int = 0, bytes_acked: int = 0) -> TcpInfo:
    """Return our kernel's view of a connection in this state."""
    return tcp_info(state=name, total_retrans=retrans, bytes_acked=bytes_acked)


def still_open(name: str) -> ServerView:
    """Return what the server knows of a connection that is in this state there."""
    return ServerView(
        make_ledger_entry(ended=None, ended_by=None), tcp_info(state=name)
    )


GOOD: dict[CloseMethod, dict[str, object]] = {
    CloseMethod.AT_ONCE: {"size": 500, "answered": 500, "ending": EOF, "server": ASKED},
    CloseMethod.PAUSED: {
        "size": 500,
        "answered": 500,
        "ending": EOF,
        "server": ASKED,
        "pause": 2.0,
    },
    CloseMethod.FINISH: {
        "size": 500,
        "answered": 500,
        "ending": EOF,
        "server": FINISHED,
        "pushed": 800,
        "sent": 900,
        "tcp_info": state("CLOSE_WAIT"),
    },
    CloseMethod.RESET: {"ending": RESET, "server": DID_RESET},
    CloseMethod.OWN_RESET: {"server": BY_US},
}


def end(method: CloseMethod, **fields: object) -> CloseTrial:
    """Return a close that arrived unchanged, with changed fields."""
    known: dict[str, object] = {"handshake": WELCOMED, "wait": WAITED}
    return CloseTrial(method, **(known | GOOD[method] | fields))  # type: ignore[arg-type]


def judged(**changed: dict[str, object]) -> Judgement:
    """Judge all closes of an address, with changed fields for those named."""
    ends = tuple(end(method, **changed.get(method.value, {})) for method in CloseMethod)
    return CHECK.judge(AddressResults((CloseResult(THERE, ends),), CheckOptions()))


def found(method: CloseMethod, **fields: object) -> Finding:
    """Return the only finding about one close with changed fields."""
    [finding] = judged(**{method.value: fields}).findings
    return finding


def test_closes_delivered_unchanged_pass() -> None:
    """If every kind of close arrives unchanged, there are no findings and no notes."""
    assert judged() == Judgement(
        "after a half-close, responses sent at once and 2 s later arrive in full; FIN and RST are delivered unchanged",
        figures=dict.fromkeys([method.value for method in CloseMethod], "as it was")
        | {"terminated": False},
    )


CASES: list[tuple[CloseMethod, dict[str, object], str, str | None]] = [
    # After our end of sending.
    (CloseMethod.AT_ONCE, {"answered": 0}, "close.half_close", None),
    (CloseMethod.AT_ONCE, {"answered": 0, "ending": RESET}, "close.half_close", None),
    (
        CloseMethod.AT_ONCE,
        {"answered": 0, "ending": None},
        "close.half_close",
        "unknown",
    ),
    (
        CloseMethod.AT_ONCE,
        {"answered": 0, "ending": None, "server": still_open("CLOSE_WAIT")},
        "close.half_close",
        "unknown",
    ),
    (
        CloseMethod.AT_ONCE,
        {"answered": 0, "server": MISSING},
        "close.half_close",
        "unknown",
    ),
    (
        CloseMethod.AT_ONCE,
        {"answered": 0, "ending": RESET, "server": BY_US},
        "close.reset_forged",
        None,
    ),
    (CloseMethod.AT_ONCE, {"answered": 499, "ending": CUT}, "close.answer_cut", None),
    (CloseMethod.AT_ONCE, {"answered": 1, "ending": RESET}, "close.answer_cut", None),
    (
        CloseMethod.AT_ONCE,
        {"answered": 1, "ending": None},
        "close.answer_cut",
        "unknown",
    ),
    (CloseMethod.PAUSED, {"changed": True}, "close.answer_changed", None),
    (CloseMethod.PAUSED, {"ending": RESET}, "close.fin_changed", None),
    (CloseMethod.PAUSED, {"ending": None}, "close.fin_changed", "unknown"),
    (
        CloseMethod.PAUSED,
        {"ending": None, "tcp_info": state("FIN_WAIT2")},
        "close.fin_changed",
        None,
    ),
    (
        CloseMethod.PAUSED,
        {"ending": None, "tcp_info": state("TIME_WAIT")},
        "close.fin_changed",
        "unknown",
    ),
    # Our own end of sending, lost on its way.
    (
        CloseMethod.AT_ONCE,
        {
            "answered": 0,
            "ending": None,
            "server": still_open("ESTABLISHED"),
            "tcp_info": state("FIN_WAIT2"),
        },
        "close.fin_changed",
        None,
    ),
    (
        CloseMethod.AT_ONCE,
        {
            "answered": 0,
            "ending": None,
            "server": still_open("ESTABLISHED"),
            "tcp_info": state("FIN_WAIT1", 3),
        },
        "close.fin_changed",
        None,
    ),
    (
        CloseMethod.AT_ONCE,
        {
            "answered": 0,
            "ending": None,
            "server": still_open("ESTABLISHED"),
            "tcp_info": state("FIN_WAIT1"),
        },
        "close.fin_changed",
        "unknown",
    ),
    # The server's end of sending.
    (CloseMethod.FINISH, {"answered": 0}, "close.answer_cut", None),
    (CloseMethod.FINISH, {"answered": 9, "ending": CUT}, "close.answer_cut", None),
    (CloseMethod.FINISH, {"ending": RESET, "pushed": 0}, "close.fin_changed", None),
    (CloseMethod.FINISH, {"sent": 901}, "close.half_close", None),
    (
        CloseMethod.FINISH,
        {"sent": 901, "server": still_open("FIN_WAIT2")},
        "close.half_close",
        "unknown",
    ),
    # Resets.
    (CloseMethod.RESET, {"ending": EOF}, "close.reset_hidden", None),
    (CloseMethod.RESET, {"ending": CUT}, "close.reset_hidden", None),
    (CloseMethod.RESET, {"ending": None}, "close.reset_lost", "unknown"),
    (
        CloseMethod.RESET,
        {"ending": None, "tcp_info": state("ESTABLISHED")},
        "close.reset_lost",
        None,
    ),
    (
        CloseMethod.OWN_RESET,
        {"server": ServerView(make_ledger_entry(ended="eof", ended_by="client"))},
        "close.reset_hidden",
        "path →",
    ),
]


@pytest.mark.parametrize(("method", "fields", "failure", "where"), CASES)
def test_altered_close_has_a_class_and_a_location(
    method: CloseMethod, fields: dict[str, object], failure: str, where: str | None
) -> None:
    """Without proof of the location, none is blamed."""
    finding = found(method, **fields)
    assert (finding.failure, finding.where) == (failure, where)
    assert finding.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("method", "fields", "missed"),
    [
        (CloseMethod.AT_ONCE, {"answered": 0, "ending": None}, WAITED),
        (CloseMethod.AT_ONCE, {"answered": 0}, None),
        (CloseMethod.AT_ONCE, {"answered": 7, "ending": None}, WAITED),
        (CloseMethod.PAUSED, {"ending": None}, WAITED),
        (CloseMethod.PAUSED, {"ending": None, "tcp_info": state("FIN_WAIT2")}, None),
        (CloseMethod.FINISH, {"sent": 901}, None),
        (CloseMethod.FINISH, {"sent": 901, "server": still_open("FIN_WAIT2")}, WAITED),
        (CloseMethod.RESET, {"ending": None}, WAITED),
        (CloseMethod.RESET, {"ending": None, "tcp_info": state("ESTABLISHED")}, None),
        (CloseMethod.RESET, {"ending": EOF}, None),
    ],
)
def test_only_absence_carries_missed_deadline(
    method: CloseMethod, fields: dict[str, object], missed: TimeSpan | None
) -> None:
    """A missing close may be late, unless a kernel proves that it was lost."""
    assert found(method, **fields).missed_deadline == missed


@pytest.mark.parametrize(
    ("method", "fields", "seen"),
    [
        (
            CloseMethod.AT_ONCE,
            {"answered": 0},
            (
                "this end closed its sending side; then an end of stream instead of the response"
            ),
        ),
        (
            CloseMethod.AT_ONCE,
            {"answered": 100, "ending": CUT},
            (
                "this end closed its sending side; 100 of 500 bytes of the response arrived, then an end of stream"
            ),
        ),
        (
            CloseMethod.AT_ONCE,
            {"answered": 0, "ending": RESET, "server": BY_US},
            (
                "this end closed its sending side; then each end received a reset "
                "that the other had not sent"
            ),
        ),
        (
            CloseMethod.AT_ONCE,
            {"answered": 0, "ending": None, "server": still_open("ESTABLISHED")},
            "this end closed its sending side, but the server never received the FIN",
        ),
        (
            CloseMethod.FINISH,
            {"sent": 1000},
            (
                "the server responded and closed its sending side; 700 of 800 bytes "
                "sent to it afterwards arrived"
            ),
        ),
        (
            CloseMethod.FINISH,
            {"ending": RESET, "pushed": 0},
            (
                "the response arrived completely, then reset (ECONNRESET: Connection "
                "reset by peer) instead of the FIN"
            ),
        ),
        (
            CloseMethod.RESET,
            {"ending": EOF},
            "the server reset the connection, but an end of stream arrived instead",
        ),
        (
            CloseMethod.OWN_RESET,
            {"server": ServerView(make_ledger_entry(ended="eof", ended_by="client"))},
            "this end reset the connection, but the server saw a normal close",
        ),
    ],
)
def test_finding_describes_cause_and_effect(
    method: CloseMethod, fields: dict[str, object], seen: str
) -> None:
    """A sentence says which end did what, and what arrived."""
    assert found(method, **fields).seen == f"192.0.2.2:12345: {seen}"


def test_loss_only_after_a_pause_is_noted() -> None:
    """If the answer arrives at once but not later, a middlebox drops state."""
    finding = found(CloseMethod.PAUSED, answered=0, ending=RESET)
    assert finding.seen.endswith(" (with a pause of 2 s; without a pause it works)")


def test_closes_failing_alike_are_one_finding() -> None:
    """One cause is one finding, with the evidence of each connection."""
    judgement = judged(
        at_once={"answered": 0},
        paused={"answered": 0, "server": MISSING},
        finish={"sent": 1700},
    )
    [finding] = judgement.findings
    assert finding.figures["ends"] == "at_once paused finish"
    assert finding.seen.endswith("then an end of stream instead of the response")
    assert finding.where is None
    assert finding.evidence == (
        (
            US,
            "closed its sending side: 0 of 500 bytes arrived, then an end of stream",
        ),
        (
            THEM,
            (
                "same connection: it received this end's FIN and responded; "
                "received 900 and sent 200 bytes"
            ),
        ),
        (
            US,
            (
                "closed its sending side, response after 2 s: 0 of 500 bytes arrived, then an end of stream"
            ),
        ),
        (
            THEM,
            (
                "same connection: the server's record is unavailable: "
                "only other instances responded"
            ),
        ),
        (
            US,
            (
                "the server responded and closed its sending side: 500 of 500 bytes arrived, then an end of stream; 800 bytes were sent after it"
            ),
        ),
        (
            THEM,
            (
                "same connection: it responded and closed its sending side, as requested; "
                "received 900 and sent 200 bytes"
            ),
        ),
    )
    assert judgement.summary == "3 of 5 ways to close are not delivered unchanged"


@pytest.mark.parametrize(
    ("server_view", "expected"),
    [
        (
            still_open("CLOSE_WAIT"),
            "still open (CLOSE_WAIT), received 100 and sent 200",
        ),
        (
            ServerView(make_ledger_entry(ended=None, ended_by=None)),
            "still open, received 100 and sent 200",
        ),
        (BY_US, "ended by this end: a reset; received 100 and sent 200"),
        (
            ServerView(make_ledger_entry(ended="limit.linger", ended_by="server")),
            "ended by the server: limit.linger; received 100 and sent 200",
        ),
    ],
)
def test_evidence_has_the_servers_record(
    server_view: ServerView, expected: str
) -> None:
    """The server's record of the close is shown beside the client's."""
    finding = found(CloseMethod.AT_ONCE, answered=0, server=server_view)
    assert finding.evidence[1] == (THEM, f"same connection: {expected} bytes")


# What is no fault of the network, or another check's


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (CloseMethod.AT_ONCE, {"ending": DRAINED, "answered": 0}),
        (CloseMethod.RESET, {"ending": DRAINED}),
        (
            CloseMethod.OWN_RESET,
            {
                "server": ServerView(
                    make_ledger_entry(ended="drained", ended_by="server")
                )
            },
        ),
        (
            CloseMethod.FINISH,
            {
                "handshake": Handshake(
                    refused=ErrorMessage(code="draining", message="bye")
                )
            },
        ),
    ],
)
def test_server_closing_on_its_own_is_no_middlebox(
    method: CloseMethod, fields: dict[str, object]
) -> None:
    """A server that shuts down says nothing about the network."""
    finding = found(method, **fields)
    assert (finding.failure, finding.where) == ("close.interrupted", "server")
    assert finding.outcome is Outcome.INCONCLUSIVE


def test_data_lost_before_half_close_is_left_to_other_checks() -> None:
    """If large answers never arrive, the half-close is not to blame."""
    why = "500 bytes from the server do not arrive"
    judgement = judged(
        at_once={"open_failure": why, "answered": 0, "ending": None},
        paused={"open_failure": why, "answered": 0, "ending": None},
        finish={"open_failure": why, "answered": 0, "ending": None},
    )
    assert judgement.skipped == (
        "not judged, because data does not even pass while both ends are open "
        f"({why}): see the size check"
    )
    assert (judgement.findings, judgement.blocks) == ((), True)
    assert judgement.figures["at_once"] is None
    assert judgement.figures["reset"] == "as it was"
    doubt = judgement.doubt
    assert doubt is not None
    assert (doubt.failure, doubt.outcome) == ("path.broken", Outcome.FAIL)
    assert why in doubt.seen


def test_answer_still_retransmitted_is_not_cut() -> None:
    """While the server's kernel retransmits, the rest is on its way."""
    server_view = still_open("ESTABLISHED")
    assert server_view.view is not None
    trying = server_view.view.model_copy(update={"retrans": 1, "unacked": 4})
    part = {
        "answered": 100,
        "ending": None,
        "tcp_info": state("FIN_WAIT2"),
        "server": replace(server_view, view=trying),
    }
    judgement = judged(at_once=part)
    assert judgement.skipped == (
        "not judged, because the server's kernel keeps retransmitting the response: see the size check"
    )
    assert judgement.findings == ()
    [finding] = judged(at_once=part | {"server": server_view}).findings
    assert finding.failure == "close.answer_cut"


def test_request_still_retransmitted_is_no_lost_fin() -> None:
    """If the data before our FIN is lost too, the FIN is not to blame."""
    part = {
        "answered": 0,
        "ending": None,
        "sent": 900,
        "tcp_info": state("FIN_WAIT1", 3, 800),
        "server": still_open("ESTABLISHED"),
    }
    judgement = judged(at_once=part)
    assert judgement.skipped == (
        "not judged, because this end's kernel keeps retransmitting the request: see the size check"
    )
    assert judgement.doubt is not None
    assert judgement.doubt.outcome is Outcome.FAIL
    fewer = judged(at_once=part | {"tcp_info": state("FIN_WAIT1", 2, 800)})
    assert fewer.doubt is not None
    assert fewer.doubt.outcome is Outcome.INCONCLUSIVE
    acked = state("FIN_WAIT1", 3, 901)
    assert (
        found(CloseMethod.AT_ONCE, **part | {"tcp_info": acked}).failure
        == "close.fin_changed"
    )


def test_data_after_the_servers_timeout_proves_nothing() -> None:
    """The server reads for a limited time after its FIN: late data proves nothing."""
    done = make_ledger_entry(
        ended="asked.finish", ended_by="server", bytes_received=100
    )
    lost = {"server": ServerView(done)}
    assert found(CloseMethod.FINISH, **lost).failure == "close.half_close"
    judgement = judged(finish=lost | {"late": True})
    assert judgement.findings == ()
    assert judgement.remarks == (
        "the path is too slow to tell whether data passes after the server's FIN",
    )


def test_same_evidence_is_listed_once() -> None:
    """Five connections refused alike give one line of evidence."""
    refused = Handshake(
        refused=ErrorMessage(code="too_many_connections", message="full")
    )
    ends = tuple(CloseTrial(method, refused) for method in CloseMethod)
    judgement = judge(CloseResult(THERE, ends), CheckOptions())
    [finding] = judgement.findings
    assert finding.evidence == ((Side.SERVER, "it refused: full"),)


def test_reset_is_judged_without_working_data() -> None:
    """Closes that need no data are judged all the same."""
    judgement = judged(at_once={"open_failure": "x"}, reset={"ending": EOF})
    assert [finding.failure for finding in judgement.findings] == ["close.reset_hidden"]
    assert judgement.skipped is None


def test_skipped_address_does_not_hide_findings_of_another() -> None:
    """The finding stands, and nothing is said about the address not judged."""
    unready = end(CloseMethod.AT_ONCE, open_failure="x")
    first = CloseResult(THERE, (unready,))
    second = CloseResult(THERE, (end(CloseMethod.RESET, ending=EOF),))
    judgement = CHECK.judge(AddressResults((first, second), CheckOptions()))
    assert (len(judgement.findings), judgement.skipped) == (1, None)
    assert judgement.summary == "1 of 1 ways to close is not delivered unchanged"


@pytest.mark.parametrize(
    ("opening", "what", "missed"),
    [
        (
            Handshake(cause=Cause.TIMEOUT, detail="late", start=2, end=5),
            "late",
            TimeSpan(2, 5),
        ),
        (Handshake(closed=True), "closed without a response", None),
        (Handshake(foreign=b"?"), "another program responds", None),
    ],
)
def test_failed_connection_is_a_finding(
    opening: Handshake, what: str, missed: TimeSpan | None
) -> None:
    """Only a timeout carries a missed deadline."""
    finding = found(CloseMethod.AT_ONCE, handshake=opening, wait=None)
    assert (finding.failure, finding.missed_deadline) == ("path.broken", missed)
    assert finding.seen == f"192.0.2.2:12345: a later connection failed: {what}"


def test_unseen_client_reset_is_a_note() -> None:
    """A reset is sent once and may be lost, which is no fault."""
    judgement = judged(own_reset={"server": still_open("ESTABLISHED")})
    assert judgement.findings == ()
    assert judgement.remarks == ("the server has not received this end's reset yet",)


def test_missing_record_is_no_finding() -> None:
    """If all went well here, a missing server record is no fault."""
    missing: dict[str, dict[str, object]] = {
        method.value: {"server": MISSING} for method in CloseMethod
    }
    assert judged(**missing).findings == ()


def test_addresses_have_their_own_findings_and_figures() -> None:
    """A finding at one address does not hide one at another."""
    good = CloseResult(THERE, tuple(end(method) for method in CloseMethod))
    bad = CloseResult(THERE, (end(CloseMethod.RESET, ending=EOF),))
    judgement = CHECK.judge(AddressResults((good, bad), CheckOptions()))
    assert [finding.failure for finding in judgement.findings] == ["close.reset_hidden"]
    assert judgement.figures["reset"] == "as it was"
    assert judgement.figures["2.reset"] == "close.reset_hidden"


def test_remote_text_is_escaped() -> None:
    """Text from the server cannot move a terminal's cursor."""
    server_view = ServerView(make_ledger_entry(ended=HOSTILE_TEXT, ended_by="server"))
    refused = Handshake(refused=ErrorMessage(code=HOSTILE_TEXT, message=HOSTILE_TEXT))
    for finding in (
        found(CloseMethod.AT_ONCE, answered=0, server=server_view),
        found(CloseMethod.OWN_RESET, server=server_view),
        found(CloseMethod.FINISH, handshake=refused),
    ):
        texts = [finding.seen, *(text for _, text in finding.evidence)]
        assert all(text.isprintable() for text in texts)


BY_OUR_FIN = ServerView(make_ledger_entry(ended="eof", ended_by="client"))


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        (CloseMethod.OWN_RESET, {"server": BY_OUR_FIN}, True),
        (CloseMethod.OWN_RESET, {"server": still_open("ESTABLISHED")}, False),
        (CloseMethod.OWN_RESET, {"server": MISSING}, False),
        (CloseMethod.RESET, {"ending": EOF}, True),
        (CloseMethod.RESET, {"ending": CUT}, True),
        (CloseMethod.RESET, {"ending": None}, False),
        (CloseMethod.RESET, {"ending": EOF, "server": MISSING}, False),
        (CloseMethod.RESET, {"ending": EOF, "server": FINISHED}, False),
        (CloseMethod.AT_ONCE, {"answered": 0}, True),
        (CloseMethod.PAUSED, {"answered": 100, "ending": CUT}, True),
        # A firewall can forge a reset, and IPVS forgets half-closed connections.
        (CloseMethod.AT_ONCE, {"answered": 0, "ending": RESET}, False),
        (CloseMethod.PAUSED, {"answered": 0, "ending": None}, False),
        (CloseMethod.FINISH, {"answered": 0}, False),
    ],
)
def test_end_of_stream_that_no_end_sent_proves_a_proxy(
    method: CloseMethod, fields: dict[str, object], *, expected: bool
) -> None:
    """Nothing that only forwards packets makes a FIN out of a RST, or before data."""
    assert judged(**{method.value: fields}).figures["terminated"] is expected
