"""One TLS handshake with a server, and what became of it."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import Address, Cause, classify, connect
from netduet.client.protocols.tls_session import TlsError, TlsSession, VerifyProblem
from netduet.net.time_span import Timed

if TYPE_CHECKING:
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.protocols.base import Certificate
    from netduet.client.protocols.tls_session import TlsOptions

_CHUNK_BYTES: Final = 16 * 1024
_MAX_RECEIVED_BYTES: Final = 256 * 1024
"""Bytes after which a server that never completes a handshake is left."""

_MAX_FIRST_BYTES: Final = 256
_MAX_INSIDE_BYTES: Final = 4 * 1024
_CONFIRM_SECONDS: Final = 1.0
"""Seconds for the server's word on a certificate, which follows the handshake."""

_RECORD: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]", re.DOTALL)
_ALERT: Final = re.compile(r"(?:(?:sslv3|tls|ssl/tls) alert|tlsv13?(?: alert)?) (.+)")
"""How OpenSSL calls the alerts that it receives (sslerr.h, from 1000 on)."""

_CERTIFICATE_MISSING: Final = re.compile(
    rb"HTTP/1\.[01] (?:4\d\d)\b.*certificate", re.DOTALL | re.IGNORECASE
)
"""How nginx and others say inside of TLS that they demand a certificate."""


class TlsEnd(StrEnum):
    """How an attempt at a handshake ended."""

    COMPLETE = "complete"
    UNCONNECTED = "unconnected"
    """No TCP connection was made."""
    SILENT = "silent"
    """Nothing, or too little, came in time."""
    CLOSED = "closed"
    ALERT = "alert"
    """The server sent an alert."""
    FOREIGN = "foreign"
    """What came is no TLS."""
    FAILED = "failed"
    """This end could not agree to what the server sent."""


