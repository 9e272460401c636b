"""The server's certificate: read from files, and again when they change."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netduet.net.tls_layer import TlsProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from netduet.net.tls_layer import TlsFailedError
    from netduet.server.settings import ServerSettings

WATCH_SECONDS: Final = 5.0
"""Seconds between two looks at the files."""

CERTIFICATE: Final = "certificate"
"""Name under which a transport tells the fingerprint of the certificate it presents."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

Signature = tuple[tuple[int, int, int] | None, ...]


class TlsFileError(Exception):
    """A file cannot be used; the message is one line that names it."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a port with TLS needs.

    ``key`` "" is in the file of the certificate; without ``client_ca`` clients are not
    asked for a certificate. ``port`` is the prefix of that setting.
    """

    certificate: str
    key: str
    client_ca: str
    min_version: str
    port: str = ""

    def load(self) -> ServerCertificate:
        """Read the files.

        Raises:
            TlsFileError: one of them cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.min_version]
        context.options |= ssl.OP_NO_RENEGOTIATION  # work that a client could cause
        key = self.key or self.certificate
        fingerprint = self._fingerprint()
        self._read("tls-key" if self.key else "tls-cert", key)
        try:
            # Without a password, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.certificate, key, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            raise self._key_error(key, error) from None
        if self.client_ca:
            self._read(f"{self.port}tls-client-ca", self.client_ca)
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError:
                name = f"{self.port}tls-client-ca"
                text = f"{name} {self.client_ca}: has no certificate in PEM"
                raise TlsFileError(text) from None
            context.verify_mode = ssl.CERT_REQUIRED
        return ServerCertificate(context, fingerprint)

    def signature(self) -> Signature:
        """Return what changes when a file is replaced or written."""
        return tuple(
            _stat(path) for path in (self.certificate, self.key, self.client_ca) if path
        )

    def _fingerprint(self) -> str:
        """Return the SHA-256 of the first certificate, the server's own, in hex."""
        text = self._read("tls-cert", self.certificate).decode("ascii", "replace")
        begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
        try:
            der = ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)])
        except ValueError:
            message = f"tls-cert {self.certificate}: has no certificate in PEM"
            raise TlsFileError(message) from None
        return hashlib.sha256(der).hexdigest()

    def _read(self, setting: str, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            message = f"{setting} {path}: cannot be read: {error.strerror}"
            raise TlsFileError(message) from None

    def _key_error(self, key: str, error: Exception) -> TlsFileError:
        reason = getattr(error, "reason", "") or ""
        if reason == "KEY_VALUES_MISMATCH":
            text = f"does not belong to the certificate in {self.certificate}"
        elif b"ENCRYPTED" in Path(key).read_bytes():
            text = "is encrypted: the server needs a key without a passphrase"
        else:
            text = "has no key in PEM that fits the certificate"
        name = "tls-key" if self.key else "tls-cert"
        return TlsFileError(f"{name} {key}: {text}")


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A context for new connections, and the fingerprint of its certificate."""

    context: ssl.SSLContext
    fingerprint: str


def tls_files(settings: ServerSettings) -> tuple[TlsFiles | None, TlsFiles | None]:
    """Return the files of the main port and of the admin port, None without TLS."""
    if not settings.tls_cert:
        return None, None
    own = (settings.tls_cert, settings.tls_key)
    version = settings.tls_min_version
    main = TlsFiles(*own, settings.tls_client_ca, version)
    admin = TlsFiles(*own, settings.admin_tls_client_ca, version, "admin-")
    return main, admin if settings.admin_tls else None


class ReloadedCertificate:
    """The certificate for new connections; ``reload`` reads it again.

    Connections that are open keep theirs. Files that cannot be used leave the old one
    in place. Each reload makes a new context, so that no session of the old certificate
    is resumed with it.
    """

    def __init__(self, files: TlsFiles, log: FilteringBoundLogger) -> None:
        """Read the files.

        Raises:
            TlsFileError: one of them cannot be used.
        """
        self._files = files
        self._log = log
        self._signature = files.signature()
        self.current = files.load()
        self._say_loaded()

    def wrap(
        self,
        connection: asyncio.Protocol,
        refuse: Callable[[], bool] = lambda: False,
        fail: Callable[[TlsFailedError], None] = lambda _: None,
    ) -> TlsProtocol:
        """Return the protocol of a new connection, with TLS around it."""
        return TlsProtocol(
            connection,
            self.current.context,
            refuse=refuse,
            fail=fail,
            extra={CERTIFICATE: self.current.fingerprint},
        )

    async def watch(self) -> None:
        """Read the files again whenever one was replaced or written."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._files.signature() != self._signature:
                self.reload()

    def reload(self) -> None:
        """Read the files again; log what came of it."""
        self._signature = self._files.signature()
        try:
            loaded = self._files.load()
        except TlsFileError as error:
            self._log.warning("tls.reload_failed", **{"error.message": str(error)})
            return
        self.current = loaded
        self._say_loaded()

    def _say_loaded(self) -> None:
        fields = {"tls.server.hash.sha256": self.current.fingerprint}
        self._log.info("tls.loaded", **fields)


@contextlib.asynccontextmanager
async def watch_files(
    certificates: Sequence[ReloadedCertificate], loop: asyncio.AbstractEventLoop
) -> AsyncIterator[None]:
    """Reload certificates when their files change, and on SIGHUP."""
    if not certificates:
        yield  # SIGHUP ends the process, as it does by default
        return

    def reload() -> None:
        for certificate in certificates:
            certificate.reload()

    loop.add_signal_handler(signal.SIGHUP, reload)
    tasks = [asyncio.create_task(each.watch()) for each in certificates]
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel()


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - follows links, as Kubernetes' secrets are
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
