"""The results of an opening, and of the end of a connection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from netduet.client.net.dial import Cause, ConnectResult, classify
from netduet.client.protocols.base import Recognition
from netduet.net.time_span import Timed, TimeSpan
from netduet.wire.errors import Code, RemoteError
from netduet.wire.events import (
    EofReceived,
    ErrorReceived,
    Event,
    PeerFailed,
    PlainReceived,
    WelcomeReceived,
)
from netduet.wire.messages import ErrorMessage, Welcome
from netduet.wire.untrusted import escape


@dataclass(frozen=True, slots=True)
class Handshake(Timed):
    """The result of an opening: exactly one of the first six, or ``closed``.

    ``welcome`` is that of a netduet server, ``recognition`` what another service has
    said about itself, ``foreign`` the first bytes of one that was not recognised.
    ``acked`` is how many of the ``sent`` bytes the remote kernel has acknowledged, None
    if unknown; ``resent`` is the number of retransmitted packets; ``accepted`` is False
    if there was no connection; ``self_connected``: both ends are the same socket. Times
    are monotonic seconds; ``connect_seconds`` is how long TCP's own handshake took.
    ``certificate`` is the fingerprint of the server's certificate, "" without TLS.
    """

    welcome: Welcome | None = None
    recognition: Recognition | None = None
    foreign: bytes = b""
    refused: ErrorMessage | None = None
    broken: RemoteError | None = None
    cause: Cause | None = None
    closed: bool = False
    detail: str = ""
    sent: int = 0
    acked: int | None = None
    resent: int = 0
    accepted: bool = True
    self_connected: bool = False
    start: float = 0.0
    end: float = 0.0
    connect_seconds: float = 0.0
    certificate: str = ""

    @property
    def answered(self) -> bool:
        """Whether a netduet server, or a service of the expected protocol, answered."""
        return self.welcome is not None or self.recognition is not None

    @property
    def failure(self) -> str:
        """Why there was no welcome, or why a service does not serve."""
        if self.recognition is not None and self.recognition.refusal is not None:
            return f"the service responds: {escape(self.recognition.reason)}"
        if self.refused is not None:
            return f"the server says: {escape(self.refused.message)}"
        if self.broken is not None:
            return f"its response violates the protocol: {escape(self.broken.message)}"
        if self.closed:
            return "closed without a response"
        return self.detail or "another program responds"

    @property
    def missed_deadline(self) -> TimeSpan | None:
        """Its time if it failed by silence alone, which a stall of an end explains too."""
        return self.span if self.cause is Cause.TIMEOUT else None


@dataclass(frozen=True, slots=True)
class ConnectionEnd:
    """How a connection ended before an answer.

    ``how`` is ``eof``, ``error`` (the server sent a reason), ``broken`` (a protocol
    error) or the value of a ``dial.Cause``, usually ``reset``. ``code`` is that of the
    server's reason.
    """

    how: str
    detail: str
    code: str = ""


def handshake_from_event(
    event: Event | None, nonce: str, *, is_closed: bool, lost: BaseException | None
) -> Handshake:
    """Return the result of an opening.

    ``event`` is the first event, None after a timeout; the welcome must repeat
    ``nonce``; ``lost`` is the error that closed the connection.
    """
    match event:
        case WelcomeReceived(message) if message.nonce == nonce:
            return Handshake(welcome=message)
        case WelcomeReceived():
            detail = "the response carries a nonce that is not ours"
            return Handshake(broken=RemoteError(Code.BAD_MESSAGE, detail))
        case PlainReceived(data):
            return Handshake(foreign=data)
        case ErrorReceived(message):
            return Handshake(refused=message)
        case PeerFailed(error):
            return Handshake(broken=error)
        case EofReceived():
            return Handshake(closed=True)
    if is_closed and lost is None:
        return Handshake(closed=True)
    if is_closed and lost is not None:
        cause, detail = classify(lost)
        return Handshake(cause=cause, detail=detail)
    return Handshake(cause=Cause.TIMEOUT, detail="no response in time")


def failed_handshake(
    connect_result: ConnectResult, cause: Cause | None, detail: str
) -> Handshake:
    """Return the result of a connection that was not made, or closed at once."""
    return Handshake(
        cause=cause,
        detail=detail,
        accepted=connect_result.sock is not None or cause is Cause.RESET,
        start=connect_result.start,
        end=connect_result.end,
    )


def end_from_event(
    event: Event | None, lost: BaseException | None
) -> ConnectionEnd | None:
    """Return the end that an event means, None if it means none.

    ``event`` is None when the connection is closed, ``lost`` the error that closed it.
    """
    match event:
        case EofReceived():
            return ConnectionEnd("eof", "the server closed its sending side")
        case ErrorReceived(message):
            detail = escape(f"{message.code}: {message.message}")
            return ConnectionEnd("error", detail, message.code)
        case PeerFailed(error):
            return ConnectionEnd("broken", escape(error.message))
        case None if lost is not None:
            cause, detail = classify(lost)
            return ConnectionEnd(cause.value, detail)
        case None:
            return ConnectionEnd("eof", "the connection was closed")
    return None