class CertificateAnswer(StrEnum):
    """What the server made of the certificate that it requested, or of its absence."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TlsAttempt(Timed):
    """A handshake, from ``start`` to ``end`` (monotonic seconds).

    ``detail`` is the alert, or the reason of a failure. ``first_bytes`` are the first
    that arrived. ``version``, ``cipher`` and ``alpn`` are "" unless it was completed;
    ``chain`` is known as soon as it arrived. ``requests_certificate``: the server asked
    for one of the client; ``certificate_answer`` is what it then did, None if that was
    not awaited.
    """

    address: Address
    outcome: TlsEnd
    start: float
    end: float
    detail: str = ""
    cause: Cause | None = None
    first_bytes: bytes = b""
    version: str = ""
    cipher: str = ""
    alpn: str = ""
    sent_name: bool = False
    chain: tuple[Certificate, ...] = ()
    problems: tuple[VerifyProblem, ...] = ()
    requests_certificate: bool = False
    certificate_answer: CertificateAnswer | None = None


async def attempt_tls(
    address: Address,
    host: str,
    timeouts: Timeouts,
    options: TlsOptions,
    alpn: tuple[bytes, ...] = (),
    *,
    request: bytes = b"",
    confirm: bool = False,
) -> TlsAttempt:
    """Make one handshake on a connection of its own; never raises by itself.

    ``confirm``: if the server requests a certificate, send the ``request`` inside, and
    wait for what it says.
    """
    connected = await connect(address, timeouts.connect)
    if connected.sock is None:
        return TlsAttempt(
            address,
            TlsEnd.UNCONNECTED,
            connected.start,
            connected.end,
            connected.detail,
            connected.cause,
        )
    handshake = _Handshake(address, connected.sock, host, options, alpn)
    with connected.sock:
        await handshake.run(timeouts.answer)
        if confirm and handshake.requests_certificate:
            await handshake.confirm(request, min(timeouts.answer, _CONFIRM_SECONDS))
        await handshake.leave()
    return handshake.attempt()


class _Handshake:
    """The bytes of one attempt, and what they come to."""

    def __init__(
        self,
        address: Address,
        sock: socket.socket,
        host: str,
        options: TlsOptions,
        alpn: tuple[bytes, ...],
    ) -> None:
        self._address = address
        self._sock = sock
        self._session = TlsSession(host, alpn, options)
        self._start = time.monotonic()
        self._end = self._start
        self._received = 0
        self._first_bytes = b""
        self._inside = b""
        self._outcome: TlsEnd | None = None
        self._detail = ""
        self._cause: Cause | None = None
        self._answer: CertificateAnswer | None = None

    @property
    def requests_certificate(self) -> bool:
        """Whether the server completed its part, and asked for a certificate."""
        return self._session.requests_certificate

    async def run(self, timeout: float) -> None:
        """Shake hands."""
        try:
            async with asyncio.timeout(timeout):
                self._session.receive()
                await self._flush()
                while self._outcome is None:
                    await self._read()
        except OSError as error:  # TimeoutError is one
            cause, detail = classify(error)
            silent = cause is Cause.TIMEOUT
            self._finish(TlsEnd.SILENT if silent else TlsEnd.CLOSED, detail)
            self._cause = cause

    async def confirm(self, request: bytes, timeout: float) -> None:
        """Find out whether the server goes on with this client."""
        if self._outcome is not TlsEnd.COMPLETE:
            refused = self._outcome in {TlsEnd.ALERT, TlsEnd.CLOSED}
            self._answer = (
                CertificateAnswer.REFUSED if refused else CertificateAnswer.UNKNOWN
            )
            return
        self._session.send(request)
        try:
            async with asyncio.timeout(timeout):
                await self._flush()
                while self._answer is None:
                    await self._read_answer(expected=bool(request))
        except TimeoutError:
            done = self._session.has_ticket or self._session.version != "TLSv1.3"
            self._answer = (
                CertificateAnswer.ACCEPTED if done else CertificateAnswer.UNKNOWN
            )
        except OSError as error:
            self._answer = CertificateAnswer.REFUSED
            self._detail = classify(error)[1]

    async def leave(self) -> None:
        """Say farewell, if there is anybody to say it to."""
        self._session.close()
        try:
            async with asyncio.timeout(1):
                await self._flush()
        except OSError:
            return

    def attempt(self) -> TlsAttempt:
        """Return what became of it."""
        session = self._session
        complete = self._outcome is TlsEnd.COMPLETE
        return TlsAttempt(
            self._address,
            self._outcome or TlsEnd.SILENT,
            self._start,
            self._end,
            self._detail,
            self._cause,
            self._first_bytes,
            session.version if complete else "",
            session.cipher if complete else "",
            session.alpn if complete else "",
            session.sends_name,
            session.chain,
            tuple(dict.fromkeys(session.problems)),
            session.requests_certificate,
            self._answer,
        )

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        if data := self._session.pending():
            await loop.sock_sendall(self._sock, data)

    async def _read(self) -> None:
        """Read a part of the handshake, and answer it."""
        loop = asyncio.get_running_loop()
        data = await loop.sock_recv(self._sock, _CHUNK_BYTES)
        self._received += len(data)
        self._first_bytes = (self._first_bytes + data)[:_MAX_FIRST_BYTES]
        if not data:
            self._finish(TlsEnd.CLOSED, "closed the connection")
            return
        if not _is_like_tls(self._first_bytes):
            self._finish(TlsEnd.FOREIGN)
            return
        if self._received > _MAX_RECEIVED_BYTES:
            self._finish(TlsEnd.FAILED, "the handshake is too long")
            return
        try:
            self._inside += self._session.receive(data)
        except TlsError as error:
            alert = _ALERT.fullmatch(str(error))
            self._finish(
                TlsEnd.FAILED if alert is None else TlsEnd.ALERT,
                str(error) if alert is None else alert[1],
            )
        await self._flush()
        if self._outcome is None and self._session.is_ready:
            self._finish(TlsEnd.COMPLETE)

    async def _read_answer(self, *, expected: bool) -> None:
        """Read what follows the handshake; ``expected``: something was requested."""
        if self._inside or (self._session.has_ticket and not expected):
            missing = _CERTIFICATE_MISSING.match(self._inside) is not None
            self._answer = (
                CertificateAnswer.REFUSED if missing else CertificateAnswer.ACCEPTED
            )
            return
        loop = asyncio.get_running_loop()
        data = await loop.sock_recv(self._sock, _CHUNK_BYTES)
        if not data:
            self._answer = CertificateAnswer.REFUSED
            self._detail = "closed the connection"
            return
        try:
            self._inside = self._session.receive(data)[:_MAX_INSIDE_BYTES]
        except TlsError as error:
            alert = _ALERT.fullmatch(str(error))
            self._answer = (
                CertificateAnswer.UNKNOWN
                if alert is None
                else CertificateAnswer.REFUSED
            )
            self._detail = str(error) if alert is None else f'TLS alert "{alert[1]}"'

    def _finish(self, outcome: TlsEnd, detail: str = "") -> None:
        self._outcome = outcome
        self._detail = detail
        self._end = time.monotonic()


def _is_like_tls(data: bytes) -> bool:
    """Whether bytes may begin a record of TLS."""
    return _RECORD.match(data) is not None or data in {
        b"\x15",
        b"\x16",
        b"\x16\x03",
        b"\x15\x03",
    }
