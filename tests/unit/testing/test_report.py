"""The typed report: how it is read, and the messages of its assertions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from netduet.client.checks.catalogue import ALIASES, CATALOGUE, local_catalogue
from netduet.client.report import text
from netduet.client.report.json_report import document
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location, Side
from netduet.client.results.starvation import Starvation
from netduet.client.results.target import Expect
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Judgement,
    Outcome,
    Verdict,
    conclude,
    result,
    skipped_because_of,
)
from netduet.testing import InconclusiveError, Report

CALM = Starvation(0, 0.0, None)
REFUSED = Finding(
    "reach.refused",
    "192.0.2.1:80: ECONNREFUSED: Connection refused, after 0.5 ms",
    ((Side.CLIENT, "it was tried once"), (Side.SERVER, "nothing was said")),
    {"lost_syns": 2},
)
HIDDEN = Finding("close.reset_hidden", "it ended properly", where=Location.TO_SERVER)
LATE = Finding("identity.silent", "nobody answered", outcome=Outcome.INCONCLUSIVE)


def done(check: str, *findings: Finding, skipped: str | None = None) -> CheckResult:
    """Return the result of a check that found these."""
    judgement = Judgement(
        "came to", findings, ("odd",), {"n": 1.5}, skipped, blocks=skipped == "blocks"
    )
    return result(check, "Is it?", judgement, 0.1, lambda *_: 0.0)


PASSED = conclude("a:1", [done("name"), done("size")])
PARTLY = conclude("a:1", [done("name"), done("idle", skipped="none are held")])
REFUSES = conclude(
    "b:1",
    [done("name"), done("reach", REFUSED), skipped_because_of("path", "?", "reach")],
)
SEVERAL = conclude("b:1", [done("reach", REFUSED), done("close", HIDDEN)])
EXPLAINED = conclude(
    "b:1",
    [
        done("reach", REFUSED),
        done("x", replace(REFUSED, causes=("the port is wrong",))),
        done("y", replace(REFUSED, causes=("the host is wrong",))),
    ],
)
STARVED = conclude("c:1", [done("name"), done("identity", LATE)])
SKIPPED = conclude("d:1", [done("reach", skipped="blocks")])
STOPPED = conclude("e:1", [done("name")], interrupted=True, missing=("udp", "load"))
BLOCKED = replace(
    conclude("f:1", [done("name")], expected=Expect.BLOCKED), client="web"
)
ALL = (PASSED, PARTLY, REFUSES, SEVERAL, EXPLAINED, STARVED, SKIPPED, STOPPED, BLOCKED)


def read(*verdicts: Verdict, asked: tuple[str, ...] = ()) -> Report:
    """Return the report of a client that came to these."""
    return Report.read(document(verdicts, CALM), asked)


def printed(*verdicts: Verdict) -> str:
    """Return what the client prints of these on a terminal."""
    return "\n".join(
        text.plain(line) for line in text.everything(verdicts, local_catalogue())
    )


@pytest.mark.parametrize("verdicts", [*([verdict] for verdict in ALL), ALL])
def test_report_text_equals_the_clients_output(verdicts: list[Verdict]) -> None:
    """A report that was written and read again has the client's text."""
    assert str(read(*verdicts)) == printed(*verdicts)


def test_report_names_the_clients_node() -> None:
    """The node is in the document once, and in each verdict."""
    asker = Instance("web-2", "node-1", "eu-1b")
    text = document([PASSED, REFUSES], CALM, asker)
    verdicts = [replace(verdict, asked_by=str(asker)) for verdict in (PASSED, REFUSES)]
    assert str(Report.read(text)) == printed(*verdicts)


def test_report_of_an_older_client_without_instance_is_read() -> None:
    """The missing fields are accepted."""
    older = json.loads(document([PASSED], CALM))
    for name in ("instance", "node", "zone"):
        del older["probe"][name]
    assert str(Report.read(json.dumps(older))) == printed(PASSED)


@pytest.mark.parametrize("name", CATALOGUE)
def test_report_of_each_class_equals_the_clients_output(name: str) -> None:
    """The document loses nothing of a class."""
    verdict = conclude("a:1", [done("x", Finding(name, "seen"))])
    assert str(read(verdict)) == printed(verdict)


def test_report_is_typed() -> None:
    """A test asks for checks by name, findings by class, and figures by name."""
    report = read(SEVERAL)
    assert report.outcome is Outcome.FAIL
    assert report.root is not None
    assert (report.root.failure, report.root.where) == ("reach.refused", "server")
    assert report.checks["close"].outcome is Outcome.FAIL
    assert report.checks["close"].figures == {"n": 1.5}
    assert [finding_part.failure for finding_part in report.failures] == [
        "reach.refused",
        "close.reset_hidden",
    ]
    assert read(PASSED).root is None
    assert read(STARVED).failures == []


def test_unknown_class_is_described_by_the_report() -> None:
    """A newer client may know more classes: the report has their text."""
    text = document([REFUSES], CALM).replace("reach.refused", "reach.brand_new")
    report = Report.read(
        text.replace('"schema_version"', '"later": 1, "schema_version"')
    )
    assert str(report) == printed(REFUSES).replace("reach.refused", "reach.brand_new")
    assert report.assert_fails("reach.brand_new").seen == REFUSED.seen


