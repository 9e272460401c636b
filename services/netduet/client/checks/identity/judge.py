"""Distinguishes a netduet server of the right service from anything else. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from netduet.client.checks.identity.judge_service import (
    MAX_BYTES_SHOWN,
    describe_service,
    service_findings,
    service_remarks,
)
from netduet.client.checks.identity.recognition import NETDUET_PORT, is_echo
from netduet.client.checks.identity.results import (
    ANY_NETDUET,
    Expectation,
    IdentityAnswer,
    IdentityResult,
)
from netduet.client.checks.name.search_domain import blame_search_domain
from netduet.client.net.dial import Cause
from netduet.client.net.handshake import Handshake
from netduet.client.results.instance import instance_of
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import (
    OVER_UDP,
    Evidence,
    Figures,
    Finding,
    Judgement,
)
from netduet.wire.errors import Code
from netduet.wire.frames import MAGIC
from netduet.wire.messages import ErrorMessage
from netduet.wire.untrusted import escape, log_safe, recognise

MAX_ANSWERS_SHOWN: Final = 3
"""Servers that are named; all are counted."""

_NAMES: Final = {"http": "HTTP", "tls": "TLS", "ssh": "SSH", "proxy": "PROXY protocol"}

_MIN_RETRANSMITS: Final = 3
"""Retransmissions that rule out random loss: four packets in a row were lost."""

_STRANGERS: Final = frozenset(
    {
        "identity.not_netduet",
        "identity.other_service",
        "identity.other_protocol",
        "identity.plain",
        "identity.certificate_name",
    }
)
"""Another program than the expected one answers."""

_MAGIC_CUT: Final = "its first byte is missing or changed"

_BY_CODE: Final = {
    Code.MAGIC_BROKEN: "identity.mangled",
    Code.TOO_MANY_CONNECTIONS: "identity.busy",
    Code.OVERLOADED: "identity.busy",
    Code.DRAINING: "identity.draining",
    Code.TLS_REQUIRED: "identity.tls_required",
    Code.UNAUTHORIZED: "identity.unauthorized",
}


def judge(identity: IdentityResult) -> Judgement:
    """Judge which program and service answered at each address."""
    findings: list[Finding] = []
    remarks: list[str] = []
    for answer in identity.answers:
        if _is_judged_as_service(answer, identity.expected):
            findings += service_findings(answer, identity.expected)
            remarks += service_remarks(answer)
        else:
            finding = _judge_answer(answer, identity.expected)
            findings += [] if finding is None else [finding]
    remarks += [
        f"{address}: the path is slow (about {rate / 1000:.0f} kbit/s): the checks send "
        "less, and run one after the other"
        for address, rate in identity.rates.items()
        if rate < math.inf
    ]
    findings = _with_search_domain(findings, identity)
    known, usable = identity.known, identity.usable
    summary = (
        "; ".join(_describe_answer(answer) for answer in usable[:MAX_ANSWERS_SHOWN])
        or "no response from the expected server"
    )
    instances = {
        answer.handshake.welcome.boot_id
        for answer in known
        if answer.handshake.welcome is not None
    }
    services = {_service_title(answer) for answer in usable if not answer.is_netduet}
    figures: Figures = {
        "asked": len(identity.answers),
        "answered": len(usable),
        "instances": len(instances),
        **_instance_figures(known[:MAX_ANSWERS_SHOWN]),
    }
    if services:
        figures["service"] = ", ".join(sorted(services))
        figures[OVER_UDP] = any(answer.is_over_udp for answer in usable)
    return Judgement(
        summary, tuple(findings), tuple(remarks), figures, blocks=not usable
    )


def _with_search_domain(
    findings: list[Finding], identity: IdentityResult
) -> list[Finding]:
    """Blame a search domain, if one may have led to a stranger."""
    lookup = identity.lookup
    if not lookup.is_ambiguous:
        return findings
    if not findings:
        findings = [
            Finding("identity.not_netduet", describe_service(answer))
            for answer in identity.answers
            if answer.is_service and answer.address.port == NETDUET_PORT
        ]
    return [
        blame_search_domain(finding, lookup)
        if finding.failure in _STRANGERS
        else finding
        for finding in findings
    ]


def _is_judged_as_service(answer: IdentityAnswer, expected: Expectation) -> bool:
    if expected.protocol is not None and answer.is_netduet:
        return True
    return answer.is_service and not expected.is_netduet


def _service_title(answer: IdentityAnswer) -> str:
    """Return the protocol of a service other than netduet-server, "" if unknown."""
    return "" if answer.protocol is None else answer.protocol.title


def _instance_figures(answers: Sequence[IdentityAnswer]) -> Figures:
    figures: Figures = {}
    for number, answer in enumerate(answers, 1):
        if answer.handshake.welcome is not None:
            prefix = f"{number}." if number > 1 else ""
            instance = instance_of(answer.handshake.welcome)
            figures |= {
                f"{prefix}instance": instance.instance,
                f"{prefix}node": instance.node or None,
                f"{prefix}zone": instance.zone or None,
            }
    return figures


def _describe_answer(answer: IdentityAnswer) -> str:
    welcome = answer.handshake.welcome
    if welcome is None:
        return describe_service(answer)
    return (
        f'netduet-server, service "{escape(welcome.service)}", '
        f"instance {instance_of(welcome)}, "
        f"responded at {answer.address} in {answer.handshake.seconds * 1000:.1f} ms"
    )


def _judge_answer(answer: IdentityAnswer, expected: Expectation) -> Finding | None:
    handshake = answer.handshake
    if not handshake.accepted:
        return _judge_refused(answer)
    if handshake.self_connected:
        seen = f"{answer.address}: both ends of the connection are the same socket"
        return Finding("identity.self", seen)
    if handshake.welcome is not None:
        return _judge_service(answer, expected.service)
    if handshake.foreign:
        return _judge_foreign(answer)
    if handshake.refused is not None or handshake.broken is not None:
        return _judge_error(answer)
    if handshake.closed:
        seen = (
            f"{answer.address} accepted the connection, then closed it without a "
            "response"
        )
        return Finding("identity.closed", seen, _sent(handshake))
    if handshake.cause is Cause.RESET:
        seen = (
            f"{answer.address} accepted the connection, then reset it without a "
            "response"
        )
        return Finding("identity.reset", seen, _sent(handshake))
    if handshake.cause is Cause.TIMEOUT:
        return _judge_silent(answer)
    if handshake.cause is Cause.TLS:
        seen = f"{answer.address}: {escape(handshake.detail)}"
        return Finding("identity.tls_failed", seen)
    seen = f"{answer.address}: {handshake.detail}"
    return Finding("path.broken", seen, ((Side.CLIENT, handshake.detail),))


def _judge_silent(answer: IdentityAnswer) -> Finding:
    """Judge a connection that was accepted, and on which nothing arrived."""
    handshake = answer.handshake
    if answer.tried:
        return _judge_mute(answer)
    seen = (
        f"{answer.address} accepted the connection but did not respond "
        f"{_greeting(answer)}within {handshake.seconds:.1f} s"
    )
    # A service that speaks first has been sent nothing to acknowledge.
    unacknowledged = handshake.sent > 0 and handshake.acked == 0
    if unacknowledged:
        seen = (
            f"{answer.address} accepted the connection but acknowledged no byte "
            f"of the request within {handshake.seconds:.1f} s: the request does "
            "not arrive, or nothing comes back"
        )
    # The kernel retransmitted without success, which a starved program does not
    # explain.
    is_proven = unacknowledged and handshake.resent >= _MIN_RETRANSMITS
    missed = None if is_proven else handshake.span
    name = "identity.unacknowledged" if unacknowledged else "identity.silent"
    figures: Figures = {
        "sent": handshake.sent,
        "acked": handshake.acked,
        "resent": handshake.resent,
    }
    evidence = _sent(handshake)
    if answer.usual is not None:
        evidence = evidence[:1]  # no service but netduet-server reports anything
    return Finding(name, seen, evidence, figures, missed_deadline=missed)


def _judge_mute(answer: IdentityAnswer) -> Finding:
    """Judge a service that responds to no greeting, although it must."""
    seen = (
        f"{answer.address} accepts connections but responds to no greeting (if it "
        "waits for a protocol that netduet does not know, append /tcp to the target)"
    )
    evidence = ((Side.CLIENT, f"no response to any of: {', '.join(answer.tried)}"),)
    span = answer.handshake.span
    return Finding("identity.silent", seen, evidence, missed_deadline=span)


def _greeting(answer: IdentityAnswer) -> str:
    """Return what it did not respond to, "" if that is netduet's own request."""
    return "" if answer.usual is None else f"to {answer.usual.title} "


