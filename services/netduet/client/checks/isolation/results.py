"""What came of knocking at a port that ought to be blocked, by TCP and by UDP."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from netduet.client.net.dial import Address, errno_meaning
from netduet.client.net.handshake import Handshake
from netduet.client.net.icmp_errors import IcmpMeaning, icmp_meaning
from netduet.client.net.udp_socket import IcmpNotice
from netduet.net.time_span import Timed


class Response(StrEnum):
    """How a knock was answered, or not."""

    OPEN = "open"
    DROPPED = "dropped"
    RESET = "reset"
    PROHIBITED = "prohibited"
    PORT_UNREACHABLE = "port unreachable"
    HOST_UNREACHABLE = "unreachable"
    NO_ROUTE = "no route"
    OTHER = "failed"


_BY_ICMP: Final = {
    IcmpMeaning.PORT: Response.PORT_UNREACHABLE,
    IcmpMeaning.HOST: Response.HOST_UNREACHABLE,
    IcmpMeaning.PROHIBITED: Response.PROHIBITED,
    IcmpMeaning.OTHER: Response.OTHER,
}


def response_from_icmp(family: socket.AddressFamily, notice: IcmpNotice) -> Response:
    """Return what an ICMP error says.

    A kernel that does not tell the message itself tells the error that it makes of it.
    """
    if notice.kind:
        return _BY_ICMP[icmp_meaning(family, notice.kind, notice.code)]
    return _BY_ICMP[errno_meaning(notice.error).icmp]


@dataclass(frozen=True, slots=True)
class ProbeResult(Timed):
    """What came of one protocol. Times are monotonic seconds.

    ``sent`` is how many SYNs or datagrams left; ``offender`` whoever sent the ICMP
    error, "" where nobody did or the kernel does not say; ``detail`` the error's name,
    or who answers.
    """

    response: Response
    offender: str = ""
    sent: int = 0
    detail: str = ""
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class PortState:
    """A port of one address. ``own`` is the address that this host asks from.

    ``opening`` is what came of an opening where TCP is open.
    """

    address: Address
    tcp: ProbeResult
    udp: ProbeResult
    own_address: str = ""
    handshake: Handshake | None = None

    @property
    def is_open(self) -> bool:
        """One of the two gets through."""
        return Response.OPEN in {self.tcp.response, self.udp.response}

    @property
    def answered(self) -> bool:
        """Something that is not this host itself has answered, if only to refuse."""
        silent = {Response.DROPPED, Response.NO_ROUTE, Response.OTHER}
        return any(
            probe.response not in silent
            and (not self.own_address or probe.offender != self.own_address)
            for probe in (self.tcp, self.udp)
        )


@dataclass(frozen=True, slots=True)
class IsolationResult:
    """All addresses of a target that ought to be blocked.

    ``routes``: this host has a route to anywhere but itself; ``control`` is another
    target that was reached from here, "" for none.
    """

    ports: tuple[PortState, ...]
    left_out: int = 0
    has_routes: bool = True
    control: str = ""