@pytest.mark.parametrize(("older", "name"), ALIASES.items())
def test_older_name_of_a_class_is_accepted(older: str, name: str) -> None:
    """In a test's assertion, and in the report of a client of an earlier version."""
    verdict = conclude("a:1", [done("x", Finding(name, "seen"))])
    earlier = Report.read(document([verdict], CALM).replace(name, older))
    for report in (read(verdict), earlier):
        assert report.assert_fails(older).seen == "seen"
        assert report.assert_fails(name).seen == "seen"
        assert str(report) == printed(verdict)
    with pytest.raises(AssertionError, match="expected, but nothing was found"):
        read(PASSED).assert_fails(older)


def test_report_of_another_schema_version_is_rejected() -> None:
    """Fields of another schema are not guessed."""
    other = json.loads(document([PASSED], CALM)) | {"schema_version": 99}
    with pytest.raises(ValueError, match="schema version 99") as caught:
        Report.read(json.dumps(other))
    assert "of the same version" in str(caught.value)


@pytest.mark.parametrize("text", ["", "PASS", "{}", "[]", b"\xff"])
def test_text_that_is_no_report_is_rejected(text: str | bytes) -> None:
    """Output of a client that crashed is never taken for a report."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are pydantic's
        Report.read(text)


def test_working_network_is_ok() -> None:
    """A pass is a pass, also if a check that was not asked for was skipped."""
    read(PASSED).assert_ok()
    read(PASSED, asked=("name", "size")).assert_ok()
    read(PARTLY).assert_ok()


def test_assertion_message_is_the_diagnosis() -> None:
    """The message is the verdict in full, then the checks."""
    with pytest.raises(AssertionError) as caught:
        read(REFUSES).assert_ok()
    assert not isinstance(caught.value, InconclusiveError)
    assert (
        str(caught.value)
        == """\
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
                 2. compare the requested port with the listening port

b:1
  PASS  name      came to
                  note: odd
  FAIL  reach     came to
                  note: odd
  SKIP  path      skipped: reach did not pass"""
    )


@pytest.mark.parametrize(
    ("verdict", "asked", "expected"),
    [
        (
            STARVED,
            (),
            "INCONCLUSIVE, not PASS: one end was suspended or starved of CPU",
        ),
        (SKIPPED, (), "INCONCLUSIVE, not PASS: a check that others depend on"),
        (STOPPED, (), "INCONCLUSIVE, not PASS: the client was stopped"),
        (PARTLY, ("idle",), "the idle check was requested but did not run: none are"),
    ],
)
def test_inconclusive_report_is_not_ok(
    verdict: Verdict, asked: tuple[str, ...], expected: str
) -> None:
    """The message says so, and what to do."""
    with pytest.raises(InconclusiveError) as caught:
        read(verdict, asked=asked).assert_ok()
    assert str(caught.value).startswith(expected)


def test_expected_failure_is_returned() -> None:
    """A test can look at the finding further."""
    found = read(SEVERAL).assert_fails("close.reset_hidden")
    assert (found.seen, found.where) == ("it ended properly", "path →")


@pytest.mark.parametrize(
    ("verdict", "failure", "expected"),
    [
        (PASSED, "size.black_hole", "size.black_hole expected, but nothing was found"),
        (
            SEVERAL,
            "size.black_hole",
            "size.black_hole expected, but only reach.refused, close.reset_hidden was",
        ),
    ],
)
def test_missing_failure_raises(verdict: Verdict, failure: str, expected: str) -> None:
    """The message says what was found instead."""
    with pytest.raises(AssertionError) as caught:
        read(verdict).assert_fails(failure)
    assert not isinstance(caught.value, InconclusiveError)
    assert str(caught.value).startswith(expected)
    assert printed(verdict) in str(caught.value)


@pytest.mark.parametrize("verdict", [STARVED, SKIPPED, STOPPED])
def test_inconclusive_failure_raises_inconclusive(verdict: Verdict) -> None:
    """A starved test neither confirms nor denies the fault."""
    with pytest.raises(InconclusiveError, match=r"identity\.silent expected: INCONCL"):
        read(verdict).assert_fails("identity.silent")


def test_unknown_class_in_an_assertion_is_an_error() -> None:
    """A misspelt class would never be found; the nearest name is shown."""
    with pytest.raises(ValueError, match=r"did you mean size\.black_hole"):
        read(PASSED).assert_fails("size.blackhole")


NOTED = conclude(
    "a:1",
    [replace(done("udp"), notes=(Finding("udp.silent", "no answer"),))],
    requirements=("tcp",),
)
UNMET = conclude(
    "a:1", [done("name")], requirements=("tcp", "udp"), unmet_needs=("udp",)
)


@pytest.mark.parametrize("verdict", [NOTED, UNMET])
def test_needs_and_notes_survive_the_document(verdict: Verdict) -> None:
    """The text of the report that was read is the client's."""
    assert str(read(verdict)) == printed(verdict)


def test_note_is_no_failure() -> None:
    """A network that does what is needed is well; the note can be looked at."""
    report = read(NOTED)
    report.assert_ok()
    assert [note.failure for note in report.notes] == ["udp.silent"]
    assert report.failures == []
    with pytest.raises(AssertionError, match="it is a note: no stated need"):
        report.assert_fails("udp.silent")


def test_unmet_need_is_not_well() -> None:
    """What was needed and not tested is no PASS, and the message says so."""
    with pytest.raises(InconclusiveError, match="a need was not proven") as caught:
        read(UNMET).assert_ok()
    assert "needed, but not proven: udp" in str(caught.value)
