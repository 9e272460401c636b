"""TLS from settings: how connections speak it, and whether its files can be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netduet.client.net.client_tls import ClientTls, make_context
from netduet.client.protocols.certificates import plain_host

if TYPE_CHECKING:
    from netduet.client.settings import ClientSettings


def client_tls(settings: ClientSettings, host: str) -> ClientTls | None:
    """Return how connections to a host speak TLS, None if they do not."""
    if not settings.tls:
        return None
    context = make_context(
        settings.tls_ca,
        settings.tls_cert,
        settings.tls_key,
        verify=not settings.tls_insecure,
    )
    return ClientTls(context, settings.tls_name or plain_host(host))


def unusable_files(settings: ClientSettings) -> list[str]:
    """Return a line for each file that cannot be used."""
    if settings.tls_key and not settings.tls_cert:
        return ["tls-key is set without tls-cert: name the certificate's file, too"]
    lines = []
    if settings.tls_ca:
        lines += _problem("tls-ca", settings.tls_ca, ca=settings.tls_ca)
    if settings.tls_cert:
        key = settings.tls_key or settings.tls_cert
        name = "tls-key" if settings.tls_key else "tls-cert"
        lines += _problem(name, key, certificate=settings.tls_cert, key=key)
    return lines


def _problem(setting: str, path: str, **files: str) -> list[str]:
    from netduet.client.protocols.certificates import organizations  # noqa: PLC0415
    from netduet.client.protocols.tls_session import (  # noqa: PLC0415
        TlsError,
        TlsOptions,
        TlsSession,
    )

    for file in files.values():
        try:
            content = Path(file).read_bytes()
        except OSError as error:
            name = setting if file == path else "tls-cert"
            return [f"{name} {file}: cannot be read: {error.strerror}"]
        if b"ENCRYPTED" in content:
            return [
                f"{setting} {file}: the key is encrypted; name one without a passphrase"
            ]
    try:
        if "ca" in files:
            organizations(Path(path).read_bytes())
        options = TlsOptions(
            files.get("ca", ""), files.get("certificate", ""), files.get("key", "")
        )
        TlsSession("", options=options)
    except (TlsError, ValueError) as error:
        reason = str(error) if isinstance(error, TlsError) else "it has no certificate"
        what = (
            "certificates in PEM"
            if "ca" in files
            else "a certificate and its key in PEM"
        )
        return [f"{setting} {path}: cannot be used as {what}: {reason}"]
    return []
