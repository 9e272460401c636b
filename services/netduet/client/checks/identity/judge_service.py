"""Judges what a service other than netduet-server says about itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netduet.client.protocols.base import Certificate, Recognition, Refusal
from netduet.client.results.location import Side
from netduet.client.results.verdict import Evidence, Finding
from netduet.wire.untrusted import escape, log_safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netduet.client.checks.identity.results import Expectation, IdentityAnswer
    from netduet.client.protocols.base import Protocol

MAX_BYTES_SHOWN: Final = 80
"""Bytes of another program's answer that are shown."""

_REFUSALS: Final = {
    Refusal.NOT_READY: "identity.not_ready",
    Refusal.BUSY: "identity.busy",
    Refusal.DENIED: "identity.denied",
}

_CERTIFICATE_FAILURES: Final = {
    "expired": "identity.certificate_expired",
    "not yet valid": "identity.certificate_expired",
    "name": "identity.certificate_name",
}


def service_findings(
    answer: IdentityAnswer, expected: Expectation
) -> tuple[Finding, ...]:
    """Return what is wrong with a service that answers, or with its certificate."""
    protocol, recognition = answer.protocol, answer.handshake.recognition
    demanded = expected.protocol
    if demanded is not None and protocol != demanded:
        return (_other_protocol(answer, demanded),)
    if recognition is None:
        return ()
    findings = []
    if recognition.refusal is not None:
        seen = f'{answer.address} {_verb(recognition.refusal)}: "{escape(recognition.reason)}"'
        findings.append(Finding(_REFUSALS[recognition.refusal], seen))
    certificate = recognition.certificate
    if certificate is not None and certificate.problem in _CERTIFICATE_FAILURES:
        failure = _CERTIFICATE_FAILURES[certificate.problem]
        seen = f"{answer.address}: {_certificate_problem(certificate)}"
        evidence = ((Side.SERVER, _describe_certificate(certificate)),)
        findings.append(Finding(failure, seen, evidence))
    return tuple(findings)


def describe_service(answer: IdentityAnswer) -> str:
    """Return in a phrase what answers at an address."""
    duration = f"{answer.handshake.seconds * 1000:.1f} ms"
    if answer.protocol is not None and answer.handshake.recognition is not None:
        product = escape(answer.handshake.recognition.product) or answer.protocol.title
        return f"{product} responded at {answer.address} in {duration}"
    if answer.handshake.foreign:
        return (
            f"{answer.address} accepts connections and responds in a protocol that "
            "netduet does not know"
        )
    return (
        f"{answer.address} accepts connections and waits; what it serves was not tested"
    )


def service_remarks(answer: IdentityAnswer) -> Iterator[str]:
    """Yield notes on a service: what it says, and what is odd but no failure."""
    address, protocol = answer.address, answer.protocol
    recognition = answer.handshake.recognition
    if answer.usual is not None and answer.usual != protocol:
        found = "another protocol" if protocol is None else protocol.title
        yield (
            f"{address} speaks {found}, although {answer.usual.title} usually listens "
            f"on port {address.port}"
        )
    if recognition is not None:
        yield from (f"{address}: {escape(note)}" for note in recognition.notes)
        if recognition.certificate is not None:
            yield from _certificate_remarks(answer, recognition)
    elif answer.handshake.foreign:
        shown = log_safe(answer.handshake.foreign, MAX_BYTES_SHOWN)
        yield f'{address}: its first bytes: "{shown}"'
    elif answer.waits and answer.tried:
        yield (
            f"{address} did not respond to any of: {', '.join(answer.tried)}; "
            "to demand a protocol, append it to the target: HOST:PORT/http"
        )


def _other_protocol(answer: IdentityAnswer, demanded: Protocol) -> Finding:
    evidence: Evidence = ()
    data = answer.handshake.foreign
    if data:
        evidence = (
            (Side.SERVER, f'its first bytes: "{log_safe(data, MAX_BYTES_SHOWN)}"'),
        )
    found = "an unknown protocol" if answer.protocol is None else answer.protocol.title
    if answer.is_netduet:
        found = "netduet's protocol"
    seen = f"{answer.address} speaks {found}, not {demanded.title}"
    return Finding("identity.other_protocol", seen, evidence)


def _verb(refusal: Refusal) -> str:
    return {
        Refusal.NOT_READY: "responds that it is not ready",
        Refusal.BUSY: "responds that it has too many connections",
        Refusal.DENIED: "responds that it does not serve this client",
    }[refusal]


def _certificate_problem(certificate: Certificate) -> str:
    if certificate.problem == "name":
        names = ", ".join(map(escape, certificate.names)) or "no name"
        return f"its certificate is valid for {names}, not for this target"
    if certificate.problem == "not yet valid":
        return f"its certificate is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
    return f"its certificate expired on {certificate.not_after:%Y-%m-%d %H:%M} UTC"


def _describe_certificate(certificate: Certificate) -> str:
    subject = escape(certificate.subject) or "an unnamed subject"
    period = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    if certificate.self_signed:
        return f"self-signed certificate of {subject}, valid from {period}"
    return (
        f"certificate of {subject}, issued by {escape(certificate.issuer)}, valid from "
        f"{period}"
    )


def _certificate_remarks(
    answer: IdentityAnswer, recognition: Recognition
) -> Iterator[str]:
    certificate = recognition.certificate
    if certificate is None or certificate.problem in _CERTIFICATE_FAILURES:
        return
    yield f"{answer.address}: {_describe_certificate(certificate)}"
