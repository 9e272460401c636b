"""A TLS server without a socket, and certificates of a private authority."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

NOW: Final = datetime.now(UTC).replace(microsecond=0)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def issue(
    name: str,
    *names: str,
    issuer: Issued | None = None,
    is_authority: bool = False,
    organization: str = "",
    not_before: datetime = NOW - DAY,
    not_after: datetime = NOW + DAY,
) -> Issued:
    """Issue a certificate; without an issuer it is self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, name)]
    subject = x509.Name(
        [x509.NameAttribute(kind, value) for kind, value in parts if value]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName(map(_general_name, names))
        builder = builder.add_extension(alternatives, critical=False)
    signer = issuer.key if issuer else key
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class TlsServer:
    """Bytes of the connection in, and out; what is received inside goes to a handler."""

    def __init__(
        self,
        issued: Issued,
        answer: Callable[[bytes], bytes] = lambda _: b"",
        alpn: bytes = b"",
        version: int = SSL.TLS1_3_VERSION,
    ) -> None:
        """Prepare; ``alpn`` is chosen whatever the client offers, b"" for nothing."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_max_proto_version(version)
        context.use_certificate(issued.certificate)
        context.use_privatekey(issued.key)
        context.set_alpn_select_callback(
            lambda _, _offered: alpn or SSL.NO_OVERLAPPING_PROTOCOLS
        )
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self._answer = answer

    def receive(self, data: bytes) -> bytes:
        """Take what the client sends; return what it receives."""
        if data:
            self._connection.bio_write(data)
        try:
            while received := self._connection.recv(65536):
                if reply := self._answer(received):
                    self._connection.sendall(reply)
        except SSL.Error:  # more is needed, or it is over
            pass
        return self.pending()

    def pending(self) -> bytes:
        """Return what the client receives."""
        try:
            return self._connection.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""
