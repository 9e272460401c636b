"""The failure classes of the check ``tls``."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

_SHOW: Final = "look at what it sends: openssl s_client -connect HOST:PORT -servername HOST -showcerts </dev/null"

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "tls.no_tls",
        "the service does not speak TLS",
        "TLS is expected here, and the service responded with something else.",
        Location.SERVER,
        (
            "TLS is not turned on at the service, or it listens on another port",
            "the service starts in plain text and turns to TLS later (STARTTLS)",
            "a proxy in between terminates TLS, and this address is behind it",
        ),
        (
            "look at the service's configuration, and at its first bytes above",
            "to judge the service without TLS, name its protocol: HOST:PORT/http",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.handshake_silent",
        "the TLS handshake gets no response",
        "The connection was accepted, but the server did not complete the handshake in time.",
        Location.UNKNOWN,
        (
            "the service hangs, or does not speak TLS and waits for something else",
            "a firewall drops packets that carry a ClientHello, or this server name",
            "large packets are lost: a ClientHello with post-quantum keys, or the certificates, need full packets",
        ),
        (
            "try a name that no firewall filters: --tls-name other.example",
            "look for a path MTU problem: netduet check HOST:PORT/tcp --checks size",
            "look at the service's log",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.handshake_failed",
        "the TLS handshake fails",
        "The server or this client ended the handshake; the alert or the error says why.",
        Location.SERVER,
        (
            "the server knows no such name (alert unrecognized name, or internal error)",
            "the two ends have no version or cipher suite in common (alert handshake failure, protocol version)",
            "the server's certificate or key is missing or does not match",
            "a firewall that inspects TLS resets connections to this server name",
        ),
        (
            "try the name that the server is configured for: --tls-name NAME",
            "look up the alert in RFC 8446 section 6, and the server's log",
            _SHOW,
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.intercepted",
        "another certificate arrives than the server presents",
        "Something between the two ends terminates TLS and presents a certificate of its own; it reads and can alter everything.",
        Location.INTERMEDIARY,
        (
            "a firewall, proxy or virus scanner inspects TLS; the issuer's name above is its own",
            "another server responds at this address",
            "the certificate was renewed, and the expectation was not (--tls-fingerprint, --tls-issuer)",
        ),
        (
            "compare with the certificate on the server: openssl x509 -noout -fingerprint -sha256 -in FILE",
            "have this destination exempted from inspection, or give clients the interceptor's authority",
            "connect from a network without the interceptor",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "tls.expired",
        "the certificate has expired",
        "The certificate of the server, or of an authority that it depends on, is no longer valid.",
        Location.SERVER,
        (
            "it was not renewed, or the server was not reloaded after the renewal",
            "one of several servers behind the name still has the old certificate",
            "the clock of this host is wrong",
        ),
        (
            "renew the certificate and reload the server",
            "compare this host's clock: date -u",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.not_yet_valid",
        "the certificate is not valid yet",
        "The certificate's time of validity has not begun.",
        Location.SERVER,
        (
            "the clock of this host is behind, or that of the issuer was ahead",
            "the certificate was put in place too early",
        ),
        ("compare this host's clock: date -u", "wait, or issue the certificate again"),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.wrong_name",
        "the certificate is for another name",
        "The certificate is not valid for the name of the target, so clients refuse it.",
        Location.SERVER,
        (
            "the target uses a name or address that the certificate does not list",
            "another server or virtual host responds: its default certificate",
        ),
        (
            "use one of the certificate's names as the target, or with --tls-name",
            "issue a certificate that lists this name (subjectAltName)",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.self_signed",
        "the certificate is self-signed",
        "The server issued its certificate itself, so clients cannot tell who it is.",
        Location.SERVER,
        (
            "the server still has the certificate that its installation made",
            "clients are meant to trust this very certificate (pinning)",
        ),
        (
            "have an authority that clients trust issue a certificate",
            "if it is meant to be so, name it: --tls-ca FILE",
            "not to judge trust: --tls-insecure",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.unknown_ca",
        "the certificate is of an unknown authority",
        "The certificate leads to an authority that is not among the trusted ones, so clients refuse it.",
        Location.SERVER,
        (
            "a private authority issued it, and its certificate is not installed here",
            "the server does not send the certificate of an intermediate authority",
            "something in between presents a certificate of its own",
        ),
        (
            "name the authority: --tls-ca FILE",
            _SHOW,
            "not to judge trust: --tls-insecure",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.chain_incomplete",
        "the server does not send the whole chain",
        "A certificate between the server's own and a trusted authority is missing. Browsers often fetch or remember it; other clients refuse the connection.",
        Location.SERVER,
        (
            "the server is configured with its own certificate alone, without the intermediate ones",
            "the intermediate certificates are of an earlier or another authority",
        ),
        (
            "configure the full chain (fullchain.pem), the server's own certificate first",
            _SHOW,
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.certificate_rejected",
        "the certificate does not pass verification",
        "The certificate is trusted, but clients refuse it for another reason.",
        Location.SERVER,
        (
            "its key or signature is too weak for clients of today",
            "it was issued for another purpose than TLS servers (extendedKeyUsage)",
            "the certificate of its issuer may not issue any (basicConstraints)",
        ),
        ("issue a certificate that fits", _SHOW),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.old_protocol",
        "only an old version of TLS is spoken",
        "The server speaks TLS 1.1 or older alone, which clients of today refuse (RFC 8996).",
        Location.SERVER,
        (
            "the server's software or its configuration is old",
            "a proxy or firewall in between speaks an old version itself",
        ),
        ("allow TLS 1.2 and 1.3 at the server, or update it",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.client_certificate_refused",
        "the server refuses the client's certificate",
        "The server asks for a client certificate, and does not accept the one presented.",
        Location.SERVER,
        (
            "the server does not know the authority that issued it (alert unknown ca)",
            "the certificate has expired, or is not for TLS clients (extendedKeyUsage)",
            "it lacks the certificates of intermediate authorities",
        ),
        (
            "look at the certificate: openssl x509 -noout -text -in FILE",
            "compare its issuer with the authorities that the server accepts",
            "look at the server's log",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "tls.client_certificate_not_demanded",
        "clients without a certificate are served",
        "The server should demand a client certificate, and served a client that has none.",
        Location.SERVER,
        (
            "the server asks for a certificate without requiring it (optional, request)",
            "it does not ask at all: mutual TLS is not turned on, or a proxy in between terminates TLS",
        ),
        (
            "require it at the server: ssl_verify_client on (nginx), verify required (HAProxy), tls-auth-clients yes (Redis)",
            "if the service decides after the handshake, test with a request",
        ),
        severity=Severity.CONNECTIONS,
    ),
    Failure(
        "tls.expires_soon",
        "the certificate expires soon",
        "The certificate is valid for less time than required (--tls-min-days).",
        Location.SERVER,
        (
            "its renewal has failed or does not run",
            "it was renewed, and the server was not reloaded",
        ),
        ("renew the certificate and reload the server",),
        severity=Severity.PERFORMANCE,
    ),
)
