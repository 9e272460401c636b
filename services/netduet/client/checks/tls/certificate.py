"""Judges the certificates that a server presents. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from netduet.client.protocols.certificates import VERIFY_ERRORS, is_valid_for
from netduet.client.results.location import Side
from netduet.client.results.verdict import Evidence, Figures, Finding
from netduet.wire.untrusted import escape

if TYPE_CHECKING:
    from datetime import datetime

    from netduet.client.checks.tls.results import TlsExpectation
    from netduet.client.net.tls_probe import TlsAttempt
    from netduet.client.protocols.base import Certificate
    from netduet.client.protocols.tls_session import VerifyProblem

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_SOON_DAYS: Final = 14
"""Days from which on the end of a certificate is noted."""

_SOON_SHARE: Final = 0.25
"""Part of its lifetime that a certificate has left when it should have been renewed."""

_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 18, 19
_ISSUER_MISSING: Final = frozenset({2, 20, 21})
_OWN_DATES: Final = frozenset({9, 10})

_INTERCEPTORS: Final = re.compile(
    r"\b(mitmproxy|Fortinet|FortiGate|Zscaler|Netskope|Palo Alto|Blue ?Coat|Sophos|"
    r"Check Point|Barracuda|WatchGuard|SonicWall|Untangle|Forcepoint|Websense|iboss|"
    r"McAfee Web Gateway|Skyhigh|Cisco Umbrella|PortSwigger|Charles Proxy|"
    r"DO_NOT_TRUST_FiddlerRoot|Fiddler|Kaspersky|Avast|Bitdefender|ESET|Squid)\b",
    re.IGNORECASE,
)
"""Names that products which intercept TLS give to their authorities."""


@dataclass(slots=True)
class CertificateJudgement:
    """What is said of the certificates of one address."""

    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    figures: Figures = field(default_factory=dict)
    summary: str = ""


def judge_certificate(
    attempt: TlsAttempt, expected: TlsExpectation, now: datetime
) -> CertificateJudgement:
    """Judge the certificates of a handshake; the server's own one is the first."""
    own = attempt.chain[0]
    judged = CertificateJudgement()
    evidence: Evidence = ((Side.SERVER, describe(own)),)
    interception = _interception(attempt, expected)
    if interception is not None:
        judged.findings.append(replace(interception, evidence=evidence))
    dates = _dates(attempt, expected, now)
    judged.findings += [replace(each, evidence=evidence) for each in dates]
    trust = _trust(attempt, expected)
    if not is_valid_for(own, expected.host):
        names = ", ".join(map(escape, own.names)) or "no name"
        seen = (
            f"{attempt.address}: the certificate is valid for {names}, not for "
            f"{escape(expected.host)}"
        )
        # A client of this host that accepts an untrusted certificate verifies no name.
        if trust is None or expected.requires_trust:
            judged.findings.append(Finding("tls.wrong_name", seen, evidence))
        else:
            judged.remarks.append(seen)
    if trust is not None and interception is None:
        trust = replace(trust, evidence=evidence)
        if expected.requires_trust and expected.has_authorities:
            judged.findings.append(trust)
        else:
            judged.remarks += [trust.seen, _unjudged(attempt, expected)]
    judged.summary = _summary(own, now)
    judged.remarks += _remarks(attempt, expected, now)
    judged.figures = {
        "days_left": (own.not_after - now).days,
        "issuer": escape(own.issuer),
        "fingerprint": own.fingerprint,
        "certificates": len(attempt.chain),
        "trusted": trust is None,
    }
    return judged


def describe(certificate: Certificate) -> str:
    """Return a certificate in a phrase."""
    subject = escape(certificate.subject) or "an unnamed subject"
    period = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    issuer = f"issued by {escape(certificate.issuer)}"
    if certificate.self_signed:
        issuer = "self-signed"
    return (
        f"certificate of {subject}, {issuer}, valid from {period}, SHA-256 fingerprint "
        f"{certificate.fingerprint}"
    )


def _summary(own: Certificate, now: datetime) -> str:
    issuer = "self-signed" if own.self_signed else f"issued by {escape(own.issuer)}"
    left = own.not_after - now
    if left < timedelta():
        return f"certificate {issuer}, expired"
    number, unit = left.days, "day"
    if left < 2 * _DAY:
        number, unit = left // _HOUR, "hour"
    return f"certificate {issuer}, {number} {unit}{'s' * (number != 1)} left"


def _interception(attempt: TlsAttempt, expected: TlsExpectation) -> Finding | None:
    """Return that another certificate arrives than the server presents."""
    own, address = attempt.chain[0], attempt.address
    issuer = escape(own.issuer)
    if expected.fingerprints and own.fingerprint not in expected.fingerprints:
        seen = (
            f"{address}: the certificate is not the expected one, but issued by {issuer} "
            f"(fingerprint {own.fingerprint})"
        )
        return Finding("tls.intercepted", seen)
    if expected.issuer and expected.issuer.lower() not in own.issuer.lower():
        seen = (
            f'{address}: the certificate was not issued by "{escape(expected.issuer)}", '
            f"but by {issuer}"
        )
        return Finding("tls.intercepted", seen)
    known = _INTERCEPTORS.search(own.issuer)
    if known is None or expected.fingerprints or expected.issuer:
        return None
    if _trust(attempt, expected) is None:
        return None  # this host's own authorities include it: see the remarks
    seen = (
        f"{address}: the certificate was issued by {issuer}, as {known[1]} does when it "
        "intercepts TLS"
    )
    return Finding("tls.intercepted", seen)


