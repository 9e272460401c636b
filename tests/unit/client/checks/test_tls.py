"""Judgements of the check ``tls``: what no small server of a test produces."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from netduet.client.checks.tls.judge import judge
from netduet.client.checks.tls.results import TlsExpectation, TlsResult, TlsServer
from netduet.client.net.dial import Cause, ip_address
from netduet.client.net.tls_probe import CertificateAnswer, TlsAttempt, TlsEnd
from netduet.client.protocols.base import Certificate
from netduet.client.protocols.tls_session import VerifyProblem
from netduet.client.results.verdict import Judgement

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HERE = ip_address("192.0.2.1", 443)
EXPECTED = TlsExpectation("web.example")
CERTIFICATE = Certificate(
    "CN=web",
    "CN=Public CA,O=Public",
    ("web.example",),
    NOW - 30 * DAY,
    NOW + 60 * DAY,
    self_signed=False,
    fingerprint="ab" * 32,
    issuer_organization="Public",
)
COMPLETE = TlsAttempt(
    HERE,
    TlsEnd.COMPLETE,
    0.0,
    0.01,
    version="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    alpn="h2",
    sent_name=True,
    chain=(CERTIFICATE,),
)


def judged(
    *attempts: TlsAttempt, expected: TlsExpectation = EXPECTED, **others: TlsAttempt
) -> Judgement:
    """Judge a handshake with each of the addresses."""
    servers = tuple(TlsServer(each.address, each, **others) for each in attempts)
    return judge(TlsResult(servers, expected, NOW))


def classes(judgement: Judgement) -> list[str]:
    """Return the failure classes."""
    return [finding.failure for finding in judgement.findings]


def with_problem(error: int, depth: int = 0, **changes: object) -> TlsAttempt:
    """Return a handshake whose certificate, changed so, did not pass verification."""
    own = replace(CERTIFICATE, **changes)  # type: ignore[arg-type]
    problem = VerifyProblem(error, depth, "CN=Old CA")
    return replace(COMPLETE, chain=(own,), problems=(problem,))


def test_no_server_is_no_finding() -> None:
    """The check is skipped where nothing has to speak TLS."""
    assert judge(TlsResult((), EXPECTED, NOW)).skipped


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (COMPLETE, []),
        (with_problem(10, depth=1), ["tls.expired"]),
        (with_problem(9, depth=2), ["tls.not_yet_valid"]),
        (with_problem(18, self_signed=True), ["tls.self_signed"]),
        (with_problem(19, depth=1), ["tls.unknown_ca"]),
        (with_problem(20), ["tls.unknown_ca"]),
        (with_problem(20, has_issuer_url=True), ["tls.chain_incomplete"]),
        (with_problem(26), ["tls.certificate_rejected"]),
        (with_problem(99), ["tls.certificate_rejected"]),
        (with_problem(20, issuer="CN=FG100,O=Fortinet"), ["tls.intercepted"]),
        (replace(COMPLETE, version="TLSv1.1"), ["tls.old_protocol"]),
        (
            with_problem(20, not_after=NOW - DAY, names=("other.example",)),
            ["tls.expired", "tls.wrong_name", "tls.unknown_ca"],
        ),
    ],
)
def test_problem_of_a_certificate_has_its_class(
    attempt: TlsAttempt, expected: list[str]
) -> None:
    """By OpenSSL's number, the certificate that it is about, and the names."""
    assert classes(judged(attempt)) == expected


def test_trust_is_not_judged_without_authorities() -> None:
    """In an image without certificates of authorities, nothing is trusted."""
    bare = replace(EXPECTED, has_authorities=False)
    judgement = judged(with_problem(20), expected=bare)
    assert not judgement.findings
    assert "this host has no authorities" in judgement.remarks[1]


