"""What the check ``tls`` measures: handshakes with each address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from netduet.client.net.dial import Address
from netduet.client.net.tls_probe import TlsAttempt


@dataclass(frozen=True, slots=True)
class TlsExpectation:
    """What the user and this host expect of a TLS server.

    ``host`` is the name that its certificate must have. ``requires_trust``: a
    certificate of an unknown authority is a failure, not a note. ``ca`` is the file of
    authorities, "" for those of this host, of which there may be none
    (``has_authorities``). ``organizations`` are those of the authorities in ``ca``.
    ``fingerprints`` (SHA-256, hex) and ``issuer`` (a part of the name) are those of the
    certificate that the server is known to present, empty for any. ``min_days`` is how
    long it must be valid. ``demands_certificate``: the server must refuse clients
    without a certificate. ``has_certificate``: this client presents one.
    """

    host: str
    requires_trust: bool = True
    ca: str = ""
    has_authorities: bool = True
    organizations: frozenset[str] = frozenset()
    fingerprints: tuple[str, ...] = ()
    issuer: str = ""
    min_days: int = 0
    demands_certificate: bool = False
    has_certificate: bool = False


@dataclass(frozen=True, slots=True)
class TlsServer:
    """The handshakes with one address.

    ``main`` is one as clients make it. ``unnamed`` sent no SNI, ``legacy`` offered TLS
    1.0 and 1.1 alone. ``confirmed`` is one after which the server's answer to the
    certificate that it requests was awaited, or to its absence; ``anonymous`` is the
    same without a certificate. None: not made. ``seen`` is the fingerprint of the
    certificate on a connection to a netduet server, "" without TLS, and ``stated`` the
    one that the server said it presents there, "" if it got the connection without TLS.
    """

    address: Address
    main: TlsAttempt
    unnamed: TlsAttempt | None = None
    legacy: TlsAttempt | None = None
    confirmed: TlsAttempt | None = None
    anonymous: TlsAttempt | None = None
    seen: str = ""
    stated: str = ""


@dataclass(frozen=True, slots=True)
class TlsResult:
    """The servers, what is expected of them, and the time (UTC) at which that was.

    None are measured where none speaks TLS and none has to.
    """

    servers: tuple[TlsServer, ...]
    expected: TlsExpectation
    now: datetime
