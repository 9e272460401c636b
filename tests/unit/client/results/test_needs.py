"""What applications need: parsing, purposes, and which findings are notes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.results.needs import (
    PURPOSES,
    Need,
    Requirements,
    is_note,
    parse_requirements,
    unmet_needs,
    with_notes,
)
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    conclude,
)

KNOWN = "tcp, udp, half-close, reset, idle=10m, rate=100M"

EXCUSED = {"udp.silent", "udp.rejected", "close.half_close", "close.reset_hidden"}
"""What no TCP proxy promises."""

OPTIONAL = {
    *(name for name in CATALOGUE if name.startswith(("udp.", "idle.", "flows.udp_"))),
    "watch.datagrams",
    "watch.stuck_flow",
    "close.half_close",
    "close.reset_hidden",
}
"""What an application that needs only TCP does not notice."""


def notes(requirements: Requirements, *, proxied: bool) -> set[str]:
    """Return the classes whose findings are notes."""
    return {
        name
        for name, failure in CATALOGUE.items()
        if is_note(Finding(name, "s"), failure, requirements, proxied=proxied)
    }


def done(check: str, *found: str, **fields: object) -> CheckResult:
    """Return a result with findings of these classes."""
    findings = tuple(Finding(name, name) for name in found)
    outcome = Outcome.FAIL if found else Outcome.PASS
    made = CheckResult(check, "?", outcome, "", findings=findings)
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "purposes", "proxied", "expected"),
    [
        ((), (), False, set()),
        ((), (), True, EXCUSED),
        ((), ("everything",), True, set()),
        (("tcp",), (), False, OPTIONAL),
        (("tcp",), (), True, OPTIONAL),
        ((), ("http",), False, OPTIONAL),
        (("half-close",), (), True, OPTIONAL - {"close.half_close"}),
        (("reset",), (), True, OPTIONAL - {"close.reset_hidden"}),
        (
            (),
            ("dns",),
            False,
            {name for name in OPTIONAL if name.startswith(("idle.", "close."))},
        ),
        (
            ("idle=10m",),
            ("database",),
            False,
            {name for name in OPTIONAL if not name.startswith("idle.")}
            | {"idle.udp_forgotten"},
        ),
        (
            ("udp", "half-close", "reset", "idle=1m"),
            (),
            True,
            set(),
        ),
    ],
)
def test_only_what_is_needed_fails(
    words: tuple[str, ...],
    purposes: tuple[str, ...],
    expected: set[str],
    *,
    proxied: bool,
) -> None:
    """Every other class is a note; a proxy excuses nothing that was stated."""
    requirements = parse_requirements(words, purposes)
    assert notes(requirements, proxied=proxied) == expected


@pytest.mark.parametrize("purpose", [*PURPOSES, ""])
@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize(
    "failure",
    [
        "close.answer_cut",
        "close.answer_changed",
        "close.fin_changed",
        "close.reset_forged",
        "close.reset_lost",
        "size.changed",
        "size.cut",
        "size.black_hole",
        "load.changed",
        "load.cut",
        "load.slow",
        "path.broken",
        "stream.outage",
    ],
)
def test_lost_or_changed_data_always_fails(
    purpose: str, failure: str, *, proxied: bool
) -> None:
    """No statement of needs, and no proxy, excuses what all applications need."""
    requirements = parse_requirements((), (purpose,) if purpose else ())
    assert failure not in notes(requirements, proxied=proxied)


@pytest.mark.parametrize(
    ("died", "expected"), [(30, False), (600, False), (610, True), (None, False)]
)
def test_silence_longer_than_needed_is_a_note(
    died: int | None, *, expected: bool
) -> None:
    """What dies at a longer rung is no failure; an unknown rung is."""
    finding = Finding("idle.reset", "s", figures={"died": died})
    requirements = parse_requirements(("idle=10m",))
    failure = CATALOGUE["idle.reset"]
    assert is_note(finding, failure, requirements, proxied=False) is expected


def test_class_with_a_need_tells_its_consequence() -> None:
    """Each is about a known need; what a proxy excuses is among them."""
    for failure in CATALOGUE.values():
        assert bool(failure.need) == bool(failure.consequence), failure.name
        assert not failure.need or Need(failure.need)
        assert not failure.by_proxy or failure.need
    assert {name for name, each in CATALOGUE.items() if each.by_proxy} == EXCUSED


@pytest.mark.parametrize(
    ("words", "purposes", "expected"),
    [
        ((), (), ()),
        (("tcp",), (), ("tcp",)),
        (("udp",), (), ("tcp", "udp")),
        (("idle=600", "idle=1m"), (), ("tcp", "idle=10m")),
        (("rate=100M", "reset"), (), ("tcp", "reset", "rate=100Mbit/s")),
        (("half-close",), ("dns",), ("tcp", "udp", "half-close")),
        (("idle=10m",), ("database",), ("tcp", "idle=10m")),
        (
            ("idle=1h",),
            ("everything",),
            ("tcp", "udp", "half-close", "reset", "idle=1h"),
        ),
    ],
)
def test_needs_and_purposes_add_up(
    words: tuple[str, ...], purposes: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """TCP is always needed, and of several values the largest."""
    assert parse_requirements(words, purposes).words == expected


@pytest.mark.parametrize(
    ("words", "purposes", "message"),
    [
        (
            ("upd",),
            (),
            f"'upd' is no need; the needs are {KNOWN}",
        ),
        (("udp=1",), (), "'udp=1': udp has no value"),
        (("idle",), (), "'idle' needs a value, as in idle=10m"),
        (("rate=",), (), "'rate=' needs a value, as in rate=100M"),
        (("idle=soon",), (), "'idle=soon': must be a time such as 500ms, 30s or 2m"),
        (("idle=0",), (), "'idle=0' must be more than 0 and at most 24h"),
        (("idle=25h",), (), "'idle=25h' must be more than 0 and at most 24h"),
        (("rate=0",), (), "'rate=0' must be more than 0 and at most 1000Gbit/s"),
        (
            (),
            ("web",),
            "'web' is unknown; the known ones are http, database, dns, everything",
        ),
    ],
)
def test_invalid_need_is_refused_with_a_remedy(
    words: tuple[str, ...], purposes: tuple[str, ...], message: str
) -> None:
    """The message names the word, and what would be valid."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_requirements(words, purposes)


