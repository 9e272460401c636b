"""What the check ``isolation`` measures: the answers of TCP and UDP ports."""

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
    """How a probe was answered, or that it was not."""

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
    """Return the meaning of an ICMP error.

    A kernel that does not report the message itself reports the errno it maps it to.
    """
    if notice.kind:
        return _BY_ICMP[icmp_meaning(family, notice.kind, notice.code)]
    return _BY_ICMP[errno_meaning(notice.error).icmp]


@dataclass(frozen=True, slots=True)
class ProbeResult(Timed):
    """The result of one protocol. Times are monotonic seconds.

    ``sent`` is the number of SYNs or datagrams; ``offender`` is the sender of an ICMP
    error, "" if there was none or it is unknown; ``detail`` is the error's name, or who
    answered.
    """

    response: Response
    offender: str = ""
    sent: int = 0
    detail: str = ""
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class PortState:
    """A port of one address. ``own_address`` is this host's address on that route.

    ``handshake`` is the result of an opening, if TCP is open.
    """

    address: Address
    tcp: ProbeResult
    udp: ProbeResult
    own_address: str = ""
    handshake: Handshake | None = None

    @property
    def is_open(self) -> bool:
        """Whether TCP or UDP is open."""
        return Response.OPEN in {self.tcp.response, self.udp.response}

    @property
    def answered(self) -> bool:
        """Whether something other than this host answered, even if only to refuse."""
        silent = {Response.DROPPED, Response.NO_ROUTE, Response.OTHER}
        return any(
            probe.response not in silent
            and (not self.own_address or probe.offender != self.own_address)
            for probe in (self.tcp, self.udp)
        )


@dataclass(frozen=True, slots=True)
class IsolationResult:
    """All addresses of a target that should be blocked.

    ``has_routes``: this host has a route to another host; ``control`` is another target
    that was reached, "" for none.
    """

    ports: tuple[PortState, ...]
    left_out: int = 0
    has_routes: bool = True
    control: str = ""
