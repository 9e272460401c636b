"""What the targets of a pair mean together: one table of situations and sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netduet.between.conclusion import conclude_pair
from netduet.between.pairs import Route
from netduet.between.places import Attachment
from netduet.between.report import document, lines
from netduet.client.report import text
from netduet.client.results.verdict import Outcome
from tests.unit.between.samples import (
    DB,
    WEB,
    listener,
    pair_result,
    report,
    snapshot,
    verdict,
)

WORKS = report(verdict("db:12345"))
CUT_OFF = report(verdict("db:12345", "reach.timeout"))
BROKEN = report(verdict("db:12345", "size.black_hole"))
OPEN = report(verdict("db:5432"))
REFUSED = report(verdict("db:5432", "reach.refused"))
DROPPED = report(verdict("db:5432", "reach.timeout"))
REMOTE = replace(DB, attachments=(Attachment("back", ("10.0.0.3",)),))


@pytest.mark.parametrize(
    ("path", "services", "changes", "expected"),
    [
        (
            WORKS,
            OPEN,
            {},
            "the network between web and db works, and db:5432 is reachable",
        ),
        (WORKS, None, {}, "the network between web and db works"),
        (
            report(replace(verdict("db:12345"), requirements=("udp", "idle=60s"))),
            OPEN,
            {},
            (
                "the network between web and db has what is needed (udp, idle=60s), and "
                "db:5432 is reachable"
            ),
        ),
        (
            report(replace(verdict("db:12345"), proxied=True)),
            None,
            {},
            "the network between web and db works through a TCP proxy",
        ),
        (
            WORKS,
            REFUSED,
            {"before": snapshot(listener("127.0.0.1", 5432))},
            (
                "the network between web and db works, but db:5432 is not reachable: db "
                "listens on 127.0.0.1:5432 alone: nothing outside its container can reach it; "
                "make it listen on 0.0.0.0"
            ),
        ),
        (
            WORKS,
            REFUSED,
            {"before": snapshot(listener("::1", 5432))},
            (
                "the network between web and db works, but db:5432 is not reachable: db "
                "listens on [::1]:5432 alone: nothing outside its container can reach it; "
                "make it listen on ::"
            ),
        ),
        (
            WORKS,
            REFUSED,
            {"before": snapshot(listener("10.9.9.9", 5432))},
            (
                "the network between web and db works, but db:5432 is not reachable: db "
                "listens on 10.9.9.9:5432 alone, and web uses 172.18.0.3; make it listen on "
                "0.0.0.0"
            ),
        ),
        (
            WORKS,
            REFUSED,
            {"before": snapshot(listener("0.0.0.0", 8080))},
            (
                "the network between web and db works, but db:5432 is not reachable: nothing "
                "listens on TCP port 5432 in db; db listens on 8080"
            ),
        ),
        (
            WORKS,
            REFUSED,
            {"before": snapshot()},
            (
                "the network between web and db works, but db:5432 is not reachable: nothing "
                "listens on TCP port 5432 in db; db listens on no TCP port"
            ),
        ),
        (
            WORKS,
            DROPPED,
            {},
            (
                "the network between web and db works, but db:5432 is not reachable although "
                "db listens on 0.0.0.0:5432: a policy or firewall drops port 5432 and lets "
                "port 12345 through"
            ),
        ),
        (
            WORKS,
            REFUSED,
            {},
            (
                "the network between web and db works, but db:5432 is not reachable although "
                "db listens on 0.0.0.0:5432: a policy or firewall refuses port 5432 and lets "
                "port 12345 through"
            ),
        ),
        (
            WORKS,
            DROPPED,
            {"after": snapshot(listener("0.0.0.0", 5432, queue=129), overflows=7)},
            (
                "the network between web and db works, but db:5432 is not reachable: "
                "its accept queue is full (129 connections wait, 7 were dropped during "
                "the run): db does not accept them"
            ),
        ),
        (
            WORKS,
            DROPPED,
            {"after": snapshot(listener("0.0.0.0", 5432), overflows=7)},
            (
                "the network between web and db works, but db:5432 is not reachable "
                "although db listens on 0.0.0.0:5432: a policy or firewall drops port "
                "5432 and lets port 12345 through"
            ),
        ),
        (
            WORKS,
            DROPPED,
            {"restarted": True},
            (
                "the network between web and db works, but db:5432 is not reachable: db was "
                "restarted or removed during the run"
            ),
        ),
        (
            CUT_OFF,
            OPEN,
            {},
            (
                "db:5432 is reachable, but db:12345 is not, where netduet-server listens "
                "beside it: a policy allows single ports; name an allowed port that is free "
                "with --port N"
            ),
        ),
        (
            CUT_OFF,
            DROPPED,
            {},
            (
                "neither db:12345 nor db:5432 is reachable: the network between web and db, "
                "or a policy, lets no connections through"
            ),
        ),
        (
            CUT_OFF,
            None,
            {},
            (
                "db:12345 is not reachable, where netduet-server listens beside db: the "
                "network between web and db, or a policy, lets no connections through"
            ),
        ),
        (
            CUT_OFF,
            DROPPED,
            {"service": REMOTE, "route": Route(("10.0.0.3",))},
            (
                "web (on shop) and db (on back) share no network, and db is not reachable by "
                "routing: docker network connect back shop_web_1"
            ),
        ),
        (
            BROKEN,
            OPEN,
            {},
            (
                "the network between web and db is broken: large packets are lost without "
                "an ICMP error (size.black_hole); db:5432 is reachable"
            ),
        ),
        (
            WORKS,
            report(verdict("db:5432", "identity.silent")),
            {},
            (
                "the network between web and db works, but db:5432 accepts connections and "
                "fails: connection accepted, but no response (identity.silent)"
            ),
        ),
        (
            WORKS,
            report(replace(verdict("db:5432"), outcome=Outcome.INCONCLUSIVE)),
            {},
            "the network between web and db works, and there is no verdict on db:5432",
        ),
        (
            report(replace(verdict("db:12345"), outcome=Outcome.SKIP)),
            OPEN,
            {},
            "there is no verdict on the network between web and db; db:5432 is reachable",
        ),
        (
            WORKS,
            report(verdict("db:5432"), verdict("db:8080", "reach.refused")),
            {"before": snapshot(listener("0.0.0.0", 5432))},
            (
                "the network between web and db works, but db:8080 is not reachable: nothing "
                "listens on TCP port 8080 in db; db listens on 5432; db:5432 is reachable"
            ),
        ),
    ],
)
def test_sentence_says_what_both_targets_mean(
    path: Any, services: Any, changes: dict[str, Any], expected: str
) -> None:
    """The path of the pair and the port of the service are judged apart, and read together."""
    assert (
        conclude_pair(pair_result(path, services, **changes)).pair.conclusion
        == expected
    )


@pytest.mark.parametrize(
    ("path", "services", "outcome", "status"),
    [
        (WORKS, OPEN, Outcome.PASS, 0),
        (WORKS, REFUSED, Outcome.FAIL, 1),
        (CUT_OFF, OPEN, Outcome.FAIL, 1),
        (
            report(replace(verdict("db:12345"), outcome=Outcome.SKIP)),
            OPEN,
            Outcome.INCONCLUSIVE,
            3,
        ),
    ],
)
def test_report_has_the_outcome_of_all_targets(
    path: Any, services: Any, outcome: Outcome, status: int
) -> None:
    """A service that is open does not make up for a path that is not, nor the reverse."""
    found = document([pair_result(path, services)])
    assert (found.outcome, found.exit_status) == (outcome, status)
    [pair] = found.between
    assert pair.outcome is outcome
    assert (pair.path_targets, pair.service_targets) == (["db:12345"], ["db:5432"])
    assert {each.client for each in found.targets} == {"web"}


def test_finding_has_the_evidence_of_the_far_end() -> None:
    """A service on loopback is at fault itself; a refusal despite a listener is not its."""
    hidden = pair_result(WORKS, REFUSED, before=snapshot(listener("127.0.0.1", 5432)))
    for result, where, seen in (
        (hidden, "server", "db listens on 127.0.0.1:5432 alone"),
        (
            pair_result(WORKS, REFUSED),
            "intermediary",
            "db listens on 0.0.0.0:5432; acc",
        ),
    ):
        _, target = conclude_pair(result).targets
        assert target.root is not None
        assert target.root.where == where
        assert target.root.evidence[-1].text.startswith(seen)
        assert target.checks[0].findings == [target.root]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"near": snapshot(mtu=1400)},
            "the MTUs of one network differ: eth0 of web has 1",
        ),
        (
            {"near": snapshot(route="10.0.0.0/8")},
            "web has no route to 172.18.0.3, an addr",
        ),
        (
            {"after": snapshot(listener("0.0.0.0", 5432), drops=3)},
            "interface eth0 of db dropped 3 packets during the run",
        ),
        (
            {"after": snapshot(listener("0.0.0.0", 5432), overflows=2)},
            "during the run 2 connections found an accept queue of db full (ListenOverfl",
        ),
        (
            {"before": snapshot(listener("0.0.0.0", 5432, queue=9))},
            "9 connections wait in the accept queue of db:5432: db does not accept them",
        ),
        (
            {
                "before": snapshot(
                    listener("0.0.0.0", 5432), listener("127.0.0.1", 9000)
                )
            },
            "db also listens on 127.0.0.1:9000 alone, which nothing outside its container",
        ),
        (
            {"service": replace(DB, exposed=(5432, 9999))},
            "the image of db declares port 9999, and nothing listens there",
        ),
        (
            {"restarted": True},
            "db was restarted or removed during the run: the results",
        ),
        (
            {"route": Route(("127.0.0.1",), same_namespace=True)},
            "web and db share one network namespace: nothing is between them",
        ),
        (
            {"service": REMOTE, "route": Route(("10.0.0.3",))},
            "web and db share no network: web reaches db by routing",
        ),
        (
            {"services": None, "before": snapshot()},
            "db listens on no TCP port: the netwo",
        ),
    ],
)
def test_note_says_what_both_namespaces_show(
    changes: dict[str, Any], expected: str
) -> None:
    """None of it is a failure by itself; without it there is no note."""
    assert conclude_pair(pair_result(WORKS, OPEN)).pair.notes == []
    values = {"services": OPEN, **changes}
    notes = conclude_pair(pair_result(WORKS, **values)).pair.notes
    assert [note for note in notes if note.startswith(expected)]


def test_queue_that_drains_is_no_note() -> None:
    """A connection that waits for a moment waits at one look only."""
    busy, idle = (snapshot(listener("0.0.0.0", 5432, queue=n)) for n in (9, 0))
    assert (
        conclude_pair(pair_result(WORKS, OPEN, before=busy, after=idle)).pair.notes
        == []
    )


def test_text_ends_with_the_conclusion() -> None:
    """Behind the targets and their table."""
    result = pair_result(WORKS, REFUSED, before=snapshot(listener("127.0.0.1", 5432)))
    shown = [text.plain(line) for line in lines(document([result]), 80, 80)]
    assert "web → db:12345" in shown
    assert "PASS: the network between web and db:12345 works" in shown
    assert (
        "  server         db listens on 127.0.0.1:5432 alone: nothing outside its"
        in shown
    )
    conclusion = shown[len(shown) - shown[::-1].index("") :]
    assert conclusion[0].startswith("FAIL: the network between web and db works, but")


def test_many_pairs_print_in_full_only_what_did_not_pass() -> None:
    """The table has all; each pair has a conclusion; the last line counts them."""
    results = [
        pair_result(WORKS, OPEN),
        pair_result(WORKS, REFUSED, client=replace(WEB, service="api")),
    ]
    shown = [text.plain(line) for line in lines(document(results), 80, 80)]
    assert [line for line in shown if line.startswith(("web →", "api →"))] == [
        "api → db:5432"
    ]
    assert sum("web → db:12345" in line for line in shown) == 2
    assert shown[-1] == "2 pairs: 1 PASS, 1 FAIL"
