"""Verdicts as text, line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.report import text
from netduet.client.report.text import WIDTH, plain
from netduet.client.results.failure import Failure
from netduet.client.results.location import Location, Side
from netduet.client.results.target import Expect
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    conclude,
    result,
    skipped_because_of,
)

REFUSED = Finding(
    "reach.refused",
    "192.0.2.1:80: ECONNREFUSED: Connection refused, after 0.5 ms",
    ((Side.CLIENT, "it was tried once"), (Side.SERVER, "nothing was said")),
)


def done(check: str, *findings: Finding, remarks: tuple[str, ...] = ()) -> CheckResult:
    """Return the result of a check that found these."""
    judgement = Judgement("what it came to", findings, remarks)
    return result(check, "What is asked?", judgement, 0.1, lambda *_: 0.0)


def verdict(*results: CheckResult, interrupted: bool = False) -> list[str]:
    """Return the verdict over these results as plain lines."""
    concluded = conclude("server:80", results, interrupted=interrupted)
    return [plain(line) for line in text.verdict(concluded)]


def test_failure_is_described_from_root_to_next_steps() -> None:
    """In order: what, the evidence of both ends, where, causes, next steps."""
    lines = verdict(
        done("name"), done("reach", REFUSED), skipped_because_of("path", "?", "reach")
    )
    assert (
        "\n".join(lines)
        == """
