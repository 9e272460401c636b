"""A TLS session without a socket, as a client, with the server's certificate.

The handshake always goes on, whatever is wrong with the certificate: what is wrong is
recorded. pyOpenSSL, not ``ssl``, because the latter shows no certificate that it
rejects, and does not judge one that it accepts.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netduet.client.protocols.base import Certificate
from netduet.client.protocols.certificates import parse, plain_host, server_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from OpenSSL import SSL
    from OpenSSL.crypto import X509

_CHUNK_BYTES: Final = 64 * 1024
_REQUEST_STATE: Final = b"read server certificate request"
_TICKET_STATE: Final = b"read server session ticket"
"""How OpenSSL calls the states in which it has read these messages (ssl_stat.c)."""


class TlsError(ValueError):
    """The handshake failed, or what came is no TLS."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How a session is made.

    ``ca`` is a file of authorities in PEM, "" for those of this host; ``certificate`` and
    ``key`` are files of the client's own certificate, "" for none. ``sends_name``:
    unless the host is an address, its name is sent as SNI. ``legacy``: TLS 1.0 and 1.1
    are offered, and nothing newer.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    sends_name: bool = True
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """What is wrong with a chain: OpenSSL's number, and which certificate it is about.

    ``depth`` is 0 for the server's own certificate.
    """

    error: int
    depth: int
    subject: str


class TlsSession:
    """Bytes of the connection in, bytes of the application out, and back."""

    def __init__(
        self,
        host: str,
        alpn: tuple[bytes, ...] = (),
        options: TlsOptions = TlsOptions(),
    ) -> None:
        """Prepare; ``host`` is sent as SNI unless it is an address (RFC 6066 §3).

        Raises ``TlsError`` if a file of the options cannot be used.
        """
        from OpenSSL import SSL  # noqa: PLC0415

        self._host = plain_host(host)
        self._connection = SSL.Connection(_context(options), None)
        self._connection.set_app_data(self)
        self._connection.set_connect_state()
        if alpn:
            self._connection.set_alpn_protos(list(alpn))
        name = server_name(self._host) if options.sends_name else b""
        if name:
            self._connection.set_tlsext_host_name(name)
        self.sends_name = bool(name)
        self.is_ready = False
        self.problems: list[VerifyProblem] = []
        self.requests_certificate = False
        """Whether the server has asked for a certificate of the client."""
        self.has_ticket = False
        """Whether the server has sent a session ticket, the last part of a handshake."""
        self._chain: list[X509] = []

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
                self._continue_handshake()
            while True:
                received += self._connection.recv(_CHUNK_BYTES)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return received
        except SSL.Error as error:
            raise TlsError(_reason(error)) from error

    def _continue_handshake(self) -> None:
        try:
            self._connection.do_handshake()
            self.is_ready = True
        finally:  # a later alert makes OpenSSL forget it
            self._chain = self._connection.get_peer_cert_chain() or self._chain

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
        return next(iter(self.chain), None)

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The certificates that the server sent, its own first, as far as readable."""
        if not self._chain:
            return ()
        errors = [problem.error for problem in self.problems]
        try:
            own = parse(self._chain[0], self._host, errors)
            return (own, *map(parse, self._chain[1:]))
        except ValueError:
            return ()


@functools.lru_cache(maxsize=16)
def _context(options: TlsOptions) -> SSL.Context:
    """Return a context that knows the certificate authorities."""
    from OpenSSL import SSL, crypto  # noqa: PLC0415

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    try:
        if options.ca:
            context.load_verify_locations(options.ca)
        else:
            context.set_default_verify_paths()
        if options.certificate:
            context.use_certificate_chain_file(options.certificate)
            context.use_privatekey(_key(options.key or options.certificate))
            context.check_privatekey()
    except SSL.Error as error:
        raise TlsError(_reason(error)) from error
    context.set_verify(SSL.VERIFY_PEER, _record_problem)
    context.set_info_callback(_record_state)
    if options.legacy:
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_max_proto_version(SSL.TLS1_1_VERSION)
    # Old servers, and those that end without close_notify, are not what is judged.
    context.set_options(SSL.OP_LEGACY_SERVER_CONNECT | SSL.OP_IGNORE_UNEXPECTED_EOF)
    store = context.get_cert_store()
    if store is not None:
        # As for curl, a certificate that is trusted need not be a root.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    return context


def _key(path: str) -> RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415
        EllipticCurvePrivateKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import (  # noqa: PLC0415
        RSAPrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(Path(path).read_bytes(), None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise TlsError("no key without a passphrase") from error
    if isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey, Ed25519PrivateKey)):
        return key
    raise TlsError("the key is not RSA, EC or Ed25519")


def _record_problem(
    connection: SSL.Connection, certificate: X509, error: int, depth: int, good: int
) -> bool:
    if not good:
        session: TlsSession = connection.get_app_data()
        name = ""
        with contextlib.suppress(ValueError):  # one that cannot be read
            name = certificate.to_cryptography().subject.rfc4514_string()
        session.problems.append(VerifyProblem(error, depth, name))
    return True


def _record_state(connection: SSL.Connection, _where: int, _result: int) -> None:
    session: TlsSession | None = connection.get_app_data()
    if session is None:
        return
    state = connection.get_state_string()
    session.requests_certificate |= _REQUEST_STATE in state
    session.has_ticket |= _TICKET_STATE in state


def _reason(error: Exception) -> str:
    """Return the last reason that OpenSSL gives."""
    reasons = error.args[0] if error.args else ""
    return (
        str(reasons[-1][-1]) if isinstance(reasons, list) and reasons else "TLS error"
    )
