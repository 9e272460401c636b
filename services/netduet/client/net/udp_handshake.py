"""Openings by datagram, and what arrives instead of an answer."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netduet.client.net.udp_socket import answers_from_elsewhere
from netduet.net.time_span import Timed
from netduet.wire import datagram
from netduet.wire.errors import RemoteError
from netduet.wire.frames import ANSWER, Kind
from netduet.wire.messages import ErrorMessage, Open, Welcome, decode, encode

if TYPE_CHECKING:
    from netduet.client.net.dial import Address
    from netduet.client.net.udp_socket import IcmpNotice, UdpSocket


@dataclass(frozen=True, slots=True)
class UdpOpeningResult(Timed):
    """The result of the opening datagrams. Times are monotonic seconds.

    ``small_answered``: a small question was answered, whether or not an opening was;
    ``foreign``: the first datagram that is not a netduet answer; ``error``: why a
    datagram could not be sent; ``answered_from``: the address and port that answered
    instead of the target.
    """

    openings: int = 0
    welcome: Welcome | None = None
    refused: ErrorMessage | None = None
    small_answered: bool = False
    foreign: bytes = b""
    notices: tuple[IcmpNotice, ...] = ()
    error: str = ""
    answered_from: str = ""
    round_trip: float = 0.0
    start: float = 0.0
    end: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether a netduet server has answered."""
        return (
            self.welcome is not None or self.refused is not None or self.small_answered
        )


class UdpOpening:
    """Openings in progress."""

    def __init__(self, sock: UdpSocket) -> None:
        self._sock = sock
        self._asked: dict[str, float] = {}
        self._token = secrets.token_bytes(16)
        self._openings = 0
        self._small = False
        self._foreign = b""
        self._error = ""
        self._round_trip = 0.0
        self.left = 0
        """The number of datagrams that this kernel sent."""
        self.welcome: Welcome | None = None
        self.refused: ErrorMessage | None = None

    @property
    def done(self) -> bool:
        """Whether an opening has been answered."""
        return self.welcome is not None or self.refused is not None

    def send(self, *, small: bool) -> None:
        """Send another opening."""
        nonce = secrets.token_hex(16)
        opening = encode(Open(nonce=nonce))
        self._asked[nonce] = time.monotonic()
        self._openings += 1
        size = datagram.OPENING_SIZE
        data = datagram.serialize(Kind.OPEN, opening, 1, size)
        self._send_datagram(data)
        if small:
            self._send_datagram(datagram.serialize(Kind.ECHO, self._token, 2))

    def _send_datagram(self, data: bytes) -> None:
        error = self._sock.send(data)
        self._error = error or self._error
        self.left += not error

    def receive(self, arrived: list[bytes]) -> None:
        """Process received datagrams."""
        for data in arrived:
            try:
                frame = datagram.parse(data)
                if frame is None or not frame.flags & ANSWER:
                    self._foreign = self._foreign or data
                elif frame.kind == Kind.OPEN:
                    self._accept_welcome(decode(Welcome, frame.payload))
                elif frame.kind == Kind.ERROR:
                    self.refused = decode(ErrorMessage, frame.payload)
                elif frame.kind == Kind.ECHO and frame.payload == self._token:
                    self._small = True
            except RemoteError:
                self._foreign = self._foreign or data

    def _accept_welcome(self, welcome: Welcome) -> None:
        asked = self._asked.get(welcome.nonce)
        if asked is not None:
            self._round_trip = time.monotonic() - asked
            self.welcome = welcome

    def result(self, start: float, end: float) -> UdpOpeningResult:
        """Return the result."""
        return UdpOpeningResult(
            self._openings,
            self.welcome,
            self.refused,
            small_answered=self._small,
            foreign=self._foreign,
            notices=tuple(self._sock.notices),
            error=self._error,
            round_trip=self._round_trip,
            start=start,
            end=end,
        )


def answered_from(address: Address, seconds: float) -> str:
    """Return another address and port that answers an opening, "" if none does."""
    nonce = secrets.token_hex(16)
    opening = encode(Open(nonce=nonce))
    data = datagram.serialize(Kind.OPEN, opening, 1, datagram.OPENING_SIZE)
    for answer, source in answers_from_elsewhere(address, data, seconds):
        # The nonce cannot be guessed, so the sender has received our opening.
        if nonce.encode() in answer:
            return source
    return ""
