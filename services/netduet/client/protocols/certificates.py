"""Certificates of TLS servers: what they say, and what is wrong with them (RFC 5280)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from netduet.client.protocols.base import Certificate

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL.crypto import X509

VERIFY_ERRORS: Final = {
    # X509_STORE_CTX_get_error(3): what it means for a client, and its text.
    2: ("untrusted", "unable to get the issuer's certificate"),
    9: ("not yet valid", "certificate is not yet valid"),
    10: ("expired", "certificate has expired"),
    18: ("untrusted", "self-signed certificate"),
    19: ("untrusted", "self-signed certificate in the chain"),
    20: ("untrusted", "unable to get the local issuer's certificate"),
    21: ("untrusted", "unable to verify the first certificate"),
    23: ("other", "certificate is revoked"),
    24: ("other", "the issuer is no certificate authority"),
    25: ("other", "path length constraint exceeded"),
    26: ("other", "certificate is not for a TLS server"),
    27: ("untrusted", "certificate is not trusted"),
    66: ("other", "the server's key is too weak"),
    67: ("other", "the authority's key is too weak"),
    68: ("other", "the digest of the signature is too weak"),
}


_PROBLEMS: Final = ("expired", "not yet valid", "untrusted", "other", "name")
"""The order in which they are reported. Its dates are a fact; the name of a certificate
that this host does not trust anyway proves nothing about the server."""


def is_address(host: str) -> bool:
    """Return whether a host is an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def server_name(host: str) -> bytes:
    """Return the name for SNI, b"" if there is none to send."""
    if is_address(host):
        return b""
    try:
        return host.encode("ascii" if host.isascii() else "idna")
    except UnicodeError:
        return b""


def parse(certificate: X509, host: str = "", errors: Sequence[int] = ()) -> Certificate:
    """Read a certificate, and judge it if it is the one of a host.

    Raises ``ValueError`` if it cannot be read.
    """
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    parsed = certificate.to_cryptography()
    try:
        extension = parsed.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        alternatives = extension.value
        names = [
            *alternatives.get_values_for_type(x509.DNSName),
            *map(str, alternatives.get_values_for_type(x509.IPAddress)),
        ]
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        # As OpenSSL does: a certificate without alternative names has a common name.
        common = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(attribute.value) for attribute in common]
    problem, detail = _judge(host, names, errors) if host else ("", "")
    return Certificate(
        subject=parsed.subject.rfc4514_string(),
        issuer=parsed.issuer.rfc4514_string(),
        names=tuple(names),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        self_signed=parsed.subject == parsed.issuer,
        problem=problem,
        detail=detail,
        fingerprint=parsed.fingerprint(SHA256()).hex(),
        issuer_organization=_organization(parsed.issuer),
        has_issuer_url=_has_issuer_url(parsed),
    )


def organizations(pem: bytes) -> frozenset[str]:
    """Return the organizations of the certificates in a file of PEM.

    Raises ``ValueError`` if it has no certificate.
    """
    from cryptography import x509  # noqa: PLC0415

    found = x509.load_pem_x509_certificates(pem)
    return frozenset(_organization(each.subject) for each in found) - {""}


def _organization(name: x509.Name) -> str:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    found = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def _has_issuer_url(certificate: x509.Certificate) -> bool:
    """Whether it says where its issuer's certificate is (RFC 5280 §4.2.2.1)."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import AuthorityInformationAccessOID  # noqa: PLC0415

    try:
        access = certificate.extensions.get_extension_for_class(
            x509.AuthorityInformationAccess
        )
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return any(
        each.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        for each in access.value
    )


def _judge(host: str, names: list[str], errors: Sequence[int]) -> tuple[str, str]:
    """Return the problem of a certificate, and all that is wrong in words."""
    found = [
        VERIFY_ERRORS.get(error, ("other", f"verification error {error}"))
        for error in dict.fromkeys(errors)
    ]
    if not any(_matches(host, name) for name in names):
        found.append(("name", f"not valid for {host}"))
    if not found:
        return "", ""
    found.sort(key=lambda problem: _PROBLEMS.index(problem[0]))
    return found[0][0], "; ".join(text for _, text in found)


def is_valid_for(certificate: Certificate, host: str) -> bool:
    """Return whether a certificate has the name or address of a host."""
    host = plain_host(host)
    return any(_matches(host, name) for name in certificate.names)


def plain_host(host: str) -> str:
    """Return a host without brackets, scope and final dot."""
    return host.strip("[]").partition("%")[0].rstrip(".")


def _matches(host: str, name: str) -> bool:
    """Return whether a certificate's name is that of the host (RFC 9525 §6.3)."""
    if is_address(host):
        return is_address(name) and ipaddress.ip_address(host) == ipaddress.ip_address(
            name
        )
    wanted = server_name(host).decode("ascii").lower()
    name = name.lower().rstrip(".")
    if name.startswith("*."):
        return wanted.partition(".")[2] == name[2:] and "." in name[2:]
    return wanted == name