def _judge_refused(answer: IdentityAnswer) -> Finding:
    """Judge a connection that was not accepted, though an earlier one was."""
    handshake = answer.handshake
    missed = handshake.missed_deadline
    seen = (
        f"{answer.address} had accepted a connection, but now does not: "
        f"{handshake.detail}"
    )
    evidence_text = f"after {handshake.seconds:.1f} s: {handshake.detail}"
    return Finding(
        "path.broken", seen, ((Side.CLIENT, evidence_text),), missed_deadline=missed
    )


def _judge_service(answer: IdentityAnswer, expected: str) -> Finding | None:
    welcome = answer.handshake.welcome
    if welcome is None or expected in {"", ANY_NETDUET, welcome.service}:
        return None
    seen = (
        f"{answer.address} is a netduet server for the service "
        f'"{escape(welcome.service)}"; expected "{escape(expected)}"'
    )
    evidence_text = f"instance {instance_of(welcome)}, {escape(welcome.software)}"
    return Finding("identity.other_service", seen, ((Side.SERVER, evidence_text),))


def _judge_foreign(answer: IdentityAnswer) -> Finding:
    data = answer.handshake.foreign
    shown = log_safe(data, MAX_BYTES_SHOWN)
    evidence = ((Side.SERVER, f'its first bytes: "{shown}"'),)
    if data.startswith(b"Hello, client!"):
        seen = f"{answer.address} responds with the plain-text greeting only"
        return Finding("identity.plain", seen, evidence)
    start = data.find(MAGIC[1:])
    if start >= 0:
        magic_complete = start > 0 and data[start - 1] == MAGIC[0]
        what = f"{start - 1} foreign bytes precede it" if magic_complete else _MAGIC_CUT
        seen = f"{answer.address}: a netduet server's response arrives altered: {what}"
        return Finding("identity.mangled", seen, evidence, where=Location.FROM_SERVER)
    protocol = recognise(data)
    what = f"speaks {_NAMES[protocol]}" if protocol else "speaks an unknown protocol"
    seen = f"{answer.address} {what}, not netduet"
    return Finding("identity.not_netduet", seen, evidence, {"protocol": protocol})