def _dates(
    attempt: TlsAttempt, expected: TlsExpectation, now: datetime
) -> list[Finding]:
    """Return what is wrong with the dates, of the server's certificate or of others."""
    own, address = attempt.chain[0], attempt.address
    found = []
    if now > own.not_after:
        seen = (
            f"{address}: the certificate expired on {own.not_after:%Y-%m-%d %H:%M} UTC"
        )
        found.append(Finding("tls.expired", seen))
    elif now < own.not_before:
        seen = (
            f"{address}: the certificate is not valid before "
            f"{own.not_before:%Y-%m-%d %H:%M} UTC"
        )
        found.append(Finding("tls.not_yet_valid", seen))
    elif own.not_after - now < expected.min_days * _DAY:
        days = (own.not_after - now).days
        seen = (
            f"{address}: the certificate expires in {days} days, on "
            f"{own.not_after:%Y-%m-%d}; required are {expected.min_days}"
        )
        found.append(Finding("tls.expires_soon", seen, figures={"days_left": days}))
    for problem in attempt.problems:
        if problem.error in _OWN_DATES and problem.depth > 0:
            name = escape(problem.subject)
            text = VERIFY_ERRORS[problem.error][1].removeprefix("certificate ")
            seen = f"{address}: the authority's certificate {name} {text}"
            expired = VERIFY_ERRORS[problem.error][0] == "expired"
            failure = "tls.expired" if expired else "tls.not_yet_valid"
            found.append(Finding(failure, seen))
    return found


def _trust(attempt: TlsAttempt, expected: TlsExpectation) -> Finding | None:
    """Return why a client with these authorities would not trust the certificate."""
    own, address = attempt.chain[0], attempt.address
    problems = {
        problem.error: problem
        for problem in attempt.problems
        if problem.error not in _OWN_DATES
    }
    whom = (
        f"an authority in {escape(expected.ca)}"
        if expected.ca
        else "this host's authorities"
    )
    if not problems:
        return None
    if _SELF_SIGNED in problems:
        seen = f"{address}: the certificate is self-signed, and none of {whom}"
        return Finding("tls.self_signed", seen.replace("none of an", "not an"))
    last = attempt.chain[-1]
    issuer = escape(last.issuer)
    if _ISSUER_MISSING & problems.keys():
        if _is_incomplete(attempt, expected):
            seen = (
                f"{address}: the server does not send the certificate of {issuer}, which "
                f"links its own to {whom}"
            )
            return Finding("tls.chain_incomplete", seen)
        seen = f"{address}: the certificate was issued by {escape(own.issuer)}, which {_unknown(expected)}"
        return Finding("tls.unknown_ca", seen)
    if _SELF_SIGNED_IN_CHAIN in problems:
        seen = (
            f"{address}: the certificate leads to {issuer}, which {_unknown(expected)}"
        )
        return Finding("tls.unknown_ca", seen)
    return _rejected(attempt, next(iter(problems.values())))


def _unknown(expected: TlsExpectation) -> str:
    if expected.ca:
        return f"is not in {escape(expected.ca)}"
    return "is no authority that this host trusts"


def _rejected(attempt: TlsAttempt, problem: VerifyProblem) -> Finding:
    default = ("other", f"verification error {problem.error}")
    text = VERIFY_ERRORS.get(problem.error, default)[1]
    seen = f"{attempt.address}: {escape(problem.subject)}: {text}"
    return Finding("tls.certificate_rejected", seen)


def _is_incomplete(attempt: TlsAttempt, expected: TlsExpectation) -> bool:
    """Whether an intermediate certificate is missing, rather than the root.

    A certificate that says where its issuer's is has one that is no root, as a rule; and
    an authority signs with another certificate in the name of the same organization.
    """
    subjects = {each.subject for each in attempt.chain}
    last = attempt.chain[-1]
    if last.self_signed:
        return attempt.chain[0].issuer not in subjects
    return last.has_issuer_url or last.issuer_organization in expected.organizations


def _unjudged(attempt: TlsAttempt, expected: TlsExpectation) -> str:
    address = attempt.address
    if not expected.has_authorities:
        return (
            f"{address}: whether the certificate is trusted was not judged, for this host "
            "has no authorities: --tls-ca FILE names them"
        )
    return f"{address}: clients need that authority; --tls-ca FILE judges with it"


def _remarks(attempt: TlsAttempt, expected: TlsExpectation, now: datetime) -> list[str]:
    own, address = attempt.chain[0], attempt.address
    left, lifetime = own.not_after - now, own.not_after - own.not_before
    found = []
    if expected.min_days * _DAY <= left < _SOON_DAYS * _DAY and (
        timedelta() <= left < lifetime * _SOON_SHARE
    ):
        found.append(
            f"{address}: the certificate expires on {own.not_after:%Y-%m-%d %H:%M} UTC"
        )
    known = _INTERCEPTORS.search(own.issuer)
    if known is not None and _trust(attempt, expected) is None:
        found.append(
            f"{address}: the certificate was issued by {escape(own.issuer)}: {known[1]} "
            "intercepts TLS, and this host trusts it"
        )
    return found
