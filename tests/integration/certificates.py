"""Files with certificates of a throw-away authority."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.unit.client.protocols.tls_server import DAY, NOW, Issued, issue

LOCAL_NAMES = ("localhost", "127.0.0.1", "server.example")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate, with those that link it to its authority, and its key."""

    issued: Issued
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority whose files are in a folder."""

    folder: Path
    issued: Issued
    file: str

    def issue(
        self,
        name: str,
        *names: str,
        issuer: Issued | None = None,
        links: tuple[Issued, ...] = (),
        not_before: datetime = NOW - DAY,
        not_after: datetime = NOW + 90 * DAY,
    ) -> CertificateFiles:
        """Issue a certificate, for this host's names if none are given.

        ``links`` are the certificates behind it in its file.
        """
        issued = issue(
            name,
            *(names or LOCAL_NAMES),
            issuer=issuer or self.issued,
            not_before=not_before,
            not_after=not_after,
        )
        return write(self.folder / name, issued, *links)


def authority(folder: Path, name: str = "Test CA") -> Authority:
    """Make an authority."""
    issued = issue(
        name, is_authority=True, organization=name, not_after=NOW + 365 * DAY
    )
    return Authority(folder, issued, write(folder / name, issued).certificate)


def write(path: Path, issued: Issued, *links: Issued) -> CertificateFiles:
    """Write a certificate and its key to files of this name."""
    certificate, key = path.with_suffix(".pem"), path.with_suffix(".key")
    chain = (issued, *links)
    certificate.write_bytes(
        b"".join(each.certificate.public_bytes(Encoding.PEM) for each in chain)
    )
    key.write_bytes(
        issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return CertificateFiles(issued, str(certificate), str(key))
