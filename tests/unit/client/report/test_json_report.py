"""The report as a JSON document, validated by its published schema."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from netduet import __version__
from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.report.json_report import document
from netduet.client.results.instance import UNKNOWN_INSTANCE, Instance
from netduet.client.results.location import Location, Side
from netduet.client.results.starvation import Starvation
from netduet.client.results.target import Expect
from netduet.client.results.verdict import (
    CheckResult,
    Figures,
    Finding,
    Judgement,
    Verdict,
    conclude,
    result,
    skipped_because_of,
)
from netduet.net.time_span import TimeSpan

SCHEMA = json.loads((Path(__file__).parents[4] / "docs/report.schema.json").read_text())
CALM = Starvation(0, 0.0, None)

REFUSED = Finding(
    "reach.refused",
    "refused",
    ((Side.CLIENT, "here"), (Side.SERVER, "there")),
    {"lost_syns": 2, "acked": None},
)


def done(check: str, *findings: Finding, **fields: Any) -> CheckResult:
    """Return the result of a check that found these, while it starved."""
    judgement = Judgement("came to", findings, **fields)
    return result(
        check, "Is it?", judgement, 0.12345678, lambda start, end: end - start
    )


PASSED = conclude("a:1", [done("name", remarks=("odd",), figures={"n": 1.5})])
FAILED = conclude(
    "b:1",
    [done("name"), done("reach", REFUSED), skipped_because_of("path", "?", "reach")],
)
SKIPPED = conclude("c:1", [done("reach", skipped="no route", blocks=True)])
LATE = conclude(
    "d:1", [done("name", Finding("name.timeout", "s", missed_deadline=TimeSpan(0, 1)))]
)
STOPPED = conclude("e:1", [], interrupted=True)


def read(
    *verdicts: Verdict,
    starvation: Starvation = CALM,
    asker: Instance = UNKNOWN_INSTANCE,
) -> dict[str, Any]:
    """Return the document, which its schema accepts."""
    text = document(verdicts, starvation, asker)
    assert text.endswith("}\n")
    report: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return report


@pytest.mark.parametrize(
    ("verdicts", "outcome", "status"),
    [
        ([PASSED], "PASS", 0),
        ([FAILED], "FAIL", 1),
        ([PASSED, FAILED, SKIPPED, LATE, STOPPED], "FAIL", 1),
        ([PASSED, SKIPPED], "INCONCLUSIVE", 3),
        ([LATE], "INCONCLUSIVE", 3),
        ([STOPPED], "INCONCLUSIVE", 3),
        ([], "INCONCLUSIVE", 3),
    ],
)
def test_document_fits_its_schema_for_every_outcome(
    verdicts: list[Verdict], outcome: str, status: int
) -> None:
    """Each report is valid, and its outcome and exit status agree."""
    report = read(*verdicts)
    assert (report["outcome"], report["exit_status"]) == (outcome, status)
    assert [target["target"] for target in report["targets"]] == [
        verdict.target for verdict in verdicts
    ]


def test_schema_rejects_missing_and_extra_fields() -> None:
    """The schema is strict."""
    schema = jsonschema.Draft202012Validator(SCHEMA)
    report = read(FAILED)
    assert not schema.is_valid(report | {"more": 1})
    del report["targets"][0]["checks"][0]["name"]
    assert not schema.is_valid(report)


def test_root_has_all_details_of_its_class() -> None:
    """A program needs no failure catalogue of its own."""
    [target] = read(FAILED)["targets"]
    known = CATALOGUE["reach.refused"]
    assert target["root"] == {
        "class": "reach.refused",
        "outcome": "FAIL",
        "where": "server",
        "title": known.title,
        "seen": "refused",
        "evidence": [
            {"side": "client", "text": "here"},
            {"side": "server", "text": "there"},
        ],
        "figures": {"lost_syns": 2, "acked": None},
        "causes": list(known.causes),
        "next": list(known.next),
        "place": "",
        "need": "",
        "consequence": "",
        "explains": [],
    }
    assert (target["root_check"], target["follows"]) == ("reach", ["path"])
    assert target["checks"][1]["findings"] == [target["root"]]


def test_passed_check_has_notes_and_figures() -> None:
    """A check that passed has its measurements, with times to the microsecond."""
    [target] = read(PASSED)["targets"]
    assert (target["root"], target["root_check"], target["follows"]) == (None, None, [])
    assert target["checks"] == [
        {
            "name": "name",
            "question": "Is it?",
            "outcome": "PASS",
            "summary": "came to",
            "seconds": 0.123457,
            "remarks": ["odd"],
            "findings": [],
            "figures": {"n": 1.5},
            "follows_from": None,
            "earlier": None,
            "needs_server": False,
            "notes": [],
        }
    ]


@pytest.mark.parametrize(
    ("figures", "found", "how"),
    [
        ({"found": "blocked", "how": "dropped"}, "blocked", "dropped"),
        ({"found": "open", "how": "open"}, "open", ""),
    ],
)
def test_target_has_expected_and_found(figures: Figures, found: str, how: str) -> None:
    """Each target has its row of the table of expectations."""
    verdict = conclude(
        "db:1", [done("isolation", figures=figures)], expected=Expect.BLOCKED
    )
    [target] = read(verdict)["targets"]
    assert (target["expected"], target["found"], target["how"]) == (
        "blocked",
        found,
        how,
    )
    assert target["missing"] == []


def test_skipped_check_names_its_cause() -> None:
    """A skipped check names the failed one."""
    [target] = read(FAILED)["targets"]
    assert target["checks"][2]["follows_from"] == "reach"


def test_proven_location_overrides_that_of_the_class() -> None:
    """If a finding proves the direction, the document has that one."""
    mangled = Finding("identity.mangled", "s", where=Location.FROM_SERVER)
    [target] = read(conclude("a:1", [done("identity", mangled)]))["targets"]
    assert target["root"]["where"] == "path ←"


def test_interrupted_target_is_marked() -> None:
    """A reader of the document sees that checks are missing."""
    assert read(STOPPED)["targets"][0]["interrupted"] is True
    assert read(PASSED)["targets"][0]["interrupted"] is False


@pytest.mark.parametrize("throttled", [None, 0.0, 1.25])
def test_document_describes_the_client(throttled: float | None) -> None:
    """It has the client's identity and starvation; unknown values are null or empty."""
    report = read(
        PASSED,
        starvation=Starvation(2, 0.12345678, throttled, 1024, 2048, 4096),
        asker=Instance("web-2", "node-1"),
    )
    assert report["probe"] == {
        "instance": "web-2",
        "node": "node-1",
        "zone": "",
        "stalls": 2,
        "stalled_seconds": 0.123457,
        "descriptors": 1024,
        "receive_buffer": 2048,
        "send_buffer": 4096,
        "throttled_seconds": throttled,
    }
    assert (report["schema_version"], report["netduet"]) == (1, __version__)


def test_notes_have_the_shape_of_findings() -> None:
    """The document has what is needed, what is unmet, and each note's consequence."""
    note = Finding("udp.silent", "no answer")
    noted = replace(done("udp"), notes=(note,))
    verdict = conclude(
        "a:1",
        [noted],
        requirements=("tcp", "reset"),
        unmet_needs=("reset",),
        proxied=True,
    )
    [target] = read(verdict)["targets"]
    assert (target["needs"], target["unmet_needs"]) == (["tcp", "reset"], ["reset"])
    assert (target["proxied"], target["root"]) == (True, None)
    [check] = target["checks"]
    [found] = check["notes"]
    assert (found["class"], found["need"], found["seen"]) == (
        "udp.silent",
        "udp",
        "no answer",
    )
    assert found["consequence"] == CATALOGUE["udp.silent"].consequence
    assert check["findings"] == []