FAIL: the connection was refused (reach.refused)
  observed       192.0.2.1:80: ECONNREFUSED: Connection refused, after 0.5 ms
  client         it was tried once
  server         nothing was said
  where          server (the server's end)
  likely causes  1. the server is not running, or has not started listening yet
                 2. it listens on another port, or only on 127.0.0.1
                 3. a firewall rejects the connection with a reset (REJECT
                    --reject-with tcp-reset)
  try next       1. check whether the server is running and what it listens on:
                    docker logs, ss -tln
                 2. compare the requested port with the listening port"""
    )


def test_causes_of_the_evidence_come_first_and_none_twice() -> None:
    """What was measured is likelier than what a class knows in general."""
    known = CATALOGUE["reach.refused"].causes
    finding = replace(REFUSED, causes=("localhost is this host", known[1]))
    lines = verdict(done("reach", finding))
    start = lines.index("  likely causes  1. localhost is this host")
    assert lines[start + 1].strip() == f"2. {known[1]}"
    assert lines[start + 2].strip() == f"3. {known[0]}"


@pytest.mark.parametrize(
    ("results", "interrupted", "sentence"),
    [
        (
            [done("name")],
            False,
            "PASS: the network between here and server:80 works",
        ),
        ([], False, "SKIP: no verdict on server:80: required checks were skipped"),
        (
            [done("name")],
            True,
            "INCONCLUSIVE: interrupted before all checks of server:80 were done",
        ),
        (
            [done("name", Finding("name.timeout", "s", outcome=Outcome.INCONCLUSIVE))],
            False,
            "INCONCLUSIVE: no verdict on server:80: see below",
        ),
        (
            [done("reach", REFUSED)],
            True,
            "FAIL: the connection was refused (reach.refused)",
        ),
    ],
)
def test_verdict_is_one_sentence(
    results: list[CheckResult], interrupted: bool, sentence: str
) -> None:
    """After an empty line the outcome comes first, then its meaning."""
    assert verdict(*results, interrupted=interrupted)[:2] == ["", sentence]


def test_passed_verdict_has_no_details() -> None:
    """Nothing follows a verdict that needs no action."""
    assert len(verdict(done("name"))) == 2


@pytest.mark.parametrize("results", [(done("name"),), (done("reach", REFUSED),)])
def test_verdict_names_the_clients_node_if_known(
    results: tuple[CheckResult, ...],
) -> None:
    """A verdict holds for the node that it was measured from."""
    unnamed = conclude("server:80", results)
    asked = replace(unnamed, asked_by="web-2 on node-1 in eu-1b")
    lines = [plain(line) for line in text.verdict(asked)]
    assert "  run from       web-2 on node-1 in eu-1b" in lines
    lines.remove("  run from       web-2 on node-1 in eu-1b")
    assert lines == [plain(line) for line in text.verdict(unnamed)]


def test_proven_location_overrides_that_of_the_class() -> None:
    """If a finding proves the direction, the usual location is not shown."""
    mangled = Finding("identity.mangled", "s", where=Location.TO_SERVER)
    lines = verdict(done("identity", mangled))
    assert "  where          path → (the path to the server)" in lines


def test_other_findings_follow_the_root() -> None:
    """Other findings are listed with class and location."""
    partial = Finding("reach.partial", "1 of 2 addresses does not accept")
    closed = Finding("identity.closed", "it closed")
    lines = verdict(done("reach", partial), done("identity", closed))
    assert lines[-1] == "  also           identity.closed: it closed"


def test_consequences_of_the_root_are_named_in_one_line() -> None:
    """What the root explains needs no attention of its own, unlike everything else."""
    root = Finding("flows.table_full", "s", explains=("churn.table_full", "load"))
    lines = verdict(
        done("flows", root),
        done("churn", Finding("churn.table_full", "none passes")),
        done("load", Finding("load.slow", "slow"), Finding("load.slow", "slower")),
        done("size", Finding("size.changed", "changed")),
    )
    assert lines[-2:] == [
        "  consequences   churn.table_full, load.slow",
        "  also           size.changed: changed",
    ]


def test_expected_block_is_not_called_a_working_network() -> None:
    """A pass says how the target is blocked."""
    judgement = Judgement("s", figures={"found": "blocked", "how": "dropped"})
    check_result = result("isolation", "?", judgement, 0.1, lambda *_: 0.0)
    concluded = conclude("db:1", [check_result], expected=Expect.BLOCKED)
    lines = [plain(line) for line in text.verdict(concluded)]
    assert lines == ["", "PASS: db:1 is blocked, as expected: dropped"]


def test_interrupted_verdict_lists_done_and_missing_checks() -> None:
    """The same holds if nothing was done."""
    for results, before in (([done("name")], "name"), ([], "none")):
        concluded = conclude(
            "a:1", results, interrupted=True, missing=["reach", "path"]
        )
        lines = [plain(line) for line in text.verdict(concluded)]
        assert lines[-2:] == [
            f"  completed      {before}",
            "  not run        reach, path",
        ]


@pytest.mark.parametrize(
    ("path", "error", "expected"),
    [
        ("/tmp/a-run", "", "results are saved in /tmp/a-run"),
        ("", "", "with --resume FILE"),
        (
            "/tmp/a-run",
            "No space left",
            "could not save all results in /tmp/a-run: No space",
        ),
    ],
)
def test_interrupted_run_says_how_to_resume(
    path: str, error: str, expected: str
) -> None:
    """It names the file, or the setting, or why there is none."""
    lines = [plain(line) for line in text.resumable(path, error)]
    assert expected in " ".join(lines)
    assert max(map(len, lines)) <= WIDTH


def test_restored_result_has_its_time() -> None:
    """Earlier measurements are not mistaken for current ones."""
    check_result = CheckResult(
        "udp", "?", Outcome.PASS, "s", earlier="2026-01-02T03:04:05Z"
    )
    [_, note] = [plain(line) for line in text.result(check_result)]
    assert note.strip() == "note: from an interrupted run, 2026-01-02T03:04:05Z"


def test_result_is_a_line_with_outcome_check_and_summary() -> None:
    """The columns of all checks are aligned."""
    lines = [
        *text.result(done("name")),
        *text.result(done("reach", REFUSED)),
        *text.result(skipped_because_of("identity", "?", "reach")),
    ]
    assert [plain(line) for line in lines] == [
        "  PASS  name      what it came to",
        "  FAIL  reach     what it came to",
        "  SKIP  identity  skipped: reach did not pass",
    ]


def test_check_without_a_summary_shows_its_question() -> None:
    """A line is never without text."""
    check_result = CheckResult("name", "What is asked?", Outcome.PASS, "")
    assert plain(next(text.result(check_result))) == "  PASS  name      What is asked?"


def test_long_summary_and_notes_stay_in_their_column() -> None:
    """Wrapped lines are indented to the column of the text."""
    check_result = CheckResult(
        "name", "?", Outcome.PASS, "word " * 20, remarks=("note " * 20,)
    )
    lines = [plain(line) for line in text.result(check_result)]
    assert len(lines) == 4
    assert lines[1].startswith(" " * 18 + "word")
    assert lines[2].startswith(" " * 18 + "note: note")
    assert lines[3].startswith(" " * 24 + "note")


def test_outcome_has_its_style() -> None:
    """The style tells the terminal writer the outcome of a piece of text."""
    line = next(text.result(done("reach", REFUSED)))
    assert [style for style, text in line if "FAIL" in text] == ["FAIL"]


@pytest.mark.parametrize("failure", CATALOGUE.values(), ids=lambda known: known.name)
def test_explanation_is_complete_and_fits_a_terminal(failure: Failure) -> None:
    """Each class has its meaning, causes and next steps within the width."""
    lines = [plain(line) for line in text.explanation(failure)]
    assert lines[0] == f"{failure.name}: {failure.title}"
    assert max(map(len, lines)) <= WIDTH
    flowing = " ".join(" ".join(lines).split())
    for sentence in (failure.meaning, *failure.causes, *failure.next):
        assert sentence in flowing
    assert (f"Applications: {failure.consequence}" in flowing) == bool(failure.need)
    assert f"where {failure.where} (" in flowing


@pytest.mark.parametrize("name", CATALOGUE)
def test_verdict_of_each_class_fits_a_terminal(name: str) -> None:
    """However long the evidence, no line is wider than the terminal."""
    finding = Finding(name, "x" * 300, ((Side.SERVER, "y " * 300),))
    lines = verdict(done(name.partition(".")[0], finding))
    assert max(map(len, lines)) <= WIDTH


def test_single_cause_has_no_number() -> None:
    """Only lists are numbered."""
    lines = verdict(done("check", Finding("check.defect", "s")))
    assert "  likely causes  a bug in netduet" in lines


def test_several_targets_are_counted_by_outcome() -> None:
    """One line counts the targets by outcome."""
    verdicts = [
        conclude("a", [done("name")]),
        conclude("b", [done("reach", REFUSED)]),
        conclude("c", [done("name")]),
    ]
    lines = [plain(line) for line in text.overall(verdicts)]
    assert lines == ["", "3 targets: 2 PASS, 1 FAIL"]


def test_causes_and_steps_are_shown_once_for_several_targets() -> None:
    """A later target with the same class refers to the first; another class does not."""
    also_refused = replace(REFUSED, seen="another address")
    closed = Finding("identity.closed", "closed")
    verdicts = [
        conclude("a", [done("reach", REFUSED)]),
        conclude("b", [done("reach", also_refused)]),
        conclude("c", [done("identity", closed)]),
        conclude("d", [done("reach", replace(REFUSED, causes=("its own",)))]),
    ]
    shown = [
        [plain(line) for line in text.verdict(each, above=verdicts[:number])]
        for number, each in enumerate(verdicts)
    ]
    headed = [any("likely causes" in line for line in lines) for lines in shown]
    assert headed == [True, False, True, True]
    assert "  try next       as for a, above" in shown[1]
    assert any("another address" in line for line in shown[1])


def test_heading_names_the_target() -> None:
    """The target is shown above its checks."""
    assert [plain(line) for line in text.heading("server:80")] == ["server:80"]


def test_checks_skipped_for_one_cause_are_one_line() -> None:
    """A failure that explains many checks takes one line, below the others."""
    results = [
        done("name"),
        done("reach", REFUSED),
        *(skipped_because_of(check, "?", "reach") for check in ("identity", "path")),
        done("isolation"),
    ]
    assert [plain(line) for line in text.rows(results)] == [
        "  PASS  name      what it came to",
        "  FAIL  reach     what it came to",
        "  PASS  isolation  what it came to",
        "  SKIP  2 checks skipped: reach failed",
    ]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.INCONCLUSIVE, "identity was inconclusive"),
        (Outcome.SKIP, "identity was skipped"),
    ],
)
def test_line_of_skipped_checks_has_the_outcome_of_the_cause(
    outcome: Outcome, reason: str
) -> None:
    """A skipped or inconclusive check did not fail."""
    results = [
        CheckResult("identity", "?", outcome, "s", blocks=True),
        *(skipped_because_of(check, "?", "identity") for check in ("path", "udp")),
    ]
    lines = [plain(line) for line in text.skipped(results)]
    assert lines == [f"  SKIP  2 checks skipped: {reason}"]


def test_long_outcome_moves_only_the_first_line() -> None:
    """INCONCLUSIVE fits, and the text below stays in its column."""
    check_result = CheckResult("udp", "?", Outcome.INCONCLUSIVE, "word " * 20)
    lines = [plain(line) for line in text.result(check_result)]
    assert lines[0].startswith("  INCONCLUSIVE  udp       word word")
    assert lines[1].startswith(" " * 18 + "word")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_text_uses_the_width(width: int) -> None:
    """No line is wider, and the longest is nearly as wide."""
    results = [
        done("name", remarks=("note " * 60,)),
        CheckResult("path", "?", Outcome.INCONCLUSIVE, "word " * 60),
        done("reach", replace(REFUSED, seen="word " * 60)),
    ]
    concluded = conclude("server:80", results)
    for part in (
        text.everything([concluded], width=width),
        text.verdict(concluded, width=width),
        text.explanation(CATALOGUE["identity.silent"], width),
        text.resumable("", "", width),
    ):
        assert max(len(plain(line)) for line in part) <= width
    assert max(len(plain(line)) for line in text.rows(results, width)) > width - 6


NOTED = replace(
    done("close"),
    notes=(Finding("close.reset_hidden", "192.0.2.1:80: a reset became an end"),),
)


def test_note_has_observation_consequence_and_class() -> None:
    """One paragraph says what was seen and what applications notice of it."""
    _, *lines = [plain(line) for line in text.result(NOTED, width=80)]
    paragraph = " ".join(" ".join(lines).split())
    assert paragraph == (
        "note: 192.0.2.1:80: a reset became an end; "
        f"{CATALOGUE['close.reset_hidden'].consequence} [close.reset_hidden]"
    )


def test_doubtful_note_claims_no_proof() -> None:
    """A finding that starvation may explain stays doubtful as a note."""
    late = Finding("udp.silent", "no response", outcome=Outcome.INCONCLUSIVE)
    assert text.note_text(late).endswith("[udp.silent, not proven]")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"proxied": True},
            (
                "PASS: the network between here and server:80 works through a TCP proxy; "
                "the notes say what it does not carry"
            ),
        ),
        (
            {"requirements": ("tcp", "idle=10m")},
            (
                "PASS: the network between here and server:80 has what is needed: "
                "tcp, idle=10m"
            ),
        ),
        (
            {"requirements": ("tcp", "udp"), "unmet_needs": ("udp",)},
            "SKIP: no verdict on server:80: needed, but not proven: udp",
        ),
    ],
)
def test_verdict_claims_what_is_needed_and_no_more(
    fields: dict[str, object], expected: str
) -> None:
    """A pass with notes does not say that the network works."""
    concluded = conclude("server:80", [NOTED], **fields)  # type: ignore[arg-type]
    lines = [plain(line) for line in text.verdict(concluded)]
    assert " ".join(" ".join(lines).split()) == expected


def test_need_that_only_netduet_server_tests_is_named() -> None:
    """Beside another service there is a remedy."""
    skipped = Judgement("", skipped="needs it", needs_server=True)
    close = result("close", "?", skipped, 0.0, lambda *_: 0.0)
    concluded = conclude(
        "db:5432",
        [done("name"), close],
        requirements=("tcp", "reset"),
        unmet_needs=("reset",),
    )
    lines = [plain(line) for line in text.verdict(concluded)]
    assert " ".join(" ".join(lines).split()) == (
        "SKIP: no verdict on db:5432: needed, but not proven: reset (needs "
        "netduet-server beside the service)"
    )
