"""A TLS session without a socket, as a client, with the server's certificate.

The handshake always goes on, whatever is wrong with the certificate: what is wrong is
recorded. pyOpenSSL, not ``ssl``, because the latter shows no certificate that it
rejects, and does not judge one that it accepts.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from typing import TYPE_CHECKING, Final

from netduet.client.protocols.base import Certificate

if TYPE_CHECKING:
    from OpenSSL import SSL
    from OpenSSL.crypto import X509

_CHUNK_BYTES: Final = 64 * 1024

_VERIFY_ERRORS: Final = {
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


class TlsError(ValueError):
    """The handshake failed, or what came is no TLS."""


class TlsSession:
    """Bytes of the connection in, bytes of the application out, and back."""

    def __init__(self, host: str, alpn: tuple[bytes, ...] = ()) -> None:
        """Prepare; ``host`` is sent as SNI unless it is an address (RFC 6066 §3)."""
        from OpenSSL import SSL  # noqa: PLC0415

        self._host = host.strip("[]").partition("%")[0].rstrip(".")
        self._errors: list[int] = []
        self._connection = SSL.Connection(_context(), None)
        self._connection.set_app_data(self._errors)
        self._connection.set_connect_state()
        if alpn:
            self._connection.set_alpn_protos(list(alpn))
        name = _server_name(self._host)
        if name:
            self._connection.set_tlsext_host_name(name)
        self.sends_name = bool(name)
        self.is_ready = False

    def receive(self, data: bytes = b"") -> bytes:
        """Take bytes of the connection; return bytes of the application.

        Raises ``TlsError`` if the handshake fails or the bytes are no TLS.
        """
        from OpenSSL import SSL  # noqa: PLC0415

        received = b""
        try:
            if data:
                self._connection.bio_write(data)
            if not self.is_ready:
                self._connection.do_handshake()
                self.is_ready = True
            while True:
                received += self._connection.recv(_CHUNK_BYTES)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return received
        except SSL.Error as error:
            raise TlsError(_reason(error)) from error

    def send(self, data: bytes) -> None:
        """Encrypt bytes of the application; ``pending`` returns them.

        After the end of the session they are dropped.
        """
        from OpenSSL import SSL  # noqa: PLC0415

        if data:
            with contextlib.suppress(SSL.Error):
                self._connection.sendall(data)

    def pending(self) -> bytes:
        """Return the bytes to send on the connection."""
        from OpenSSL import SSL  # noqa: PLC0415

        parts = []
        while True:
            try:
                parts.append(self._connection.bio_read(_CHUNK_BYTES))
            except SSL.WantReadError:
                return b"".join(parts)

    def close(self) -> None:
        """Write the alert close_notify; ``pending`` returns it."""
        from OpenSSL import SSL  # noqa: PLC0415

        if self.is_ready:
            with contextlib.suppress(SSL.Error):
                self._connection.shutdown()

    @property
    def alpn(self) -> str:
        """The application protocol that the server chose, "" if none."""
        chosen: bytes = self._connection.get_alpn_proto_negotiated()
        return chosen.decode("ascii", "replace")

    @property
    def version(self) -> str:
        """The version, as ``TLSv1.3``."""
        return str(self._connection.get_protocol_version_name())

    @property
    def cipher(self) -> str:
        """The name of the cipher suite."""
        return str(self._connection.get_cipher_name())

    @property
    def certificate(self) -> Certificate | None:
        """The server's certificate, None if it has none or none that can be read."""
        found = self._connection.get_peer_certificate()
        if found is None:
            return None
        try:
            return _parse(found, self._host, self._errors)
        except ValueError:
            return None


@functools.cache
def _context() -> SSL.Context:
    """Return a context that knows this host's certificate authorities."""
    from OpenSSL import SSL, crypto  # noqa: PLC0415

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_default_verify_paths()
    context.set_verify(SSL.VERIFY_PEER, _record_error)
    # Old servers, and those that end without close_notify, are not what is judged.
    context.set_options(SSL.OP_LEGACY_SERVER_CONNECT | SSL.OP_IGNORE_UNEXPECTED_EOF)
    store = context.get_cert_store()
    if store is not None:
        # As for curl, a certificate that is trusted need not be a root.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    return context


def _record_error(
    connection: SSL.Connection, _certificate: X509, error: int, _depth: int, good: int
) -> bool:
    if not good:
        errors: list[int] = connection.get_app_data()
        errors.append(error)
    return True


def _reason(error: Exception) -> str:
    """Return the last reason that OpenSSL gives."""
    reasons = error.args[0] if error.args else ""
    return (
        str(reasons[-1][-1]) if isinstance(reasons, list) and reasons else "TLS error"
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _server_name(host: str) -> bytes:
    """Return the name for SNI, b"" if there is none to send."""
    if _is_address(host):
        return b""
    try:
        return host.encode("ascii" if host.isascii() else "idna")
    except UnicodeError:
        return b""


def _parse(certificate: X509, host: str, errors: list[int]) -> Certificate:
    from cryptography import x509  # noqa: PLC0415
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
    problem, detail = _judge(host, names, errors)
    return Certificate(
        subject=parsed.subject.rfc4514_string(),
        issuer=parsed.issuer.rfc4514_string(),
        names=tuple(names),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        self_signed=parsed.subject == parsed.issuer,
        problem=problem,
        detail=detail,
    )


def _judge(host: str, names: list[str], errors: list[int]) -> tuple[str, str]:
    """Return the problem of a certificate, and all that is wrong in words."""
    found = [
        _VERIFY_ERRORS.get(error, ("other", f"verification error {error}"))
        for error in dict.fromkeys(errors)
    ]
    if not any(_matches(host, name) for name in names):
        found.append(("name", f"not valid for {host}"))
    if not found:
        return "", ""
    found.sort(key=lambda problem: _PROBLEMS.index(problem[0]))
    return found[0][0], "; ".join(text for _, text in found)


def _matches(host: str, name: str) -> bool:
    """Return whether a certificate's name is that of the host (RFC 9525 §6.3)."""
    if _is_address(host):
        return _is_address(name) and ipaddress.ip_address(host) == ipaddress.ip_address(
            name
        )
    wanted = _server_name(host).decode("ascii").lower()
    name = name.lower().rstrip(".")
    if name.startswith("*."):
        return wanted.partition(".")[2] == name[2:] and "." in name[2:]
    return wanted == name