@pytest.mark.parametrize(
    ("problem", "requires_trust", "fails"),
    [(0, False, True), (18, True, True), (18, False, False)],
    ids=["trusted", "demanded", "found"],
)
def test_name_of_an_untrusted_certificate_matters_where_tls_is_demanded(
    problem: int, *, requires_trust: bool, fails: bool
) -> None:
    """Whoever accepts a self-signed certificate verifies no name."""
    names = ("other.example",)
    attempt = with_problem(18, self_signed=True, names=names)
    if not problem:
        attempt = replace(attempt, problems=())
    expected = replace(EXPECTED, requires_trust=requires_trust)
    judgement = judged(attempt, expected=expected)
    found = {finding.failure for finding in judgement.findings}
    assert ("tls.wrong_name" in found) == fails
    assert fails or any("not for" in remark for remark in judgement.remarks)


def test_trusted_interceptor_is_a_note() -> None:
    """Clients of this host work: its owner has installed the interceptor's authority."""
    own = replace(CERTIFICATE, issuer="CN=Zscaler Intermediate,O=Zscaler Inc.")
    judgement = judged(replace(COMPLETE, chain=(own,)))
    assert not judgement.findings
    assert "Zscaler intercepts TLS" in judgement.remarks[0]


@pytest.mark.parametrize(
    ("days", "lifetime_days", "is_noted"),
    [(60, 90, False), (10, 90, True), (5, 7, False)],
)
def test_certificate_that_should_have_been_renewed_is_noted(
    days: int, lifetime_days: int, *, is_noted: bool
) -> None:
    """Within two weeks of its end, and in its last quarter: some live for a week."""
    own = replace(
        CERTIFICATE,
        not_after=NOW + days * DAY,
        not_before=NOW + (days - lifetime_days) * DAY,
    )
    judgement = judged(replace(COMPLETE, chain=(own,)))
    assert bool(judgement.remarks) is is_noted
    assert not judgement.findings


def test_different_issuers_behind_a_name_are_noted() -> None:
    """The path to one of them may be intercepted."""
    other = replace(CERTIFICATE, issuer="CN=Other CA")
    there = replace(COMPLETE, address=ip_address("192.0.2.2", 443), chain=(other,))
    judgement = judged(COMPLETE, there)
    assert judgement.remarks == (
        (
            "the addresses present certificates of different issuers: CN=Public "
            "CA,O=Public at 192.0.2.1:443; CN=Other CA at 192.0.2.2:443"
        ),
    )
    assert judgement.figures["2.issuer"] == "CN=Other CA"


def test_lost_connection_may_be_starvation() -> None:
    """A connection that is not made in time has a deadline that starvation explains."""
    lost = TlsAttempt(
        HERE, TlsEnd.UNCONNECTED, 0.0, 3.0, "no response in time", Cause.TIMEOUT
    )
    [finding] = judged(lost).findings
    assert finding.failure == "tls.handshake_failed"
    assert finding.missed_deadline is not None


def test_undecided_demand_for_a_certificate_is_noted() -> None:
    """A server that says nothing after the handshake has neither served nor refused."""
    asking = replace(COMPLETE, requests_certificate=True)
    silent = replace(asking, certificate_answer=CertificateAnswer.UNKNOWN)
    judgement = judged(asking, confirmed=silent, anonymous=silent)
    assert judgement.figures["client_certificate"] == "unknown"
    assert not judgement.findings
    assert "could not be found out" in judgement.remarks[0]


def test_text_of_a_certificate_cannot_break_out_of_a_line() -> None:
    """Names are the server's own words."""
    hostile = "CN=\x1b[2J\nPASS"
    own = replace(CERTIFICATE, subject=hostile, issuer=hostile, names=(hostile,))
    attempt = replace(
        COMPLETE, chain=(own,), problems=(VerifyProblem(99, 0, hostile),), alpn="\x1b"
    )
    judgement = judged(attempt)
    texts = [judgement.summary, *judgement.remarks, str(judgement.figures["issuer"])]
    for finding in judgement.findings:
        texts += [finding.seen, *(text for _, text in finding.evidence)]
    assert all(text.isprintable() for text in texts)