def _judge_error(answer: IdentityAnswer) -> Finding:
    refused, broken = answer.handshake.refused, answer.handshake.broken
    if refused is not None:
        code, message, side = refused.code, escape(refused.message), Side.SERVER
    elif broken is not None:
        code, message, side = broken.code.value, escape(broken.message), Side.CLIENT
    else:  # the caller has checked that one of them is set
        raise AssertionError
    known = {known.value: name for known, name in _BY_CODE.items()}
    failure = known.get(code, "identity.protocol")
    if is_echo(answer.handshake):
        seen = f"{answer.address} sends our own request back: it is an echo service"
        text = "the first bytes received are those that this end sent"
        return Finding("identity.not_netduet", seen, ((side, text),))
    prefix = (
        "the server says"
        if side is Side.SERVER
        else "its response violates the protocol"
    )
    seen = f"{answer.address}: {prefix}: {message}"
    where = None
    if failure == "identity.mangled":
        where = Location.TO_SERVER if side is Side.SERVER else Location.FROM_SERVER
    evidence = ((side, f"{escape(code)}: {message}"),)
    causes = () if refused is None else busy_causes(refused)
    return Finding(failure, seen, evidence, where=where, causes=causes)


def busy_causes(refused: ErrorMessage) -> tuple[str, ...]:
    """Return the cause that a server at its limit names itself, none if it does not."""
    descriptors = refused.facts.get("descriptors")
    if not isinstance(descriptors, int):
        return ()
    return (
        (
            f"the server may have only {descriptors} open files (ulimit -n, nofile, "
            "LimitNOFILE=): it has no file descriptors for more connections"
        ),
    )


def _sent(handshake: Handshake) -> Evidence:
    text = f"sent the request ({handshake.sent} bytes); received nothing"
    if handshake.cause is Cause.TIMEOUT and handshake.acked is not None:
        acked = min(handshake.acked, handshake.sent)
        text += f"; the kernel at the other end acknowledged {acked} bytes"
        if handshake.resent:
            packets = f"packet{'s' * (handshake.resent != 1)}"
            text += f"; this kernel retransmitted {handshake.resent} {packets}"
    return (
        (Side.CLIENT, text),
        (Side.SERVER, "no information: no netduet server responded"),
    )