def test_check_with_notes_alone_passes() -> None:
    """Its findings have moved; what remains decides."""
    requirements = parse_requirements(("tcp",))

    def weighed(result: CheckResult) -> CheckResult:
        return with_notes(result, CATALOGUE, requirements, proxied=False)

    noted = weighed(done("close", "close.reset_hidden"))
    assert (noted.outcome, noted.findings) == (Outcome.PASS, ())
    assert [note.failure for note in noted.notes] == ["close.reset_hidden"]
    both = weighed(done("close", "close.reset_hidden", "close.answer_cut"))
    assert both.outcome is Outcome.FAIL
    assert [finding.failure for finding in both.findings] == ["close.answer_cut"]
    unproven = weighed(done("close", "close.reset_hidden", blocks=True))
    assert unproven.outcome is Outcome.SKIP


@pytest.mark.parametrize(
    ("words", "changes", "expected"),
    [
        ((), {"udp": {"outcome": Outcome.SKIP}}, ()),
        (("udp",), {}, ()),
        (("udp",), {"udp": {"outcome": Outcome.SKIP}}, ("udp",)),
        (("udp",), {"udp": {"outcome": Outcome.INCONCLUSIVE}}, ("udp",)),
        (("udp",), {"udp": {"partial": True}}, ("udp",)),
        (("udp",), {"udp": {"check": "other"}}, ("udp",)),
        (
            ("half-close", "reset"),
            {"close": {"partial": True}},
            ("half-close", "reset"),
        ),
        (("tcp",), {"udp": {"figures": {"over_udp": True}}}, ("tcp",)),
        (("rate=1M",), {"load": {"outcome": Outcome.SKIP}}, ("rate=1Mbit/s",)),
        (("rate=1M",), {"load": {"figures": {"up.bit_s": 2e6}}}, ("rate=1Mbit/s",)),
        (
            ("rate=1M",),
            {"load": {"figures": {"up.bit_s": 2e6, "down.bit_s": None}}},
            ("rate=1Mbit/s",),
        ),
        (
            ("rate=1M",),
            {"load": {"figures": {"up.bit_s": 2e6, "down.bit_s": 1e6}}},
            (),
        ),
        (("idle=1m",), {}, ("idle=1m",)),
        (("idle=1m",), {"idle": {"figures": {"longest_lived": 60.0}}}, ()),
        (("idle=1m",), {"idle": {"figures": {"longest_lived": 30}}}, ("idle=1m",)),
        (("idle=1m",), {"idle": {"figures": {"longest_lived": None}}}, ("idle=1m",)),
        (
            ("idle=1m",),
            {"idle": {"figures": {"longest_lived": 60, "2.longest_lived": 30}}},
            ("idle=1m",),
        ),
        (
            ("idle=1m",),
            {"idle": {"figures": {"keepalive_longest_lived": 60}}},
            ("idle=1m",),
        ),
        (("idle=1m",), {"idle": {"outcome": Outcome.FAIL}}, ()),
    ],
)
def test_need_that_was_not_tested_is_unmet(
    words: tuple[str, ...],
    changes: dict[str, dict[str, object]],
    expected: tuple[str, ...],
) -> None:
    """It is no PASS, whether its check was skipped, missing, partial or unproven."""
    results = [
        replace(done(check), **changes.get(check, {}))  # type: ignore[arg-type]
        for check in ("reach", "udp", "idle", "close", "load")
    ]
    requirements = parse_requirements(words)
    unmet = unmet_needs(results, requirements)
    assert unmet == expected


@pytest.mark.parametrize("unmet", [(), ("udp",)])
def test_unmet_need_is_no_pass(unmet: tuple[str, ...]) -> None:
    """What was not tested may be broken; what failed has failed."""
    verdict = conclude("t", [done("reach")], unmet_needs=unmet)
    assert verdict.outcome is (Outcome.SKIP if unmet else Outcome.PASS)
    failed = conclude("t", [done("close", "close.answer_cut")], unmet_needs=unmet)
    assert failed.outcome is Outcome.FAIL


def test_silences_of_everything_are_those_of_the_profile() -> None:
    """`--for everything` in profile quick, which holds no connection, can pass."""
    results = [
        done(check, outcome=Outcome.SKIP if check == "idle" else Outcome.PASS)
        for check in ("reach", "udp", "idle", "close")
    ]
    assert unmet_needs(results, PURPOSES["everything"]) == ()
