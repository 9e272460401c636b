"""Judges handshakes: who refused what, and which versions are spoken. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netduet.client.checks.tls.certificate import judge_certificate
from netduet.client.net.dial import Cause
from netduet.client.net.tls_probe import CertificateAnswer, TlsAttempt, TlsEnd
from netduet.client.results.location import Side
from netduet.client.results.verdict import Evidence, Figures, Finding, Judgement
from netduet.wire.untrusted import escape, log_safe

if TYPE_CHECKING:
    from datetime import datetime

    from netduet.client.checks.tls.results import (
        TlsExpectation,
        TlsResult,
        TlsServer,
    )

_MAX_BYTES_SHOWN: Final = 80
_OLD_VERSIONS: Final = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})


@dataclass(slots=True)
class TlsServerJudgement:
    """What is said of one address."""

    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    figures: Figures = field(default_factory=dict)
    summary: str = ""


def judge(result: TlsResult) -> Judgement:
    """Judge each address; figures of later ones are numbered."""
    if not result.servers:
        return Judgement("", skipped="the target speaks no TLS")
    findings: list[Finding] = []
    remarks: list[str] = []
    figures: Figures = {}
    summaries = []
    for number, server in enumerate(result.servers, 1):
        judged = _judge_server(server, result.expected, result.now)
        findings += judged.findings
        remarks += judged.remarks
        summaries.append(judged.summary)
        prefix = f"{number}." if number > 1 else ""
        figures |= {f"{prefix}{name}": value for name, value in judged.figures.items()}
    remarks += _differences(result)
    return Judgement(
        "; ".join(dict.fromkeys(filter(None, summaries))),
        tuple(findings),
        tuple(dict.fromkeys(remarks)),
        figures,
    )


def _judge_server(
    server: TlsServer, expected: TlsExpectation, now: datetime
) -> TlsServerJudgement:
    judged = TlsServerJudgement()
    main, address = server.main, server.address
    if _is_old(server):
        judged.findings.append(_old_protocol(server))
    elif main.outcome is not TlsEnd.COMPLETE and not _is_demand(server, expected):
        judged.findings.append(_judge_end(server, expected))
    if server.stated and server.seen and server.stated != server.seen:
        judged.findings.append(_intercepted(server))
    elif server.seen and not server.stated:
        judged.remarks.append(
            f"{address}: something in between terminates TLS: the server got the "
            "connection without it"
        )
    shown = main if main.chain else server.legacy
    if shown is not None and shown.chain:
        certificates = judge_certificate(shown, expected, now)
        judged.findings += certificates.findings
        judged.remarks += certificates.remarks
        judged.figures |= certificates.figures
        judged.summary = certificates.summary
    _judge_client_certificate(server, expected, judged)
    _judge_sni(server, judged)
    words = ""
    if main.version:
        words = f"{main.version}, {main.cipher}, ALPN {escape(main.alpn) or 'none'}; "
        judged.figures |= {
            "version": main.version,
            "cipher": main.cipher,
            "alpn": escape(main.alpn),
            "sni": main.sent_name,
        }
        if server.legacy is not None and server.legacy.version and not _is_old(server):
            judged.remarks.append(
                f"{address}: also accepts {server.legacy.version}, which RFC 8996 "
                "forbids"
            )
    if judged.summary:
        judged.summary = f"{address}: {words}{judged.summary}"
    elif judged.findings:
        judged.summary = judged.findings[0].seen
    return judged


def _is_old(server: TlsServer) -> bool:
    """Whether nothing newer than TLS 1.1 is spoken."""
    main, legacy = server.main, server.legacy
    if main.version:
        return main.version in _OLD_VERSIONS
    return not main.chain and legacy is not None and bool(legacy.version)


def _is_demand(server: TlsServer, expected: TlsExpectation) -> bool:
    """Whether the handshake ended because this client has no certificate."""
    main = server.main
    refused = main.outcome in {TlsEnd.ALERT, TlsEnd.CLOSED}
    return refused and main.requests_certificate and not expected.has_certificate


def _intercepted(server: TlsServer) -> Finding:
    """Return that the server presents another certificate than the one that arrives."""
    seen = (
        f"{server.address}: the server presents another certificate than the one that "
        "arrives here"
    )
    if server.main.chain:
        seen += f", which was issued by {escape(server.main.chain[0].issuer)}"
    evidence: Evidence = (
        (Side.CLIENT, f"fingerprint of the certificate: {server.seen}"),
        (Side.SERVER, f"fingerprint of its certificate: {escape(server.stated)}"),
    )
    return Finding("tls.intercepted", seen, evidence)


def _old_protocol(server: TlsServer) -> Finding:
    version = server.main.version or (server.legacy and server.legacy.version)
    seen = f"{server.address} speaks {version} at most"
    text = f"a handshake with TLS 1.2 and 1.3: {_end_text(server.main)}"
    return Finding("tls.old_protocol", seen, ((Side.CLIENT, text),))


def _judge_end(server: TlsServer, expected: TlsExpectation) -> Finding:
    """Judge a handshake that did not complete."""
    main, address = server.main, server.address
    if main.outcome is TlsEnd.FOREIGN:
        seen = f"{address} does not respond in TLS"
        shown = log_safe(main.first_bytes, _MAX_BYTES_SHOWN)
        evidence: Evidence = ((Side.SERVER, f'its first bytes: "{shown}"'),)
        return Finding("tls.no_tls", seen, evidence)
    if main.outcome is TlsEnd.SILENT:
        seen = (
            f"{address} accepted the connection but did not complete the TLS handshake "
            f"within {main.seconds:.1f} s"
        )
        count = len(main.first_bytes)
        text = f"sent a ClientHello; received {count or 'no'} bytes in response"
        evidence = ((Side.CLIENT, text),)
        return Finding(
            "tls.handshake_silent", seen, evidence, missed_deadline=main.span
        )
    if main.requests_certificate and expected.has_certificate:
        return _refused(server, _end_text(main))
    seen = f"{address}: the TLS handshake failed: {_end_text(main)}"
    missed = main.span if main.cause is Cause.TIMEOUT else None
    name = f"SNI {escape(expected.host)}" if main.sent_name else "no SNI"
    offered = f"sent a ClientHello with {name}, ALPN h2 and http/1.1"
    evidence = (
        ((Side.CLIENT, offered),) if main.outcome is not TlsEnd.UNCONNECTED else ()
    )
    return Finding("tls.handshake_failed", seen, evidence, missed_deadline=missed)


def _end_text(attempt: TlsAttempt) -> str:
    match attempt.outcome:
        case TlsEnd.COMPLETE:
            return f"completed with {attempt.version}"
        case TlsEnd.ALERT:
            return f'the server sent the alert "{escape(attempt.detail)}"'
        case TlsEnd.FAILED:
            return escape(attempt.detail)
        case TlsEnd.CLOSED:
            return f"the server ended the connection ({escape(attempt.detail)})"
    return escape(attempt.detail) or "no response in time"


def _refused(server: TlsServer, how: str) -> Finding:
    seen = f"{server.address} does not accept this client's certificate: {how}"
    return Finding("tls.client_certificate_refused", seen)


def _judge_client_certificate(
    server: TlsServer, expected: TlsExpectation, judged: TlsServerJudgement
) -> None:
    """Say whether a certificate is requested, demanded, and accepted."""
    address, anonymous = server.address, server.anonymous
    if server.main.outcome is not TlsEnd.COMPLETE and not server.main.chain:
        return
    if not server.main.requests_certificate or anonymous is None:
        judged.figures["client_certificate"] = "not requested"
        if expected.demands_certificate and server.main.version:
            seen = f"{address} does not ask clients for a certificate"
            judged.findings.append(Finding("tls.client_certificate_not_demanded", seen))
        return
    match anonymous.certificate_answer:
        case CertificateAnswer.REFUSED:
            word = "demanded"
            if not expected.has_certificate:
                judged.remarks.append(
                    f"{address}: requires a client certificate, and this client has none "
                    "(--tls-cert)"
                )
        case CertificateAnswer.ACCEPTED:
            word = "requested"
            text = "asks for a client certificate, but serves clients without one, too"
            if expected.demands_certificate:
                finding = Finding(
                    "tls.client_certificate_not_demanded", f"{address} {text}"
                )
                judged.findings.append(finding)
            else:
                judged.remarks.append(f"{address}: {text}")
        case _:
            word = "unknown"
            judged.remarks.append(
                f"{address}: asks for a client certificate; whether it demands one could "
                "not be found out, for it says nothing after the handshake"
            )
    judged.figures["client_certificate"] = word
    confirmed = server.confirmed
    if (
        expected.has_certificate
        and confirmed is not None
        and server.main.outcome is TlsEnd.COMPLETE
        and confirmed.certificate_answer is CertificateAnswer.REFUSED
    ):
        how = escape(confirmed.detail) or "it responds that it needs another one"
        judged.findings.append(_refused(server, how))


def _judge_sni(server: TlsServer, judged: TlsServerJudgement) -> None:
    """Say what is different without SNI."""
    main, unnamed, address = server.main, server.unnamed, server.address
    if unnamed is None or not main.chain:
        return
    if unnamed.outcome is TlsEnd.ALERT and not unnamed.requests_certificate:
        text = f'refuses clients that send no SNI (alert "{escape(unnamed.detail)}")'
        judged.remarks.append(f"{address}: {text}")
    elif unnamed.chain and unnamed.chain[0].fingerprint != main.chain[0].fingerprint:
        other = escape(unnamed.chain[0].subject) or "an unnamed subject"
        judged.remarks.append(
            f"{address}: selects the certificate by SNI; without SNI it presents that of "
            f"{other}"
        )


def _differences(result: TlsResult) -> list[str]:
    """Return that the addresses present certificates of different issuers."""
    issuers = {
        escape(server.main.chain[0].issuer): str(server.address)
        for server in result.servers
        if server.main.chain
    }
    if len(issuers) <= 1:
        return []
    texts = (f"{issuer} at {address}" for issuer, address in issuers.items())
    return [
        f"the addresses present certificates of different issuers: {'; '.join(texts)}"
    ]
