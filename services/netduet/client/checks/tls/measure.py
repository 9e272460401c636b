"""Shakes hands with each address that should speak TLS."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netduet.client.checks.identity.results import IdentityResult
from netduet.client.checks.reach.results import ReachResult
from netduet.client.checks.tls.results import TlsExpectation, TlsResult, TlsServer
from netduet.client.net.tls_probe import TlsEnd, attempt_tls
from netduet.client.protocols.certificates import organizations
from netduet.client.protocols.http import HttpConversation
from netduet.client.protocols.tls_session import TlsOptions

if TYPE_CHECKING:
    from netduet.client.checks.base import CheckContext
    from netduet.client.net.dial import Address
    from netduet.client.net.tls_probe import TlsAttempt
    from netduet.client.protocols.base import Protocol

MAX_ADDRESSES: Final = 4
"""Addresses of a target that are judged."""

_ALPN: Final = (b"h2", b"http/1.1")
_HTTP: Final = (b"http/1.1",)
_NAMES: Final = frozenset({"tls", "https"})
_AUTHORITY_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
)
"""Where Linux distributions keep the authorities that a host trusts."""


def is_tls_expected(context: CheckContext) -> bool:
    """Whether the target must speak TLS, or was found to do so."""
    if context.demanded_protocol is not None:
        return _is_tls(context.demanded_protocol)
    return context.options.tls or bool(_found(context))


async def measure(context: CheckContext) -> TlsResult:
    """Judge every address of a target that must speak TLS, or of which one does."""
    was_identified = IdentityResult in context.measured
    addresses: list[Address] = []
    if is_tls_expected(context) or not (was_identified or context.demanded_protocol):
        reach = context.earlier(ReachResult)
        addresses = [each.address for each in reach.accepted][:MAX_ADDRESSES]
    servers = await asyncio.gather(*(_server(context, each) for each in addresses))
    servers = [_with_statement(context, server) for server in servers]
    return TlsResult(tuple(servers), _expectation(context), datetime.now(UTC))


def _is_tls(protocol: Protocol | None) -> bool:
    return protocol is not None and protocol.name in _NAMES


def _found(context: CheckContext) -> list[Address]:
    """Return the addresses at which a TLS service was recognised."""
    identity = context.measured.get(IdentityResult)
    if not isinstance(identity, IdentityResult):
        return []
    return [each.address for each in identity.answers if _is_tls(each.protocol)]


def _with_statement(context: CheckContext, server: TlsServer) -> TlsServer:
    """Add what a netduet server says of its certificate, and which one arrived."""
    identity = context.measured.get(IdentityResult)
    answers = identity.answers if isinstance(identity, IdentityResult) else ()
    for answer in answers:
        handshake = answer.handshake
        if answer.address == server.address and handshake.welcome is not None:
            seen, stated = handshake.certificate, handshake.welcome.certificate
            return replace(server, seen=seen, stated=stated)
    return server


def _expectation(context: CheckContext) -> TlsExpectation:
    options = context.options
    is_stated = _is_tls(context.demanded_protocol) or not _found(context)
    return TlsExpectation(
        _host(context),
        requires_trust=not options.tls_insecure and (is_stated or bool(options.tls_ca)),
        ca=options.tls_ca,
        has_authorities=bool(options.tls_ca) or _has_authorities(),
        organizations=_organizations(options.tls_ca),
        fingerprints=options.tls_fingerprint,
        issuer=options.tls_issuer,
        min_days=options.tls_min_days,
        demands_certificate=options.expect_client_certificate,
        has_certificate=bool(options.tls_cert),
    )


def _host(context: CheckContext) -> str:
    return context.server_name or context.target.host


def _has_authorities() -> bool:
    """Whether this host has certificate authorities that OpenSSL would find."""
    variables = [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    named = [path for path in variables if path]
    return any(Path(path).exists() for path in (*named, *_AUTHORITY_FILES))


def _organizations(path: str) -> frozenset[str]:
    if not path:
        return frozenset()
    return organizations(Path(path).read_bytes())


async def _server(context: CheckContext, address: Address) -> TlsServer:
    """Shake hands with a server in all ways that say something."""
    host, options, timeouts = _host(context), context.options, context.timeouts
    own = TlsOptions(options.tls_ca, options.tls_cert, options.tls_key)
    bare = TlsOptions(options.tls_ca)
    main = await attempt_tls(address, host, timeouts, own, _ALPN)
    legacy = unnamed = confirmed = anonymous = None
    if main.outcome in {TlsEnd.COMPLETE, TlsEnd.ALERT, TlsEnd.FAILED, TlsEnd.CLOSED}:
        old = TlsOptions(options.tls_ca, legacy=True)
        legacy = await attempt_tls(address, host, timeouts, old)
    if main.outcome is TlsEnd.COMPLETE and main.sent_name:
        without_name = replace(own, sends_name=False)
        unnamed = await attempt_tls(address, host, timeouts, without_name, _ALPN)
    if main.requests_certificate:
        request = _request(context, main)
        alpn = _HTTP if request else ()
        confirmed = await attempt_tls(
            address, host, timeouts, own, alpn, request=request, confirm=True
        )
        if own != bare:
            anonymous = await attempt_tls(
                address, host, timeouts, bare, alpn, request=request, confirm=True
            )
    return TlsServer(address, main, unnamed, legacy, confirmed, anonymous or confirmed)


def _request(context: CheckContext, main: TlsAttempt) -> bytes:
    """Return what to send inside, b"" if it is not known to be HTTP."""
    demanded = context.demanded_protocol
    is_http = main.alpn or (demanded is not None and demanded.name == "https")
    return HttpConversation(_host(context)).start() if is_http else b""
